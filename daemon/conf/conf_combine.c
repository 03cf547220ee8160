/* Faults and warnings that only show when all values are known; see conf_object.h. */
#include "daemon/conf/conf_object.h"
#include "daemon/conf/conf_value.h"

#include <inttypes.h>
#include <string.h>

/* The end that was not given stays at its default, unless the other one passes it. */
static void complete_workers(struct conf *conf)
{
    struct settings *settings = &conf->settings;
    struct conf_place *min = &conf->places[SETTING_ID_workers_min];
    struct conf_place *max = &conf->places[SETTING_ID_workers_max];

    if (settings->workers_min <= settings->workers_max)
        return;
    if (max->source == CONF_DEFAULT) {
        settings->workers_max = settings->workers_min;
        *max = *min;
    } else if (min->source == CONF_DEFAULT) {
        settings->workers_min = settings->workers_max;
        *min = *max;
    }
}

static bool sound(const struct conf *conf, enum setting_id id)
{
    return !conf->places[id].faulty;
}

static void check_order(struct conf *conf, struct problems *problems, enum setting_id low,
                        enum setting_id high)
{
    char low_text[CONF_VALUE_SIZE], high_text[CONF_VALUE_SIZE];
    int64_t a = settings_get(&conf->settings, low), b = settings_get(&conf->settings, high);

    if (!sound(conf, low) || !sound(conf, high) || a <= b)
        return;
    conf_value_text(settings_table[low].type, a, low_text);
    conf_value_text(settings_table[high].type, b, high_text);
    if (conf_given(conf, low))
        conf_fault(conf, problems, low, "%s is more than %s, which is %s", low_text,
                   settings_table[high].path, high_text);
    else
        conf_fault(conf, problems, high, "%s is less than %s, which is %s", high_text,
                   settings_table[low].path, low_text);
}

static void warn_of_cut_requests(struct conf *conf, struct problems *problems)
{
    const struct settings *settings = &conf->settings;
    enum setting_id graceful = SETTING_ID_graceful_timeout_ms, timeout = SETTING_ID_timeout_ms;
    char short_text[CONF_VALUE_SIZE], long_text[CONF_VALUE_SIZE];

    if (!sound(conf, graceful) || !sound(conf, timeout) || settings->timeout_ms == 0 ||
        settings->graceful_timeout_ms >= settings->timeout_ms)
        return;
    conf_value_text(SETTING_SECONDS, settings->graceful_timeout_ms, short_text);
    conf_value_text(SETTING_SECONDS, settings->timeout_ms, long_text);
    if (conf_given(conf, graceful))
        conf_warn(conf, problems, graceful,
                  "%s is less than timeout, which is %s: a long request is cut when its worker is retired",
                  short_text, long_text);
    else
        conf_warn(
            conf, problems, timeout,
            "%s is more than graceful_timeout, which is %s: a long request is cut when its worker is retired",
            long_text, short_text);
}

/* True when `id` was given and asks for something. */
static bool asks(const struct conf *conf, enum setting_id id)
{
    bool number = setting_is_number(&settings_table[id]);
    return conf_given(conf, id) && sound(conf, id) && (!number || settings_get(&conf->settings, id) > 0);
}

/* Settings that say how, beside a setting of 0 that says not at all. */
static void warn_of_idle_settings(struct conf *conf, struct problems *problems)
{
    static const struct {
        enum setting_id how, whether;
    } pairs[] = {
        {SETTING_ID_max_requests_jitter, SETTING_ID_max_requests},
        {SETTING_ID_max_lifetime_jitter_ms, SETTING_ID_max_lifetime_ms},
        {SETTING_ID_SLOWLOG_FILE, SETTING_ID_slowlog_threshold_ms},
        {SETTING_ID_slowlog_stack, SETTING_ID_slowlog_threshold_ms},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        if (asks(conf, pairs[i].how) && sound(conf, pairs[i].whether) &&
            settings_get(&conf->settings, pairs[i].whether) == 0)
            conf_warn(conf, problems, pairs[i].how, "has no effect without %s",
                      settings_table[pairs[i].whether].path);
}

/* The kernel does not tell when a request begins. */
static void warn_of_blindness(struct conf *conf, struct problems *problems)
{
    static const enum setting_id blind[] = {SETTING_ID_timeout_ms, SETTING_ID_request_header_timeout_ms,
                                            SETTING_ID_max_requests, SETTING_ID_slowlog_threshold_ms};
    const char *observe = conf->texts[SETTING_ID_OBSERVE];
    if (!observe || !sound(conf, SETTING_ID_OBSERVE) || strcmp(observe, "kernel") != 0)
        return;
    for (size_t i = 0; i < sizeof blind / sizeof *blind; i++)
        if (asks(conf, blind[i]))
            conf_warn(conf, problems, blind[i],
                      "has no effect: with observe \"kernel\" requests are not seen");
}

static void check_sockets_differ(struct conf *conf, struct problems *problems)
{
    const char *listen = conf->texts[SETTING_ID_LISTEN], *control = conf->texts[SETTING_ID_CONTROL_SOCKET];
    if (listen && control && strncmp(listen, "unix:", 5) == 0 && strcmp(listen + 5, control) == 0)
        conf_fault(conf, problems, SETTING_ID_LISTEN,
                   "%s is also the control socket; change one of the paths, or set `name`", control);
}

static void check_worker_output(struct conf *conf, struct problems *problems)
{
    enum setting_id where = SETTING_ID_WORKER_OUTPUT, file = SETTING_ID_WORKER_OUTPUT_FILE;
    if (!sound(conf, where) || !sound(conf, file))
        return;
    bool wanted = strcmp(conf->texts[where], "file") == 0;
    const char *log = conf->texts[SETTING_ID_LOG_FILE];
    if (wanted && !conf->texts[file])
        conf_fault(conf, problems, where, "\"file\" needs a worker_output_file");
    else if (wanted && log && strcmp(log, conf->texts[file]) == 0)
        conf_fault(conf, problems, file, "%s is also log.file; use worker_output \"log\" for one file", log);
    else if (!wanted && conf->texts[file])
        conf_warn(conf, problems, file, "has no effect: worker_output is \"%s\", not \"file\"",
                  conf->texts[where]);
}

/* Usual in containers; but a link, which no log is written through, and of a descriptor that a master in the
 * background gives up. */
static bool is_standard_stream(const char *path)
{
    return path && (strcmp(path, "/dev/stderr") == 0 || strcmp(path, "/dev/stdout") == 0);
}

static void check_standard_streams(struct conf *conf, struct problems *problems)
{
    enum setting_id log = SETTING_ID_LOG_FILE, output = SETTING_ID_WORKER_OUTPUT_FILE;
    enum setting_id slow = SETTING_ID_SLOWLOG_FILE;
    if (sound(conf, log) && is_standard_stream(conf->texts[log]))
        conf_fault(conf, problems, log,
                   "%s is no file; the log goes to standard error when log.file is left out",
                   conf->texts[log]);
    if (sound(conf, output) && is_standard_stream(conf->texts[output]))
        conf_fault(conf, problems, output, "%s is no file; use worker_output \"inherit\" or \"log\"",
                   conf->texts[output]);
    if (sound(conf, slow) && is_standard_stream(conf->texts[slow]))
        conf_fault(conf, problems, slow, "%s is no file; slow requests go to the log when it is left out",
                   conf->texts[slow]);
}

static void check_slowlog(struct conf *conf, struct problems *problems)
{
    static const enum setting_id others[] = {SETTING_ID_LOG_FILE, SETTING_ID_WORKER_OUTPUT_FILE};
    enum setting_id slow = SETTING_ID_SLOWLOG_FILE;
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (sound(conf, slow) && sound(conf, others[i]) && conf->texts[slow] && conf->texts[others[i]] &&
            strcmp(conf->texts[slow], conf->texts[others[i]]) == 0)
            conf_fault(conf, problems, slow, "%s is also %s; slow requests go to the log when it is left out",
                       conf->texts[slow], settings_table[others[i]].path);
}

static void check_background(struct conf *conf, struct problems *problems)
{
    const char *output = conf->texts[SETTING_ID_WORKER_OUTPUT];
    if (!sound(conf, SETTING_ID_daemon) || !conf->settings.daemon)
        return;
    if (!conf->texts[SETTING_ID_LOG_FILE] && sound(conf, SETTING_ID_LOG_FILE))
        conf_warn(conf, problems, SETTING_ID_daemon,
                  "without log.file nobody sees the log once the pool is ready");
    /* The workers would have what the command was given for as long as they live, and whoever waits for its
     * end (ssh, a shell's $(...)) would wait for theirs. */
    if (output && sound(conf, SETTING_ID_WORKER_OUTPUT) && strcmp(output, "inherit") == 0)
        conf_fault(conf, problems, SETTING_ID_WORKER_OUTPUT,
                   "\"inherit\" does not work in the background; use \"log\" or \"file\"");
}

void conf_combine(struct conf *conf, struct problems *problems)
{
    complete_workers(conf);
    check_order(conf, problems, SETTING_ID_workers_min, SETTING_ID_workers_max);
    check_order(conf, problems, SETTING_ID_workers_start, SETTING_ID_workers_max);
    check_order(conf, problems, SETTING_ID_workers_spare, SETTING_ID_workers_max);
    check_order(conf, problems, SETTING_ID_backoff_initial_ms, SETTING_ID_backoff_max_ms);
    check_sockets_differ(conf, problems);
    check_worker_output(conf, problems);
    check_slowlog(conf, problems);
    check_standard_streams(conf, problems);
    warn_of_cut_requests(conf, problems);
    warn_of_idle_settings(conf, problems);
    warn_of_blindness(conf, problems);
    check_background(conf, problems);
    for (enum setting_id id = 0; id < SETTING_IDS; id++)
        if (conf_given(conf, id) && sound(conf, id) && !settings_table[id].in_effect)
            conf_warn(conf, problems, id, "accepted, but not yet in effect");
}
