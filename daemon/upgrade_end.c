/* The end of a second master; see upgrade_end.h. */
#include "daemon/upgrade_end.h"

#include "daemon/base/exit_code.h"
#include "daemon/base/memory.h"
#include "daemon/base/pidfile.h"
#include "daemon/base/unicode.h"
#include "daemon/kernel/path_lock.h"
#include "daemon/master.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Of what it prints, at a time; and as much as a pipe holds. */
#define READ_SIZE 512
#define PIPE_SIZE 65536

ssize_t upgrade_read_complaint(struct upgrade *upgrade)
{
    char buffer[READ_SIZE];
    size_t kept = strlen(upgrade->complaint), room = sizeof upgrade->complaint - 1 - kept;
    ssize_t length = read(upgrade->complaints.fd, buffer, sizeof buffer);
    if (length <= 0)
        return length;
    size_t taken = (size_t)length < room ? (size_t)length : room;
    memcpy(upgrade->complaint + kept, buffer, taken);
    upgrade->complaint[kept + taken] = '\0';
    return length;
}

static void describe(const struct upgrade *upgrade, const siginfo_t *death, char *ret_text, size_t size)
{
    const char *when = upgrade->served ? "" : " before it served";
    if (upgrade->too_late)
        snprintf(ret_text, size, "was killed, for it did not %s in time",
                 upgrade->phase == UPGRADE_STARTING ? "start" : "end");
    else if (death->si_code == CLD_EXITED)
        snprintf(ret_text, size, "exited with code %d%s", death->si_status, when);
    else
        snprintf(ret_text, size, "was killed by signal %d%s", death->si_status, when);
}

/* In one line, as it can be shown. */
static char *join(const char *complaint)
{
    char *text = NULL;
    size_t size;
    FILE *stream = memory_must(open_memstream(&text, &size));
    for (const char *line = complaint, *before = ""; *line; before = "; ") {
        size_t length = strcspn(line, "\n");
        fprintf(stream, "%s%.*s", before, (int)length, line);
        line += length + (line[length] == '\n');
    }
    fclose(stream);
    unicode_make_printable(memory_must(text), strlen(text));
    return text;
}

char *upgrade_end_reason(struct upgrade *upgrade, const siginfo_t *death)
{
    char how[80];
    describe(upgrade, death, how, sizeof how);
    for (int left = PIPE_SIZE / READ_SIZE; left > 0 && upgrade_read_complaint(upgrade) > 0; left--)
        ;
    char *complaint __attribute__((cleanup(memory_free_text))) = join(upgrade->complaint);
    return memory_text("the new master, pid %ld, %s%s%s", (long)upgrade->pid, how, *complaint ? ": " : "",
                       complaint);
}

int upgrade_end_code(const siginfo_t *death)
{
    static const int known[] = {EXIT_USAGE, EXIT_NO_MASTER, EXIT_NOT_NOW, EXIT_BAD_CONFIG};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (death->si_code == CLD_EXITED && death->si_status == known[i])
            return known[i];
    return EXIT_FAILED;
}

void upgrade_clear_up(struct master *master)
{
    const char *control = conf_text(master->conf, SETTING_ID_CONTROL_SOCKET);
    char *path __attribute__((cleanup(memory_free_text))) = memory_text("%s.2", control);
    char *state __attribute__((cleanup(memory_free_text))) = memory_text("%s.state", path);
    struct problem unused;
    bool fresh;
    int lock_fd = path_lock_take(path, &fresh, &unused);
    if (lock_fd < 0)
        return;
    if (!fresh) {
        orphans_adopt(master, state);
        (void)unlink(state);
        (void)unlink(path);
    }
    path_lock_release(path, lock_fd);
    const char *pidfile = master->upgrade.pidfile;
    if (pidfile) {
        char *second __attribute__((cleanup(memory_free_text))) = memory_text("%s.2", pidfile);
        pidfile_remove(second, master->upgrade.pid);
    }
}
