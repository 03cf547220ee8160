/* What passes between two masters; see handover.h. */
#include "daemon/handover.h"

#include "daemon/base/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>

#define MESSAGE_MAX 16384

static const char *const names[] = {
    [HANDOVER_LINK] = "link",
    [HANDOVER_LISTENER] = "listener",
    [HANDOVER_LISTENER_LOCK] = "listener_lock",
    [HANDOVER_CONTROL] = "control",
    [HANDOVER_CONTROL_LOCK] = "control_lock",
    [HANDOVER_STDOUT] = "stdout",
    [HANDOVER_STDERR] = "stderr",
};
_Static_assert(sizeof names / sizeof *names == HANDOVER_FDS, "each has a name");

char *handover_name(const int fds[static HANDOVER_FDS])
{
    char *text = NULL;
    size_t size;
    const char *before = HANDOVER_VARIABLE "=";
    FILE *stream = memory_must(open_memstream(&text, &size));
    for (enum handover_fd i = 0; i < HANDOVER_FDS; i++) {
        if (fds[i] < 0)
            continue;
        fprintf(stream, "%s%s:%d", before, names[i], fds[i]);
        before = ",";
    }
    return fclose(stream) == 0 ? text : memory_must(NULL);
}

/* One "name:number"; returns what follows it, or NULL. A name of another version is passed over. */
static const char *parse_one(const char *text, int ret_fds[static HANDOVER_FDS])
{
    size_t length = strcspn(text, ":");
    char *end;
    if (text[length] != ':')
        return NULL;
    long number = strtol(text + length + 1, &end, 10);
    if (end == text + length + 1 || (*end != ',' && *end != '\0') || number < 3 || number > 1 << 20)
        return NULL;
    for (enum handover_fd i = 0; i < HANDOVER_FDS; i++)
        if (strlen(names[i]) == length && memcmp(names[i], text, length) == 0)
            ret_fds[i] = (int)number;
    return *end == ',' ? end + 1 : end;
}

bool handover_parse(const char *text, int ret_fds[static HANDOVER_FDS])
{
    for (enum handover_fd i = 0; i < HANDOVER_FDS; i++)
        ret_fds[i] = -1;
    while (text && *text)
        text = parse_one(text, ret_fds);
    for (enum handover_fd i = 0; text && i < HANDOVER_FDS; i++) {
        bool there = ret_fds[i] >= 0 && fcntl(ret_fds[i], F_SETFD, FD_CLOEXEC) == 0;
        if (!there && !(i == HANDOVER_LISTENER_LOCK && ret_fds[i] < 0))
            return false;
    }
    return text != NULL;
}

int handover_link(int ret_ends[2])
{
    return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ret_ends) ? -errno : 0;
}

void handover_send(int fd, json_t *message)
{
    char *text __attribute__((cleanup(memory_free_text))) = json_dumps(message, JSON_COMPACT);
    if (text)
        (void)!send(fd, text, strlen(text), MSG_DONTWAIT | MSG_NOSIGNAL);
    json_decref(message);
}

int handover_receive(int fd, json_t **ret_message)
{
    char text[MESSAGE_MAX];
    ssize_t length = recv(fd, text, sizeof text, MSG_DONTWAIT);
    if (length < 0 && errno == ECONNRESET) /* said once, when the other end had something unread */
        length = recv(fd, text, sizeof text, MSG_DONTWAIT);
    if (length < 0 && (errno == EAGAIN || errno == EINTR))
        return -EAGAIN;
    if (length <= 0)
        return -EPIPE;
    *ret_message = json_loadb(text, (size_t)length, 0, NULL);
    return 0;
}
