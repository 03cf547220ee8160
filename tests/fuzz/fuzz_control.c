/*
 * The input is what a client sends on the control socket: cut into lines, each read as a request to the
 * master of /srv/shop.json. A refusal must reach the client, as JSON.
 */
#include "daemon/base/exit_code.h"
#include "daemon/control_request.h"
#include "daemon/line_buffer.h"
#include "pool/policy.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>

/* Short, so that lines which are too long are common. */
enum { LIMIT_SHORT = 24, LIMIT_LONG = 65536 };

static void check_refusal(int code, const struct problem *problem)
{
    json_t *message;
    char *text;

    FUZZ_CHECK(code == EXIT_USAGE || code == EXIT_NO_MASTER);
    FUZZ_CHECK(problem->text[0] && memchr(problem->text, '\0', sizeof problem->text));
    message = json_pack("{s:{s:i,s:s}}", "error", "code", code, "text", problem->text);
    text = json_dumps(message, JSON_COMPACT);
    FUZZ_CHECK(text && !strchr(text, '\n'));
    free(text);
    json_decref(message);
}

static void check_scale(const json_t *args, int64_t low, int64_t high)
{
    struct problem problem;
    int64_t number = INT64_MIN;
    bool relative = false;
    int code = control_request_scale(args, low, high, &number, &relative, &problem);

    if (code) {
        check_refusal(code, &problem);
        FUZZ_CHECK(code == EXIT_USAGE && number == INT64_MIN);
    } else if (relative) {
        FUZZ_CHECK(number >= -POLICY_WORKERS_MAX && number <= POLICY_WORKERS_MAX);
    } else {
        FUZZ_CHECK(number >= low && number <= high);
    }
}

static void check_request(const char *line, size_t length)
{
    struct control_request request;
    struct problem problem;
    int code = control_request_init(&request, line, length, "shop", "/srv/shop.json", &problem);

    if (code) {
        check_refusal(code, &problem);
        return;
    }
    FUZZ_CHECK(request.command && (!request.args || json_is_object(request.args)));
    check_scale(request.args, 1, POLICY_WORKERS_MAX);
    check_scale(request.args, 0, 8);
    control_request_fini(&request);
}

/* Takes the lines that are complete; false after one that is too long. */
static bool read_lines(struct line_buffer *lines, struct transcript *transcript, bool parse)
{
    enum line_buffer_event event;
    const char *line;
    size_t length;

    while ((event = line_buffer_next(lines, &line, &length)) == LINE_BUFFER_LINE) {
        FUZZ_CHECK(length <= lines->limit && !memchr(line, '\n', length));
        transcript_mark(transcript, (uint32_t)length);
        transcript_add(transcript, (struct bytes){(const uint8_t *)line, length});
        if (parse)
            check_request(line, length);
    }
    return event == LINE_BUFFER_MORE;
}

static struct transcript read_all(const uint8_t *data, size_t size, size_t limit, enum fuzz_cut cut)
{
    struct transcript transcript = {0};
    struct line_buffer lines;
    bool good = true;
    size_t step;

    line_buffer_init(&lines, limit);
    for (size_t at = 0; at < size && good; at += step) {
        step = fuzz_piece(cut, at, size - at);
        FUZZ_CHECK(line_buffer_push(&lines, (const char *)data + at, step) == 0);
        good = read_lines(&lines, &transcript, cut == FUZZ_WHOLE && limit == LIMIT_LONG);
    }
    transcript_mark(&transcript, good);
    line_buffer_fini(&lines);
    return transcript;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const size_t limits[] = {LIMIT_SHORT, LIMIT_LONG};

    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        struct transcript whole = read_all(data, size, limits[i], FUZZ_WHOLE);

        for (int cut = FUZZ_WHOLE + 1; cut < FUZZ_CUTS; cut++) {
            struct transcript again = read_all(data, size, limits[i], (enum fuzz_cut)cut);

            FUZZ_CHECK(transcript_same(&whole, &again));
        }
    }
    return 0;
}
