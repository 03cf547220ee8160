/* The files that a pool writes lines to; see logs.h. */
#include "daemon/logs.h"

#include "daemon/base/log.h"
#include "daemon/master.h"
#include "daemon/output_file.h"

#include <signal.h>
#include <string.h>

static bool is_same(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

/* slowlog.file of `conf`. Returns 0, or -errno with the reason. */
static int open_slowlog(struct master *master, const struct conf *conf, struct problem *problem)
{
    const char *path = conf_text(conf, SETTING_ID_SLOWLOG_FILE);
    if (is_same(path, slowlog_path(master->slowlog)))
        return 0;
    int result = slowlog_open(master->slowlog, path);
    return result ? problem_set(problem, result, "slowlog.file %s: %s", path, strerror(-result)) : 0;
}

void logs_configure(struct master *master, const struct conf *conf)
{
    enum log_format format = log_format_parse(conf_text(conf, SETTING_ID_LOG_FORMAT));
    log_configure(master->name, log_level_parse(conf_text(conf, SETTING_ID_LOG_LEVEL)), format);
    slowlog_configure(master->slowlog, format, conf_settings(conf)->slowlog_stack);
}

/* worker_output_file of `conf`, if it wants one. Likewise. */
static int open_output(struct master *master, const struct conf *conf, struct problem *problem)
{
    const char *path = conf_text(conf, SETTING_ID_WORKER_OUTPUT_FILE);
    if (strcmp(conf_text(conf, SETTING_ID_WORKER_OUTPUT), "file") != 0)
        return 0;
    if (!master->output_file)
        master->output_file = output_file_new("worker_output_file", "lines of the workers");
    if (is_same(path, output_file_path(master->output_file)))
        return 0;
    int result = output_file_open(master->output_file, path);
    return result ? problem_set(problem, result, "worker_output_file %s: %s", path, strerror(-result)) : 0;
}

static int open_files(struct master *master, const struct conf *conf, struct problem *problem)
{
    int result = open_slowlog(master, conf, problem);
    return result ? result : open_output(master, conf, problem);
}

int logs_change(struct master *master, const struct conf *conf, struct problem *problem)
{
    struct problem unused;
    int result = open_files(master, conf, problem);
    if (result)
        (void)!open_files(master, master->live, &unused);
    return result;
}

int logs_open(struct master *master, struct problem *problem)
{
    const char *path = conf_text(master->conf, SETTING_ID_LOG_FILE);
    int result = log_open(path);
    if (result)
        return problem_set(problem, result, "log %s: %s", path ? path : "to standard error",
                           strerror(-result));
    master->slowlog = slowlog_new(master->loop, master->name, conf_credentials(master->conf));
    logs_configure(master, master->conf);
    return open_files(master, master->conf, problem);
}

/* Tells how it went; returns `result`. */
static int tell(int result, const char *what, const char *path, struct problem *problem)
{
    if (result == 0) {
        log_info("%s %s was opened anew", what, path);
        return 0;
    }
    problem_set(problem, result, "%s %s cannot be opened anew: %s; the old one goes on being used", what,
                path, strerror(-result));
    log_error("%s", problem->text);
    return result;
}

int logs_reopen(struct master *master, struct problem *problem)
{
    const char *log = conf_text(master->conf, SETTING_ID_LOG_FILE);
    int log_result = 0, output_result = 0, slow_result = 0;
    upgrade_forward(master, SIGUSR1);
    if (log)
        log_result = tell(log_reopen(), "log", log, problem);
    else
        log_info("the log goes to standard error, which cannot be opened anew");
    if (master->output_file)
        output_result = tell(output_file_reopen(master->output_file), "worker_output_file",
                             output_file_path(master->output_file), problem);
    if (slowlog_path(master->slowlog))
        slow_result =
            tell(slowlog_reopen(master->slowlog), "slowlog.file", slowlog_path(master->slowlog), problem);
    return slow_result ? slow_result : output_result ? output_result : log_result;
}

void logs_close(struct master *master)
{
    slowlog_free(master->slowlog);
    master->slowlog = NULL;
    output_file_free(master->output_file);
    master->output_file = NULL;
}
