/* A file of lines; see output_file.h. */
#include "daemon/output_file.h"

#include "daemon/base/clock.h"
#include "daemon/base/log.h"
#include "daemon/base/memory.h"
#include "daemon/base/sink.h"

#include <string.h>

/* A pipe that is read slowly may be full at every other line. */
#define SILENCE_MS 1000

struct output_file {
    struct sink sink;
    const char *setting;
    const char *lines;
    int64_t silent_until_ms; /* no more is told of it before */
    bool told;               /* that lines are dropped */
};

struct output_file *output_file_new(const char *setting, const char *lines)
{
    struct output_file *file = memory_must(calloc(1, sizeof *file));
    file->sink.fd = -1;
    file->setting = setting;
    file->lines = lines;
    return file;
}

int output_file_open(struct output_file *file, const char *path)
{
    return sink_open(&file->sink, path);
}

int output_file_reopen(struct output_file *file)
{
    return sink_reopen(&file->sink);
}

const char *output_file_path(const struct output_file *file)
{
    return file->sink.path;
}

void output_file_line(struct output_file *file, const char *text, size_t length)
{
    sink_put(&file->sink, text, length);
}

/* That lines are dropped, when it begins; how many they were, when it is over. */
static void tell(struct output_file *file)
{
    struct sink *sink = &file->sink;
    int64_t now_ms = clock_now_ms();
    if (!sink->dropped || now_ms < file->silent_until_ms || (sink->error && file->told))
        return;
    if (sink->error) {
        log_error("%s %s: %s; %s are dropped", file->setting, sink->path, strerror(sink->error), file->lines);
    } else {
        log_warning("%s %s: %lu %s were dropped", file->setting, sink->path, sink->dropped, file->lines);
        sink->dropped = 0;
    }
    file->told = sink->error != 0;
    file->silent_until_ms = now_ms + SILENCE_MS;
}

void output_file_flush(struct output_file *file)
{
    sink_flush(&file->sink);
    tell(file);
}

void output_file_free(struct output_file *file)
{
    if (!file)
        return;
    sink_close(&file->sink);
    if (file->sink.dropped)
        log_warning("%s: %lu %s were dropped", file->setting, file->sink.dropped, file->lines);
    free(file);
}
