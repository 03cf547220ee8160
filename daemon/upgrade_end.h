/* The end of a second master (upgrade.h): what it tells of why, and what it leaves behind. */
#ifndef FCGIPOOL_DAEMON_UPGRADE_END_H
#define FCGIPOOL_DAEMON_UPGRADE_END_H

#include <signal.h>
#include <sys/types.h>

struct master;
struct upgrade;

/* Reads on in what it prints; what is beyond UPGRADE_COMPLAINT_SIZE is not kept. Returns what read()
 * returned. */
ssize_t upgrade_read_complaint(struct upgrade *upgrade);

/* How it ended, and what it printed, in one line; the caller frees it. Reads the rest of that. */
char *upgrade_end_reason(struct upgrade *upgrade, const siginfo_t *death);

/* Its exit code, if that is one of ours; another program's means nothing to us. */
int upgrade_end_code(const siginfo_t *death);

/* Of one that was killed: takes away its files. Its workers are ours to retire. */
void upgrade_clear_up(struct master *master);

#endif
