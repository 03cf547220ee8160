/* Requests on the control socket: what is taken, and what a refused client is told. */
#include "daemon/control_request.h"

#include "daemon/base/exit_code.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static int parse(struct control_request *ret_request, const char *line, struct problem *problem)
{
    return control_request_init(ret_request, line, strlen(line), "shop", "/srv/shop.json", problem);
}

static void assert_refused(const char *line, int code, const char *text)
{
    struct control_request request;
    struct problem problem;
    assert_int_equal(parse(&request, line, &problem), code);
    assert_string_equal(problem.text, text);
}

static void test_members(void **state)
{
    (void)state;
    struct control_request request;
    struct problem problem;

    assert_int_equal(
        parse(&request, "{\"v\":1,\"command\":\"stop\",\"args\":{\"quick\":true},\"new\":0}", &problem), 0);
    assert_string_equal(request.command, "stop");
    assert_true(json_is_true(json_object_get(request.args, "quick")));
    control_request_fini(&request);
    assert_int_equal(
        parse(&request, "{\"v\":1,\"command\":\"status\",\"file\":\"/srv/shop.json\"}", &problem), 0);
    assert_null(request.args);
    control_request_fini(&request);
}

static void test_refusals(void **state)
{
    (void)state;
    const char *form = "a request is {\"v\":1,\"command\":NAME,\"file\":PATH,\"args\":{}}";
    assert_refused("{\"v\":1}", EXIT_USAGE, form);
    assert_refused("[]", EXIT_USAGE, form);
    assert_refused("{\"v\":1,\"command\":17}", EXIT_USAGE, form);
    assert_refused("{\"v\":1,\"command\":\"status\",\"args\":[]}", EXIT_USAGE, form);
    assert_refused("{\"v\":1,\"command\":\"status\",\"file\":null}", EXIT_USAGE, form);
    assert_refused("{\"v\":2,\"command\":\"status\"}", EXIT_USAGE,
                   "version 2 of the control protocol is not spoken here");
    assert_refused("{\"v\":4294967297,\"command\":\"status\"}", EXIT_USAGE,
                   "version 4294967297 of the control protocol is not spoken here");
    assert_refused("{\"v\":1,\"v\":1}", EXIT_USAGE, "not a JSON object: duplicate object key near '\"v\"'");
    assert_refused("{\"v\":1,\"command\":\"stop\",\"file\":\"/x\"}", EXIT_NO_MASTER,
                   "the master that runs here as \"shop\" was started from /srv/shop.json, not from /x");
}

/* A text that is cut in the middle of a character could not be sent: the client would get no answer at all.
 */
static void test_long_text_is_still_json(void **state)
{
    (void)state;
    for (size_t skip = 0; skip < 3; skip++) {
        struct control_request request;
        struct problem problem;
        char line[1200] = "{\"v\":1,\"command\":\"stop\",\"file\":\"/xxx";
        line[strlen(line) - skip] = '\0';
        for (int i = 0; i < 300; i++)
            strcat(line, "\xe2\x82\xac");
        strcat(line, "\"}");
        assert_int_equal(parse(&request, line, &problem), EXIT_NO_MASTER);
        assert_int_equal(strlen(problem.text), sizeof problem.text - 1);
        json_t *text = json_string(problem.text);
        assert_non_null(text);
        json_decref(text);
    }
}

static int scale(const char *args, int64_t *ret_number, bool *ret_relative)
{
    struct problem problem;
    json_t *json = json_loads(args, 0, NULL);
    int code = control_request_scale(json, 1, 8, ret_number, ret_relative, &problem);
    json_decref(json);
    return code;
}

static void test_scale(void **state)
{
    (void)state;
    int64_t number;
    bool relative;
    assert_int_equal(scale("{\"number\":8,\"relative\":false}", &number, &relative), 0);
    assert_true(number == 8 && !relative);
    assert_int_equal(scale("{\"number\":-4096,\"relative\":true}", &number, &relative), 0);
    assert_true(number == -4096 && relative);
    number = 77;
    static const char *const bad[] = {
        "{\"number\":9,\"relative\":false}",    "{\"number\":0,\"relative\":false}",
        "{\"number\":4097,\"relative\":true}",  "{\"number\":-9223372036854775808,\"relative\":true}",
        "{\"number\":1.5,\"relative\":true}",   "{\"number\":1}",
        "{\"number\":\"1\",\"relative\":true}", "{}",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(scale(bad[i], &number, &relative), EXIT_USAGE);
    assert_int_equal(number, 77);
    struct problem problem;
    assert_int_equal(control_request_scale(NULL, 1, 8, &number, &relative, &problem), EXIT_USAGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_members),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_long_text_is_still_json),
        cmocka_unit_test(test_scale),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
