/*
 * `fcgipool request`: one FastCGI or SCGI request to any address, as a web server would make it; the answer's
 * body goes to stdout, what the worker complains of to stderr. Exit status: 0 a complete answer with a status
 * below 500; 64 usage; 69 nobody listens; 75 timed out; 78 bad control file; 70 otherwise.
 */
#include "daemon/base/fd.h"
#include "daemon/base/memory.h"
#include "daemon/cmd/client.h"
#include "daemon/cmd/cmd.h"
#include "daemon/cmd/options.h"
#include "daemon/cmd/request.h"
#include "daemon/conf/conf.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

static const char usage[] =
    "usage: fcgipool request [OPTION]... [FILE]\n"
    "Sends one request to the pool of the control file FILE, prints the answer.\n"
    "  --to ADDRESS         where to, instead of FILE's `listen`: unix:PATH, unix:@NAME, HOST:PORT\n"
    "  --scgi               with --to: speak SCGI, not FastCGI; else FILE's `protocol` says it\n"
    "  --method METHOD      any; GET, or POST with --body, unless set\n"
    "  --uri URI            path and query, \"/\" unless set\n"
    "  --header NAME:VALUE  a header of the client's; any number of times\n"
    "  --param NAME=VALUE   a CGI variable, added or replaced; any number of times\n"
    "  --body FILE          the request body; \"-\" is standard input\n"
    "  --timeout SECONDS    for all of it, 30 unless set; 0 means no limit\n"
    "  -i, --include        print the response headers too\n"
    "  -v, --verbose        tell on standard error how long it took, and what was answered\n"
    "  -h, --help           this text\n";

enum { TIMEOUT_DEFAULT_MS = 30000, READ_SIZE = 65536 };

/* Not an exit status: the command goes on. */
enum { GOES_ON = -1 };

struct request_options {
    const char *to;   /* NULL: file's `listen` */
    const char *file; /* NULL with `to` */
    const char *method;
    const char *uri;
    const char *body_file; /* NULL: no body */
    int64_t timeout_ms;    /* 0: none */
    bool scgi;
    bool include;
    bool verbose;

    char **params; /* "NAME=VALUE", of --param and --header; owned */
    size_t param_count;
    uint8_t *body; /* owned */
    size_t body_length;
};

struct environment {
    struct pair *pairs; /* owned; names and values are borrowed */
    size_t count;
    char content_length[24]; /* may be empty */
};

static void options_fini(struct request_options *options)
{
    for (size_t i = 0; i < options->param_count; i++)
        free(options->params[i]);
    free(options->params);
    free(options->body);
}

static void free_conf(struct conf **conf)
{
    conf_free(*conf);
}

static void environment_fini(struct environment *environment)
{
    free(environment->pairs);
}

/* Both return GOES_ON or the status to exit with. */
static int parse_operand(int argc, char **argv, struct request_options *options)
{
    if (options->to)
        return optind == argc
                   ? GOES_ON
                   : options_fail("request", EXIT_USAGE, "either --to or a control file, not both");
    if (options->scgi)
        return options_fail("request", EXIT_USAGE, "--scgi goes with --to; a control file has `protocol`");
    options->file = options_file(argc, argv, optind);
    return options->file ? GOES_ON : EXIT_USAGE;
}

static int add_param(struct request_options *options, const char *text)
{
    if (text[0] == '=' || !strchr(text, '='))
        return options_fail("request", EXIT_USAGE, "--param takes NAME=VALUE, not \"%s\"", text);
    options->params[options->param_count++] = memory_must(strdup(text));
    return GOES_ON;
}

static bool is_header(const char *text, size_t length, const char *name)
{
    return strlen(name) == length && strncasecmp(text, name, length) == 0;
}

/* The one of this name, of the `length` bytes before "=", that was given already; NULL: none was. */
static char **find_param(const struct request_options *options, const char *name, size_t length)
{
    for (size_t i = 0; i < options->param_count; i++)
        if (strncmp(options->params[i], name, length) == 0 && options->params[i][length] == '=')
            return &options->params[i];
    return NULL;
}

/* As the variable that a web server makes of it; several of one name are one (RFC 3875 4.1.18). */
static int add_header(struct request_options *options, const char *text)
{
    size_t length = strcspn(text, ":=");
    if (length == 0 || text[length] != ':' || is_header(text, length, "Content-Length"))
        return options_fail("request", EXIT_USAGE,
                            "--header takes NAME:VALUE, and no Content-Length, not \"%s\"", text);
    const char *value = text + length + 1 + strspn(text + length + 1, " \t");
    const char *prefix = is_header(text, length, "Content-Type") ? "" : "HTTP_";
    char *param = memory_text("%s%.*s=%s", prefix, (int)length, text, value);
    size_t name_length = strlen(prefix) + length;
    for (size_t i = 0; i < name_length; i++)
        param[i] = param[i] == '-' ? '_' : (char)toupper((unsigned char)param[i]);
    char **former = find_param(options, param, name_length);
    if (!former) {
        options->params[options->param_count++] = param;
        return GOES_ON;
    }
    char *joined = memory_text("%s%s%s", *former, is_header(text, length, "Cookie") ? "; " : ", ", value);
    free(param);
    free(*former);
    *former = joined;
    return GOES_ON;
}

enum { TO = 256, SCGI, METHOD, URI, HEADER, PARAM, BODY, TIMEOUT };

static const struct option known[] = {
    {"to", required_argument, NULL, TO},
    {"scgi", no_argument, NULL, SCGI},
    {"method", required_argument, NULL, METHOD},
    {"uri", required_argument, NULL, URI},
    {"header", required_argument, NULL, HEADER},
    {"param", required_argument, NULL, PARAM},
    {"body", required_argument, NULL, BODY},
    {"timeout", required_argument, NULL, TIMEOUT},
    {"include", no_argument, NULL, 'i'},
    {"verbose", no_argument, NULL, 'v'},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

static int parse_options(int argc, char **argv, struct request_options *options)
{
    int option, status;

    options->params = memory_must(calloc((size_t)argc, sizeof *options->params));
    while ((option = getopt_long(argc, argv, "ivh", known, NULL)) != -1) {
        switch (option) {
        case TO:
            options->to = optarg;
            break;
        case SCGI:
            options->scgi = true;
            break;
        case METHOD:
            options->method = optarg;
            break;
        case URI:
            options->uri = optarg;
            break;
        case HEADER:
        case PARAM:
            status = option == HEADER ? add_header(options, optarg) : add_param(options, optarg);
            if (status != GOES_ON)
                return status;
            break;
        case BODY:
            options->body_file = optarg;
            break;
        case TIMEOUT:
            if (!options_seconds(optarg, &options->timeout_ms))
                return options_fail("request", EXIT_USAGE,
                                    "--timeout takes a number of seconds up to %d, not \"%s\"",
                                    OPTIONS_SECONDS_MAX, optarg);
            break;
        case 'i':
            options->include = true;
            break;
        case 'v':
            options->verbose = true;
            break;
        case 'h':
            fputs(usage, stdout);
            return EXIT_DONE;
        default:
            fputs(usage, stderr);
            return EXIT_USAGE;
        }
    }
    return parse_operand(argc, argv, options);
}

/* The body is read as a whole, because CONTENT_LENGTH goes first. Returns GOES_ON or the status to exit with.
 */
static int read_body(struct request_options *options)
{
    size_t size = 0;
    bool standard_input = strcmp(options->body_file, "-") == 0;
    __attribute__((cleanup(fd_close))) int fd =
        standard_input ? dup(STDIN_FILENO) : open(options->body_file, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return options_fail("request", EXIT_USAGE, "%s: %s", options->body_file, strerror(errno));
    for (;;) {
        ssize_t got;

        if (size - options->body_length < READ_SIZE) {
            size = 2 * size + READ_SIZE;
            options->body = memory_must(realloc(options->body, size));
        }
        got = read(fd, options->body + options->body_length, size - options->body_length);
        if (got < 0)
            return options_fail("request", EXIT_USAGE, "%s: %s", options->body_file, strerror(errno));
        if (got == 0)
            return GOES_ON;
        options->body_length += (size_t)got;
    }
}

static void environment_set(struct environment *environment, struct bytes name, struct bytes value)
{
    struct pair *pair = environment->pairs;

    while (pair < environment->pairs + environment->count &&
           (pair->name.length != name.length || memcmp(pair->name.data, name.data, name.length) != 0))
        pair++;
    if (pair == environment->pairs + environment->count)
        environment->count++;
    *pair = (struct pair){.name = name, .value = value};
}

/* What a web server sends for a request like this (RFC 3875 section 4), then what --param says. As with
 * nginx, length and type of a missing body are empty; but SCGI always has a length, and it goes first.
 * REDIRECT_STATUS is what php-cgi wants to see. */
static void environment_init(struct environment *environment, const struct request_options *options,
                             bool scgi)
{
    const char *content_type = options->body_file ? "application/octet-stream" : "";
    const char *method = options->method ? options->method : options->body_file ? "POST" : "GET";
    const char *query = strchrnul(options->uri, '?');
    struct bytes path = {.data = (const uint8_t *)options->uri, .length = (size_t)(query - options->uri)};
    const struct {
        const char *name;
        struct bytes value;
    } usual[] = {
        {"CONTENT_LENGTH", bytes_of(environment->content_length)},
        {"GATEWAY_INTERFACE", bytes_of("CGI/1.1")},
        {"SERVER_SOFTWARE", bytes_of("fcgipool/" FCGIPOOL_VERSION)},
        {"SERVER_PROTOCOL", bytes_of("HTTP/1.1")},
        {"SERVER_NAME", bytes_of("localhost")},
        {"SERVER_ADDR", bytes_of("127.0.0.1")},
        {"SERVER_PORT", bytes_of("80")},
        {"REMOTE_ADDR", bytes_of("127.0.0.1")},
        {"REMOTE_PORT", bytes_of("0")},
        {"REQUEST_SCHEME", bytes_of("http")},
        {"HTTP_HOST", bytes_of("localhost")},
        {"REQUEST_METHOD", bytes_of(method)},
        {"REQUEST_URI", bytes_of(options->uri)},
        {"DOCUMENT_URI", path},
        {"SCRIPT_NAME", path},
        {"QUERY_STRING", bytes_of(*query ? query + 1 : query)},
        {"CONTENT_TYPE", bytes_of(content_type)},
        {"REDIRECT_STATUS", bytes_of("200")},
    };
    size_t usual_count = sizeof usual / sizeof usual[0];

    environment->pairs =
        memory_must(calloc(usual_count + 1 + options->param_count, sizeof *environment->pairs));
    for (size_t i = 0; i < usual_count; i++)
        environment_set(environment, bytes_of(usual[i].name), usual[i].value);
    if (scgi)
        environment_set(environment, bytes_of("SCGI"), bytes_of("1"));
    for (size_t i = 0; i < options->param_count; i++) {
        const char *param = options->params[i];
        const char *border = strchr(param, '=');
        struct bytes name = {.data = (const uint8_t *)param, .length = (size_t)(border - param)};

        environment_set(environment, name, bytes_of(border + 1));
    }
}

/* Asks the master, who alone knows the address of a socket that was passed to it. Returns GOES_ON or the
 * status to exit with. */
static int ask_address(const char *file, struct address *ret_address)
{
    json_t *result = NULL;
    struct problem problem;
    int status = client_run(file, NULL, "status", NULL, &result);
    if (status != 0)
        return status;
    const char *text = json_string_value(json_object_get(result, "listen"));
    int error = text ? address_parse(text, ret_address, &problem) : -EPROTO;
    json_decref(result);
    return error == 0 ? GOES_ON : options_fail("request", EXIT_FAILED, "the master tells no address");
}

/* Both tell where to connect to, and what is spoken there. They return GOES_ON or the status to exit with. */
static int target_of_pool(const char *file, struct address *ret_address, const struct dialect **ret_dialect)
{
    __attribute__((cleanup(problems_fini))) struct problems problems = PROBLEMS_INIT;
    __attribute__((cleanup(free_conf))) struct conf *conf = NULL;
    struct problem problem;

    if (conf_check(file, NULL, 0, &problems, &conf) < 0) {
        problems_print(&problems, stderr);
        return EXIT_BAD_CONFIG;
    }
    *ret_dialect =
        strcmp(conf_text(conf, SETTING_ID_PROTOCOL), "scgi") == 0 ? &dialect_scgi : &dialect_fastcgi;
    if (conf_listen(conf, NULL) != CONF_LISTEN_ADDRESS)
        return ask_address(file, ret_address);
    if (address_parse(conf_text(conf, SETTING_ID_LISTEN), ret_address, &problem) < 0)
        return options_fail("request", EXIT_BAD_CONFIG, "listen: %s", problem.text);
    return GOES_ON;
}

static int target_of_options(const struct request_options *options, struct address *ret_address,
                             const struct dialect **ret_dialect)
{
    struct problem problem;

    if (address_parse(options->to, ret_address, &problem) < 0)
        return options_fail("request", EXIT_USAGE, "--to: %s", problem.text);
    *ret_dialect = options->scgi ? &dialect_scgi : &dialect_fastcgi;
    return GOES_ON;
}

int cmd_request(int argc, char **argv)
{
    __attribute__((cleanup(options_fini))) struct request_options options = {
        .uri = "/",
        .timeout_ms = TIMEOUT_DEFAULT_MS,
    };
    __attribute__((cleanup(environment_fini))) struct environment environment = {0};
    struct request request = {0};
    int status = parse_options(argc, argv, &options);
    bool scgi;

    if (status == GOES_ON && options.body_file)
        status = read_body(&options);
    if (status == GOES_ON)
        status = options.to ? target_of_options(&options, &request.address, &request.dialect)
                            : target_of_pool(options.file, &request.address, &request.dialect);
    if (status != GOES_ON)
        return status;

    scgi = request.dialect == &dialect_scgi;
    if (options.body_file || scgi)
        snprintf(environment.content_length, sizeof environment.content_length, "%zu", options.body_length);
    environment_init(&environment, &options, scgi);
    request.params = environment.pairs;
    request.param_count = environment.count;
    request.body = (struct bytes){.data = options.body, .length = options.body_length};
    request.timeout_ms = options.timeout_ms;
    request.include = options.include;
    request.verbose = options.verbose;
    return request_run(&request);
}
