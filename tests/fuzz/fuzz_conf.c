/*
 * The input is a control file and, behind NUL bytes, texts for --set. A file that is refused must say why and
 * where; one that is accepted must dump as settings that are accepted and mean the same.
 */
#include "daemon/conf/conf.h"
#include "daemon/conf/conf_where.h"
#include "daemon/kernel/address.h"
#include "tests/fuzz/fuzz.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { SETS_MAX = 4 };

struct input {
    char *text; /* owned */
    size_t length;
    char *sets[SETS_MAX]; /* in `text`'s allocation */
    size_t set_count;
};

/* The file that conf reads; the same descriptor in every run, for the same path. */
static int file = -1;
static char path[64];

static void setup(void)
{
    if (file >= 0)
        return;
    /* Nothing of this machine but its users and /bin. */
    FUZZ_CHECK(clearenv() == 0 && setenv("PATH", "/usr/bin:/bin", 1) == 0);
    file = memfd_create("conf", MFD_CLOEXEC);
    FUZZ_CHECK(file >= 0);
    snprintf(path, sizeof path, "/proc/self/fd/%d", file);
}

static void write_file(const char *text, size_t length)
{
    FUZZ_CHECK(ftruncate(file, 0) == 0);
    FUZZ_CHECK(pwrite(file, text, length, 0) == (ssize_t)length);
}

static void split(struct input *input, const uint8_t *data, size_t size)
{
    *input = (struct input){.text = malloc(size + 1)};
    FUZZ_CHECK(input->text);
    bytes_copy((uint8_t *)input->text, (struct bytes){data, size});
    input->text[size] = '\0';
    input->length = strlen(input->text);
    for (size_t at = input->length + 1; at < size && input->set_count < SETS_MAX; at++) {
        input->sets[input->set_count++] = input->text + at;
        at += strlen(input->text + at);
    }
}

/* ---- what users are told ---- */

static void check_readable(const char *text, size_t size)
{
    json_t *utf8;

    FUZZ_CHECK(memchr(text, '\0', size));
    utf8 = json_string(text);
    FUZZ_CHECK(utf8);
    json_decref(utf8);
    for (; *text; text++)
        FUZZ_CHECK((unsigned char)*text >= ' ' && *text != 0x7f);
}

/* The place is in the text, or right behind the end of a line. */
static void check_place(const struct input *input, unsigned line, unsigned column)
{
    const char *start = input->text;

    FUZZ_CHECK(line >= 1 && column >= 1);
    for (unsigned i = 1; i < line; i++) {
        start = strchr(start, '\n');
        FUZZ_CHECK(start);
        start++;
    }
    FUZZ_CHECK(column <= strcspn(start, "\n") + 1);
}

static void check_problems(const struct input *input, const struct problems *problems)
{
    FUZZ_CHECK(problems->count == PROBLEMS_MAX || (problems->count < PROBLEMS_MAX && !problems->more));
    FUZZ_CHECK(problems->errors <= problems->count || problems->more);
    for (size_t i = 0; i < problems->count; i++) {
        const struct problem *problem = &problems->items[i];

        FUZZ_CHECK(problem->text[0]);
        check_readable(problem->text, sizeof problem->text);
        check_readable(problem->path, sizeof problem->path);
        if (strcmp(problem->file, "--set") == 0) {
            FUZZ_CHECK(problem->line == 0);
            continue;
        }
        FUZZ_CHECK(strcmp(problem->file, path) == 0);
        if (problem->line)
            check_place(input, problem->line, problem->column);
    }
}

/* ---- the scanner beside jansson ---- */

static json_t *parse_node(const struct conf_where_node *node, const char *text)
{
    FUZZ_CHECK(node->end > node->begin);
    return json_loadb(text + node->begin, node->end - node->begin, JSON_DECODE_ANY, NULL);
}

/* Each value is where the scanner says. */
static void check_positions(const struct conf_where *where, int node, json_t *value, const char *text)
{
    json_t *found, *item;
    const char *key;
    size_t i;

    FUZZ_CHECK(node >= 0);
    found = parse_node(&where->nodes[node], text);
    FUZZ_CHECK(json_equal(found, value));
    json_decref(found);
    json_object_foreach(value, key, item)
    {
        check_positions(where, conf_where_member(where, node, key), item, text);
    }
    json_array_foreach(value, i, item)
    {
        check_positions(where, conf_where_item(where, node, i), item, text);
    }
}

static void check_where(const struct input *input)
{
    struct conf_where where;
    int r = conf_where_init(&where, input->text, input->length);
    json_t *root = json_loadb(input->text, input->length, 0, NULL);

    FUZZ_CHECK(r == 0 || r == -EINVAL || r == -ELOOP);
    FUZZ_CHECK(!root || r != -EINVAL);
    check_place(input, where.stop.line, where.stop.column);
    for (size_t i = 0; i < where.count; i++) {
        char name[128];

        check_place(input, where.nodes[i].value_spot.line ? where.nodes[i].value_spot.line : 1,
                    where.nodes[i].value_spot.column ? where.nodes[i].value_spot.column : 1);
        conf_where_path(&where, (int)i, name, sizeof name);
    }
    if (root && r == 0)
        check_positions(&where, 0, root, input->text);
    json_decref(root);
    conf_where_fini(&where);
}

/* ---- what is accepted ---- */

/* The lines of the dump as one object, {"log.level": "info", ...}, without what is not set. */
static json_t *dumped(const struct conf *conf)
{
    json_t *values = json_object();
    char *text = NULL;
    size_t length;
    FILE *stream = open_memstream(&text, &length);
    char *line, *next;

    FUZZ_CHECK(stream && values);
    conf_dump(conf, stream);
    FUZZ_CHECK(fclose(stream) == 0);
    for (line = text; *line; line = next) {
        char *equals = strstr(line, " = "), *end = strchr(line, '\n');
        json_t *value;

        FUZZ_CHECK(end && equals && equals < end);
        *end = '\0';
        next = end + 1;
        value = json_loads(equals + 3, JSON_DECODE_ANY | JSON_DISABLE_EOF_CHECK, NULL);
        FUZZ_CHECK(value);
        line[strcspn(line, " ")] = '\0';
        FUZZ_CHECK(!json_object_get(values, line) && settings_find(line) >= 0);
        if (!json_is_null(value))
            FUZZ_CHECK(json_object_set(values, line, value) == 0);
        json_decref(value);
    }
    free(text);
    return values;
}

/* {"log.level": "info"} -> {"log": {"level": "info"}}. */
static json_t *control_file(json_t *values)
{
    json_t *root = json_object(), *value;
    const char *name;

    json_object_foreach(values, name, value)
    {
        const char *dot = strchr(name, '.');
        size_t length = dot ? (size_t)(dot - name) : strlen(name);

        if (dot && !json_object_getn(root, name, length))
            FUZZ_CHECK(json_object_setn_new(root, name, length, json_object()) == 0);
        FUZZ_CHECK(json_object_set(dot ? json_object_getn(root, name, length) : root, dot ? dot + 1 : name,
                                   value) == 0);
    }
    return root;
}

/* What was dumped is a control file with the same meaning. */
static void check_round_trip(const struct conf *conf)
{
    struct problems problems = PROBLEMS_INIT;
    struct conf *again = NULL;
    json_t *values = dumped(conf), *root = control_file(values), *same;
    char *text = json_dumps(root, JSON_INDENT(2));

    FUZZ_CHECK(text);
    write_file(text, strlen(text));
    int r = conf_load(path, NULL, 0, &problems, &again);
    if (r < 0)
        problems_print(&problems, stderr);
    FUZZ_CHECK(r == 0);
    same = dumped(again);
    FUZZ_CHECK(json_equal(values, same));
    json_decref(same);
    json_decref(root);
    json_decref(values);
    free(text);
    conf_free(again);
    problems_fini(&problems);
}

static void check_address(const char *text)
{
    char formatted[ADDRESS_TEXT_SIZE];
    struct address address, again;
    struct problem problem;

    FUZZ_CHECK(text && address_parse(text, &address, &problem) == 0);
    address_format(&address, formatted, sizeof formatted);
    FUZZ_CHECK(address_parse(formatted, &again, &problem) == 0);
    FUZZ_CHECK(again.length == address.length && again.dual_stack == address.dual_stack);
    FUZZ_CHECK(memcmp(&again.storage, &address.storage, address.length) == 0);
}

static void check_listen(const struct conf *conf)
{
    int fd = -1;
    enum conf_listen kind = conf_listen(conf, &fd);
    if (kind == CONF_LISTEN_ADDRESS)
        check_address(conf_text(conf, SETTING_ID_LISTEN));
    FUZZ_CHECK((fd >= 0) == (kind == CONF_LISTEN_FD));
}

/* The commands find the master that was started from this file. */
static void check_control_socket(const struct conf *conf)
{
    char control[PATH_MAX];
    int r = conf_control_socket(path, control, sizeof control);

    FUZZ_CHECK(r == 0 || r == -ENAMETOOLONG);
    if (conf)
        FUZZ_CHECK(r == 0 && strcmp(control, conf_text(conf, SETTING_ID_CONTROL_SOCKET)) == 0);
}

/* Loads with the first `set_count` texts. */
static void check_load(const struct input *input, size_t set_count)
{
    struct problems problems = PROBLEMS_INIT;
    struct conf *conf = NULL;

    write_file(input->text, input->length);
    int r = conf_load(path, input->sets, set_count, &problems, &conf);
    check_problems(input, &problems);
    FUZZ_CHECK((r == 0) == (conf != NULL) && (r == 0) == (problems.errors == 0));
    if (set_count == 0)
        check_control_socket(conf);
    if (conf) {
        FUZZ_CHECK(conf_argv(conf)[0] && conf_environment(conf)[0]);
        check_listen(conf);
        check_round_trip(conf);
    }
    conf_free(conf);
    problems_fini(&problems);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input;

    setup();
    split(&input, data, size);
    check_where(&input);
    check_load(&input, 0);
    if (input.set_count)
        check_load(&input, input.set_count);
    free(input.text);
    return 0;
}
