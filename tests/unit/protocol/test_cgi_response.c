/* CGI response headers: where they end, which status they mean, and what is no header. */
#include "protocol/cgi_response.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

struct story {
    char header[256];
    char body[256];
    bool complete;
    unsigned status;
    enum wire_fault fault;
};

static void feed(struct cgi_response *response, struct story *story, const char *text, size_t length)
{
    uint8_t *copy = test_malloc(length + 1);
    struct bytes input = {.data = copy + 1, .length = length};
    struct bytes piece;

    memcpy(copy + 1, text, length);
    for (;;) {
        switch (cgi_response_next(response, &input, &piece)) {
        case CGI_RESPONSE_HEADER:
            assert_true(piece.length > 0);
            assert_string_equal(story->body, "");
            strncat(story->header, (const char *)piece.data, piece.length);
            continue;
        case CGI_RESPONSE_BODY:
            assert_true(piece.length > 0);
            strncat(story->body, (const char *)piece.data, piece.length);
            continue;
        case CGI_RESPONSE_FAULT:
            story->fault = response->fault;
            break;
        case CGI_RESPONSE_MORE:
            assert_int_equal(input.length, 0);
            break;
        }
        break;
    }
    story->complete = cgi_response_complete(response);
    story->status = response->status;
    test_free(copy);
}

/* The answer must be the same in one piece, byte by byte, and at every split in two. */
static struct story read_response(const char *text)
{
    size_t length = strlen(text);
    struct story whole = {0};
    struct cgi_response response;

    cgi_response_init(&response);
    feed(&response, &whole, text, length);
    for (size_t split = 0; split <= length; split++) {
        struct story story = {0};

        cgi_response_init(&response);
        feed(&response, &story, text, split);
        feed(&response, &story, text + split, length - split);
        assert_memory_equal(&story, &whole, sizeof whole);
    }
    struct story bytewise = {0};
    cgi_response_init(&response);
    for (size_t i = 0; i < length; i++)
        feed(&response, &bytewise, text + i, 1);
    assert_string_equal(bytewise.header, whole.header);
    assert_string_equal(bytewise.body, whole.body);
    assert_int_equal(bytewise.fault, whole.fault);
    return whole;
}

static void finds_the_body(void **state)
{
    static const struct {
        const char *header;
        const char *body;
    } rows[] = {
        {"Content-Type: text/plain\r\n\r\n", "body"},
        {"Content-Type: text/plain\n\n", "\nbody\r\n\r\n"},
        {"A: 1\r\nB: 2\n\r\n", "mixed"},
        {"\r\n", "no header at all"},
        {"\n", ":"},
        {"X-Colons: a:b:c\r\nX-Empty:\r\n\r\n", ""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char text[128];

        strcpy(text, rows[i].header);
        strcat(text, rows[i].body);
        struct story story = read_response(text);
        assert_int_equal(story.fault, WIRE_FAULT_NONE);
        assert_true(story.complete);
        assert_string_equal(story.header, rows[i].header);
        assert_string_equal(story.body, rows[i].body);
    }
}

static void tells_the_status(void **state)
{
    static const struct {
        const char *text;
        unsigned status;
    } rows[] = {
        {"Content-Type: text/plain\r\n\r\n", 200},
        {"Status: 404 Not Found\r\n\r\n", 404},
        {"STATUS:503\n\n", 503},
        {"status: \t 201 \n\n", 201},
        {"Status: 100\tx 7 y\r\n\r\n", 100},
        {"Location: http://example.org/\r\n\r\n", 302},
        {"Location: /a\r\nStatus: 301 Moved\r\n\r\n", 301},
        {"Status: 303 See Other\r\nLocation: /a\r\n\r\n", 303},
        {"Status: 200\nStatus: 500\n\n", 500},
        {"X-Status: 404\nStatuses: 404\nStatu: 404\nLocations: x\nContent-Location: x\n\n", 200},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct story story = read_response(rows[i].text);

        assert_true(story.complete);
        assert_int_equal(story.status, rows[i].status);
    }
}

static void refuses_what_is_no_header(void **state)
{
    static const struct {
        const char *text;
        enum wire_fault fault;
        const char *header; /* what was a header until then */
    } rows[] = {
        {"<html>\n", WIRE_FAULT_CGI_LINE, "<html>"},
        {"HTTP/1.1 200 OK\r\n", WIRE_FAULT_CGI_LINE, "HTTP/1.1 200 OK\r"},
        {": value\n", WIRE_FAULT_CGI_LINE, ""},
        {"A: 1\n continued\n", WIRE_FAULT_CGI_LINE, "A: 1\n"},
        {"A: 1\n\tcontinued\n", WIRE_FAULT_CGI_LINE, "A: 1\n"},
        {"A: 1\n\rB: 2\n", WIRE_FAULT_CGI_LINE, "A: 1\n\r"},
        {"Status:\n\n", WIRE_FAULT_CGI_STATUS, "Status:"},
        {"Status:   \r\n\r\n", WIRE_FAULT_CGI_STATUS, "Status:   \r"},
        {"Status: OK\n", WIRE_FAULT_CGI_STATUS, "Status: "},
        {"Status: 20\n", WIRE_FAULT_CGI_STATUS, "Status: 20"},
        {"Status: 099\n", WIRE_FAULT_CGI_STATUS, "Status: 099"},
        {"Status: 2000\n", WIRE_FAULT_CGI_STATUS, "Status: 200"},
        {"Status: 20/\n", WIRE_FAULT_CGI_STATUS, "Status: 20"},
        {"Status: 4:4\n", WIRE_FAULT_CGI_STATUS, "Status: 4"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct story story = read_response(rows[i].text);

        assert_int_equal(story.fault, rows[i].fault);
        assert_false(story.complete);
        assert_string_equal(story.header, rows[i].header);
        assert_string_equal(story.body, "");
    }
}

static void is_incomplete_until_the_empty_line(void **state)
{
    static const char text[] = "Status: 404\r\nA: b\r\n\r\n";

    (void)state;
    for (size_t length = 0; length < sizeof text; length++) {
        struct cgi_response response;
        struct story story = {0};

        cgi_response_init(&response);
        feed(&response, &story, text, length);
        assert_int_equal(story.complete, length == sizeof text - 1);
        assert_int_equal(story.fault, WIRE_FAULT_NONE);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_the_body),
        cmocka_unit_test(tells_the_status),
        cmocka_unit_test(refuses_what_is_no_header),
        cmocka_unit_test(is_incomplete_until_the_empty_line),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
