/*
 * Tells what it was started with, as JSON: working directory, umask, arguments, environment, signal masks,
 * open descriptors, process group. All is read at start, before libfcgi touches anything.
 */
#include <dirent.h>
#include <fcgiapp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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

/* The lines Sig... of /proc/self/status. */
static void put_signals(FILE *to)
{
    FILE *status = fopen("/proc/self/status", "re");
    char line[256], name[16], value[64];
    while (status && fgets(line, sizeof line, status))
        if (sscanf(line, "%15[A-Za-z]: %63s", name, value) == 2 && strncmp(name, "Sig", 3) == 0 &&
            strcmp(name, "SigQ") != 0)
            fprintf(to, ",\"%s\":\"%s\"", name, value);
    if (status)
        fclose(status);
}

int main(int argc, char **argv)
{
    (void)argc;
    char *report = NULL, directory[4096];
    size_t size;
    FILE *to = open_memstream(&report, &size);
    if (!to || !getcwd(directory, sizeof directory))
        return 1;
    mode_t mask = umask(0);
    umask(mask);
    fprintf(to, "{\"pid\":%d,\"parent\":%d,\"group\":%d,\"umask\":%d,\"directory\":", (int)getpid(),
            (int)getppid(), (int)getpgrp(), (int)mask);
    put_string(to, directory);
    put_list(to, "arguments", argv);
    put_list(to, "environment", environ);
    put_signals(to);
    put_descriptors(to);
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
