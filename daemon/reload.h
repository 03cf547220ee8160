/*
 * Reload (SIGHUP): the control file is read again. What does not validate is not adopted: every fault is
 * logged and the pool goes on as it was. Settings of reload class LIVE take effect at once; the others that
 * have changed are named in the log, and stay as they were.
 */
#ifndef FCGIPOOL_DAEMON_RELOAD_H
#define FCGIPOOL_DAEMON_RELOAD_H

struct master;

/* A file that is valid also ends a pause. A pool that is stopping is left alone. */
void reload(struct master *master);

#endif
