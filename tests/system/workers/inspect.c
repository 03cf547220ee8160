/*
 * Tells what it was started with, as JSON: working directory, umask, arguments, environment, signal masks,
 * open descriptors, process group, session, terminal, users, groups, capabilities, limits, priority. All is
 * read at start, before libfcgi touches anything. With the argument "way-back" it then tries to become root
 * again, and tells how each way failed (errno; 0: it did not).
 */
#include <dirent.h>
#include <errno.h>
#include <fcgiapp.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static void put_string(FILE *to, const char *text)
{
    fputc('"', to);
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        if (c == '"' || c == '\\')
            fprintf(to, "\\%c", c);
        else if (c < 0x20)
            fprintf(to, "\\u%04x", c);
        else
            fputc(c, to);
    }
    fputc('"', to);
}

static void put_list(FILE *to, const char *name, char *const *list)
{
    fprintf(to, ",\"%s\":[", name);
    for (char *const *at = list; *at; at++) {
        if (at != list)
            fputc(',', to);
        put_string(to, *at);
    }
    fputc(']', to);
}

static void put_descriptors(FILE *to)
{
    DIR *directory = opendir("/proc/self/fd");
    if (!directory)
        return;
    const char *comma = "";
    fputs(",\"descriptors\":[", to);
    for (struct dirent *entry; (entry = readdir(directory));)
        if (entry->d_name[0] != '.' && atoi(entry->d_name) != dirfd(directory)) {
            fprintf(to, "%s%s", comma, entry->d_name);
            comma = ",";
        }
    fputc(']', to);
    closedir(directory);
}

/* The lines of /proc/self/status about signals, ids and capabilities. */
static void put_status(FILE *to)
{
    static const char *const prefixes[] = {"Sig", "Uid", "Gid", "Groups", "Cap"};
    FILE *status = fopen("/proc/self/status", "re");
    char line[4096];
    while (status && fgets(line, sizeof line, status)) {
        char *value = strchr(line, ':');
        if (!value || strncmp(line, "SigQ", 4) == 0)
            continue;
        *value++ = '\0';
        value += strspn(value, "\t ");
        value[strcspn(value, "\n")] = '\0';
        for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++)
            if (strncmp(line, prefixes[i], strlen(prefixes[i])) == 0) {
                fprintf(to, ",\"%s\":", line);
                put_string(to, value);
            }
    }
    if (status)
        fclose(status);
}

/* Soft and hard; -1 is without end. */
static void put_limits(FILE *to)
{
    static const struct {
        const char *name;
        int resource;
    } limits[] = {{"as", RLIMIT_AS},         {"core", RLIMIT_CORE},   {"cpu", RLIMIT_CPU},
                  {"data", RLIMIT_DATA},     {"fsize", RLIMIT_FSIZE}, {"memlock", RLIMIT_MEMLOCK},
                  {"nofile", RLIMIT_NOFILE}, {"nproc", RLIMIT_NPROC}, {"stack", RLIMIT_STACK}};
    fprintf(to, ",\"nice\":%d,\"limits\":{", getpriority(PRIO_PROCESS, 0));
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        struct rlimit limit = {0};
        getrlimit((__rlimit_resource_t)limits[i].resource, &limit);
        fprintf(to, "%s\"%s\":[%lld,%lld]", i ? "," : "", limits[i].name, (long long)limit.rlim_cur,
                (long long)limit.rlim_max);
    }
    fputc('}', to);
}

static void put_way_back(FILE *to)
{
    static const gid_t root_group = 0;
    static const char top[] = "/";
    int root = open("/proc/1/environ", O_RDONLY | O_CLOEXEC);
    fprintf(to, ",\"way_back\":{\"/proc/1/environ\":%d", root < 0 ? errno : 0);
#define TRY(call) fprintf(to, ",\"%s\":%d", #call, (call) == 0 ? 0 : errno)
    TRY(setgroups(1, &root_group));
    TRY(setresgid(0, 0, 0));
    TRY(setgid(0));
    TRY(setresuid(0, 0, 0));
    TRY(setresuid(-1, 0, -1));
    TRY(setuid(0));
    TRY(seteuid(0));
    TRY(setpriority(PRIO_PROCESS, 0, -20));
    TRY(chroot(top));
#undef TRY
    fputc('}', to);
}

int main(int argc, char **argv)
{
    char *report = NULL, directory[4096];
    size_t size;
    FILE *to = open_memstream(&report, &size);
    int terminal = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC);
    int terminal_error = terminal < 0 ? errno : 0;
    if (terminal >= 0)
        close(terminal);
    if (!to || !getcwd(directory, sizeof directory))
        return 1;
    mode_t mask = umask(0);
    umask(mask);
    fprintf(
        to,
        "{\"pid\":%d,\"parent\":%d,\"group\":%d,\"session\":%d,\"/dev/tty\":%d,\"umask\":%d,\"directory\":",
        (int)getpid(), (int)getppid(), (int)getpgrp(), (int)getsid(0), terminal_error, (int)mask);
    put_string(to, directory);
    put_list(to, "arguments", argv);
    put_list(to, "environment", environ);
    put_status(to);
    put_limits(to);
    put_descriptors(to);
    if (argc > 1 && strcmp(argv[1], "way-back") == 0)
        put_way_back(to);
    fputc('}', to);
    fclose(to);

    FCGX_Request request;
    FCGX_Init();
    FCGX_InitRequest(&request, 0, 0);
    while (FCGX_Accept_r(&request) == 0) {
        FCGX_FPrintF(request.out, "Content-Type: application/json\r\n\r\n");
        FCGX_PutStr(report, (int)size, request.out);
        FCGX_Finish_r(&request);
    }
    free(report);
    return 0;
}
