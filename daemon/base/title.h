/* The title that ps shows. */
#ifndef FCGIPOOL_DAEMON_BASE_TITLE_H
#define FCGIPOOL_DAEMON_BASE_TITLE_H

/* Remembers the memory of the arguments and moves the environment away from behind it. Call once, first in
 * main; afterwards argv's strings are copies. Without memory titles stay as they are. */
void title_init(int argc, char **argv);

/* Sets the title ("fcgipool: ..."), cut to what fits. */
__attribute__((format(printf, 1, 2))) void title_set(const char *format, ...);

#endif
