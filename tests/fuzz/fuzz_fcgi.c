/*
 * The input is what an application sends on one connection: read as records, then as the answer to a request,
 * whose STDOUT is read as a CGI response.
 */
#include "protocol/cgi_response.h"
#include "protocol/fcgi_client.h"
#include "tests/fuzz/fuzz.h"

static void tell_header(struct transcript *transcript, const struct fcgi_header *header)
{
    uint8_t encoded[FCGI_HEADER_LENGTH];

    fcgi_encode_header(header, encoded);
    transcript_add(transcript, (struct bytes){.data = encoded, .length = sizeof encoded});
}

/* Reads until there is no more input; false after a fault. */
static bool read_records(struct fcgi_parser *parser, struct bytes input, size_t *content_length,
                         struct transcript *transcript)
{
    struct bytes content;

    for (;;) {
        switch (fcgi_parser_next(parser, &input, &content)) {
        case FCGI_EVENT_MORE:
            FUZZ_CHECK(input.length == 0);
            return true;
        case FCGI_EVENT_HEADER:
            tell_header(transcript, &parser->header);
            *content_length = 0;
            break;
        case FCGI_EVENT_CONTENT:
            FUZZ_CHECK(content.length > 0);
            *content_length += content.length;
            transcript_add(transcript, content);
            break;
        case FCGI_EVENT_END:
            FUZZ_CHECK(*content_length == parser->header.content_length);
            transcript_mark(transcript, FCGI_EVENT_END);
            break;
        case FCGI_EVENT_FAULT:
            FUZZ_CHECK(parser->fault != WIRE_FAULT_NONE);
            transcript_mark(transcript, parser->fault);
            return false;
        }
    }
}

static struct transcript records(const uint8_t *data, size_t size, enum fuzz_cut cut)
{
    struct transcript transcript = {0};
    struct fcgi_parser parser;
    size_t content_length = 0;
    size_t step;

    fcgi_parser_init(&parser);
    for (size_t at = 0; at < size; at += step) {
        step = fuzz_piece(cut, at, size - at);
        if (!read_records(&parser, (struct bytes){data + at, step}, &content_length, &transcript))
            return transcript;
    }
    transcript_mark(&transcript, fcgi_parser_idle(&parser));
    return transcript;
}

struct answer {
    struct fcgi_client client;
    struct cgi_response response;
    struct transcript events;
    struct transcript header;
    struct transcript body;
    struct transcript err;
};

static void read_response(struct answer *answer, struct bytes input)
{
    struct bytes piece;

    for (;;) {
        switch (cgi_response_next(&answer->response, &input, &piece)) {
        case CGI_RESPONSE_MORE:
        case CGI_RESPONSE_FAULT:
            return;
        case CGI_RESPONSE_HEADER:
            FUZZ_CHECK(piece.length > 0 && answer->body.length == 0);
            transcript_add(&answer->header, piece);
            break;
        case CGI_RESPONSE_BODY:
            FUZZ_CHECK(piece.length > 0 && cgi_response_complete(&answer->response));
            transcript_add(&answer->body, piece);
            break;
        }
    }
}

/* Reads until there is no more input; false after a fault. */
static bool read_answer(struct answer *answer, struct bytes input)
{
    struct bytes piece;

    for (;;) {
        switch (fcgi_client_receive(&answer->client, &input, &piece)) {
        case FCGI_CLIENT_MORE:
            FUZZ_CHECK(input.length == 0);
            return true;
        case FCGI_CLIENT_STDOUT:
            FUZZ_CHECK(piece.length > 0);
            read_response(answer, piece);
            break;
        case FCGI_CLIENT_STDERR:
            FUZZ_CHECK(piece.length > 0);
            transcript_add(&answer->err, piece);
            break;
        case FCGI_CLIENT_END:
            transcript_mark(&answer->events, answer->client.end.app_status);
            transcript_mark(&answer->events, answer->client.end.protocol_status);
            break;
        case FCGI_CLIENT_FAULT:
            FUZZ_CHECK(answer->client.fault != WIRE_FAULT_NONE);
            return false;
        }
    }
}

static void read_all(struct answer *answer, const uint8_t *data, size_t size, enum fuzz_cut cut)
{
    size_t step;

    *answer = (struct answer){0};
    FUZZ_CHECK(fcgi_client_init(&answer->client, NULL, 0, 0) == WIRE_FAULT_NONE);
    cgi_response_init(&answer->response);
    for (size_t at = 0; at < size; at += step) {
        step = fuzz_piece(cut, at, size - at);
        if (!read_answer(answer, (struct bytes){data + at, step}))
            break;
    }
    transcript_mark(&answer->events, fcgi_client_eof(&answer->client));
    transcript_mark(&answer->events, answer->response.fault);
    transcript_mark(&answer->events, cgi_response_complete(&answer->response));
    transcript_mark(&answer->events, answer->response.status);
    FUZZ_CHECK(answer->response.status >= 100 && answer->response.status <= 999);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct transcript whole = records(data, size, FUZZ_WHOLE);
    struct answer answer;
    struct answer other;

    read_all(&answer, data, size, FUZZ_WHOLE);
    for (int cut = FUZZ_WHOLE + 1; cut < FUZZ_CUTS; cut++) {
        struct transcript again = records(data, size, (enum fuzz_cut)cut);

        FUZZ_CHECK(transcript_same(&whole, &again));
        read_all(&other, data, size, (enum fuzz_cut)cut);
        FUZZ_CHECK(transcript_same(&answer.events, &other.events));
        FUZZ_CHECK(transcript_same(&answer.header, &other.header));
        FUZZ_CHECK(transcript_same(&answer.body, &other.body));
        FUZZ_CHECK(transcript_same(&answer.err, &other.err));
    }
    return 0;
}
