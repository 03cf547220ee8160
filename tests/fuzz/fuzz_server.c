/*
 * The input is what a web server sends on one connection to an application that multiplexes. Each request is
 * answered when its body is complete or it is aborted, those with an odd id as soon as their parameters are.
 */
#include "protocol/fcgi_server.h"
#include "tests/fuzz/fuzz.h"

enum { CAPACITY = 5 };

struct hearing {
    struct fcgi_server server;
    struct fcgi_server_request *places[CAPACITY];
    struct fcgi_server_request requests[CAPACITY]; /* id 0: free */
    struct transcript transcripts[CAPACITY + 1];   /* of each request, and of replies */
};

static const struct fcgi_server_limits limits = {
    .capacity = CAPACITY,
    .max_conns = 100,
    .max_reqs = 500,
    .params = {.name = 256, .value = 1024, .total = 8192},
};

static void answer(struct hearing *hearing, struct fcgi_server_request *request)
{
    struct fcgi_end_request end = {.app_status = 1};
    uint8_t out[FCGI_SERVER_END_MAX];
    size_t length = fcgi_server_end(&hearing->server, request, &end, request->id % 3 == 0, out);

    FUZZ_CHECK(length <= sizeof out);
    request->id = 0;
    transcript_add(&hearing->transcripts[CAPACITY], (struct bytes){out, length});
}

static bool is_due(enum fcgi_server_event event, const struct fcgi_server_request *request)
{
    return event == FCGI_SERVER_STDIN_END || event == FCGI_SERVER_ABORT ||
           (event == FCGI_SERVER_PARAMS_END && request->id % 2);
}

static void hear_request(struct hearing *hearing, enum fcgi_server_event event,
                         struct fcgi_server_request *request, struct bytes piece)
{
    struct transcript *transcript = &hearing->transcripts[request - hearing->requests];
    bool is_piece = event == FCGI_SERVER_NAME || event == FCGI_SERVER_VALUE || event == FCGI_SERVER_STDIN;

    FUZZ_CHECK(request->id != 0);
    FUZZ_CHECK(request->params.name_length <= limits.params.name);
    FUZZ_CHECK(request->params.value_length <= limits.params.value);
    FUZZ_CHECK(!is_piece || piece.length > 0);
    if (is_piece)
        transcript_add(transcript, piece);
    else
        transcript_mark(transcript, event);
    if (is_due(event, request))
        answer(hearing, request);
}

static void take(struct hearing *hearing)
{
    int i = 0;

    while (hearing->requests[i].id)
        FUZZ_CHECK(++i < CAPACITY);
    fcgi_server_take(&hearing->server, &hearing->requests[i]);
    transcript_mark(&hearing->transcripts[i], hearing->server.begun.role);
}

/* Returns false after a fault. */
static bool hear(struct hearing *hearing, struct bytes *input)
{
    struct fcgi_server_request *request;
    struct bytes piece = {0};

    for (;;) {
        enum fcgi_server_event event = fcgi_server_next(&hearing->server, input, &request, &piece);

        if (event == FCGI_SERVER_MORE) {
            FUZZ_CHECK(input->length == 0);
            return true;
        }
        if (event == FCGI_SERVER_FAULT)
            return false;
        if (event == FCGI_SERVER_REPLY)
            transcript_add(&hearing->transcripts[CAPACITY], piece);
        else if (event == FCGI_SERVER_BEGIN)
            take(hearing);
        else
            hear_request(hearing, event, request, piece);
        FUZZ_CHECK(hearing->server.active <= CAPACITY);
    }
}

static enum wire_fault hear_all(struct hearing *hearing, const uint8_t *data, size_t size, enum fuzz_cut cut)
{
    bool more = true;

    *hearing = (struct hearing){0};
    fcgi_server_init(&hearing->server, hearing->places, &limits);
    for (size_t at = 0; more && at < size;) {
        struct bytes input = {.data = data + at, .length = fuzz_piece(cut, at, size - at)};

        at += input.length;
        more = hear(hearing, &input);
    }
    FUZZ_CHECK(more == (hearing->server.fault == WIRE_FAULT_NONE));
    return fcgi_server_eof(&hearing->server);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct hearing whole, other;
    enum wire_fault fault = hear_all(&whole, data, size, FUZZ_WHOLE);

    for (int cut = FUZZ_WHOLE + 1; cut < FUZZ_CUTS; cut++) {
        FUZZ_CHECK(hear_all(&other, data, size, (enum fuzz_cut)cut) == fault);
        for (int i = 0; i <= CAPACITY; i++)
            FUZZ_CHECK(transcript_same(&whole.transcripts[i], &other.transcripts[i]));
    }
    return 0;
}
