/*
 * The text of a control file, read so that nothing at its path can hang us or fill the memory: a regular
 * file, opened without blocking, of at most CONF_READ_MAX bytes, in UTF-8.
 */
#ifndef FCGIPOOL_DAEMON_CONF_CONF_READ_H
#define FCGIPOOL_DAEMON_CONF_CONF_READ_H

#include "daemon/base/problem.h"

#include <stddef.h>

#define CONF_READ_MAX (1024 * 1024)

/* Returns 0 and the text (on the heap, with a NUL behind its `length` bytes); or -errno with the reason, and
 * for a fault in the text its line and column, in `problem`: -EISDIR, -EINVAL (no regular file), -EFBIG (too
 * big), -ENODATA (empty), -EILSEQ (not UTF-8 text), or what opening and reading gave. */
__attribute__((warn_unused_result)) int conf_read(const char *file, char **ret_text, size_t *ret_length,
                                                  struct problem *problem);

#endif
