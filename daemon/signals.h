/*
 * Signals, as events of the loop: all that we handle are blocked and read from a signalfd, so nothing is ever
 * done in a handler, and each comes with its sender.
 */
#ifndef FCGIPOOL_DAEMON_SIGNALS_H
#define FCGIPOOL_DAEMON_SIGNALS_H

struct master;

/* Blocks the signals, so that what comes from now on waits for signals_start. */
void signals_hold(void);

/* Blocks the signals and ignores SIGPIPE and SIGXFSZ. To be called before the first worker starts. Returns 0
 * or -errno.
 */
__attribute__((warn_unused_result)) int signals_start(struct master *master);

void signals_stop(struct master *master);

#endif
