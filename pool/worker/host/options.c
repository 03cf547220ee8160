/* The command line; see options.h. */
#include "pool/worker/host/options.h"

#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] =
    "usage: fcgipool-host [--class sync|threads|async] [--protocol fastcgi|scgi] [--threads N] [--connections N] [--template FD] APP\n"
    "Serves requests from the socket that is its standard input by an application in the shared object APP\n"
    "(fcgipool.h). The setting \"app\" of a pool runs it.\n"
    "Exit code: 0 done, 3 the application could not start, 4 it could not be loaded, 64 usage.\n";

static bool parse_number(const char *text, int limit, int *ret_number)
{
    char *end;
    long number = strtol(text, &end, 10);
    if (end == text || *end || number < 1 || number > limit)
        return false;
    *ret_number = (int)number;
    return true;
}

static bool parse_class(const char *text, enum options_class *ret_class)
{
    static const char *const names[] = {"sync", "threads", "async"};
    for (int i = 0; i < 3; i++)
        if (strcmp(text, names[i]) == 0)
            return *ret_class = (enum options_class)i, true;
    return false;
}

static bool parse_one(int option, const char *text, struct options *options)
{
    if (option == 'c')
        return parse_class(text, &options->worker_class);
    if (option == 't')
        return parse_number(text, 1024, &options->threads);
    if (option == 'n')
        return parse_number(text, 1000000, &options->connections);
    if (option == 'f')
        return parse_number(text, INT_MAX, &options->template_socket);
    options->scgi = strcmp(text, "scgi") == 0;
    return option == 'p' && (options->scgi || strcmp(text, "fastcgi") == 0);
}

bool options_parse(int argc, char **argv, struct options *ret_options)
{
    static const struct option known[] = {
        {"class", required_argument, NULL, 'c'},    {"protocol", required_argument, NULL, 'p'},
        {"threads", required_argument, NULL, 't'},  {"connections", required_argument, NULL, 'n'},
        {"template", required_argument, NULL, 'f'}, {0}};
    int option;
    *ret_options = (struct options){.threads = 1, .connections = 1000, .template_socket = -1};
    while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
        if (option != '?' && parse_one(option, optarg, ret_options))
            continue;
        fputs(usage, stderr);
        return false;
    }
    if (optind != argc - 1)
        fputs(usage, stderr);
    ret_options->app = argv[optind];
    return optind == argc - 1;
}
