/* The scanner: recursive descent, as deep as CONF_WHERE_DEPTH; see conf_where.h. */
#include "daemon/conf/conf_where.h"

#include "daemon/base/memory.h"

#include <errno.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct scan {
    struct conf_where *where;
    size_t capacity;
    const char *text;
    size_t length, at;
    unsigned line;
    size_t line_start;
};

static int scan_value(struct scan *scan, int node, int depth);

static struct conf_where_spot here(const struct scan *scan)
{
    return (struct conf_where_spot){scan->line, (unsigned)(scan->at - scan->line_start) + 1};
}

/* The next byte that is not white space; 0 at the end (a NUL in the text is no JSON either). */
static char skip_space(struct scan *scan)
{
    for (; scan->at < scan->length; scan->at++) {
        char c = scan->text[scan->at];
        if (c == '\n') {
            scan->line++;
            scan->line_start = scan->at + 1;
        } else if (c != ' ' && c != '\t' && c != '\r') {
            return c;
        }
    }
    return 0;
}

static int add_node(struct scan *scan, int parent)
{
    struct conf_where *where = scan->where;
    if (where->count == scan->capacity) {
        scan->capacity = scan->capacity ? 2 * scan->capacity : 64;
        where->nodes = memory_must(reallocarray(where->nodes, scan->capacity, sizeof *where->nodes));
    }
    where->nodes[where->count] = (struct conf_where_node){.parent = parent, .first = -1};
    return (int)where->count++;
}

/* Takes a string with its quotes. */
static int scan_string(struct scan *scan)
{
    for (scan->at++; scan->at < scan->length; scan->at++) {
        unsigned char c = (unsigned char)scan->text[scan->at];
        if (c < ' ')
            return -EINVAL;
        if (c == '"') {
            scan->at++;
            return 0;
        }
        if (c == '\\' && scan->at + 1 < scan->length && (unsigned char)scan->text[scan->at + 1] >= ' ')
            scan->at++;
    }
    return -EINVAL;
}

/* Takes a key and gives it decoded, on the heap. */
static int scan_key(struct scan *scan, char **ret_key)
{
    size_t begin = scan->at;
    int r = scan_string(scan);
    if (r < 0)
        return r;

    size_t length = scan->at - begin;
    if (!memchr(scan->text + begin, '\\', length)) {
        *ret_key = memory_must(strndup(scan->text + begin + 1, length - 2));
        return 0;
    }
    json_t *decoded = json_loadb(scan->text + begin, length, JSON_DECODE_ANY, NULL);
    if (!decoded)
        return -EINVAL;
    *ret_key = memory_must(strdup(json_string_value(decoded)));
    json_decref(decoded);
    return 0;
}

static int scan_member(struct scan *scan, int parent, int depth)
{
    struct conf_where_spot spot = here(scan);
    char *key;
    int r = scan_key(scan, &key);
    if (r < 0)
        return r;

    int node = add_node(scan, parent);
    scan->where->nodes[node].key = key;
    scan->where->nodes[node].key_spot = spot;
    if (skip_space(scan) != ':')
        return -EINVAL;
    scan->at++;
    return scan_value(scan, node, depth);
}

static int scan_item(struct scan *scan, int parent, size_t item, int depth)
{
    int node = add_node(scan, parent);
    scan->where->nodes[node].item = item;
    return scan_value(scan, node, depth);
}

/* Takes an object or array from its opening bracket to its closing one. */
static int scan_container(struct scan *scan, int node, int depth)
{
    bool object = scan->text[scan->at] == '{';
    char close = object ? '}' : ']';

    if (depth == CONF_WHERE_DEPTH)
        return -ELOOP;
    scan->at++;
    if (skip_space(scan) == close) {
        scan->at++;
        return 0;
    }
    for (size_t item = 0;; item++) {
        char c = skip_space(scan);
        if (object && c != '"')
            return -EINVAL;
        int r = object ? scan_member(scan, node, depth + 1) : scan_item(scan, node, item, depth + 1);
        if (r < 0)
            return r;
        c = skip_space(scan);
        if (c != close && c != ',')
            return -EINVAL;
        scan->at++;
        if (c == close)
            return 0;
    }
}

/* Takes a number or one of the words true, false and null; anything that looks like one. */
static int scan_word(struct scan *scan)
{
    size_t begin = scan->at;
    while (scan->at < scan->length && scan->text[scan->at] &&
           strchr("+-.0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ", scan->text[scan->at]))
        scan->at++;
    return scan->at > begin ? 0 : -EINVAL;
}

static int scan_value(struct scan *scan, int node, int depth)
{
    char c = skip_space(scan);
    int r;

    scan->where->nodes[node].value_spot = here(scan);
    scan->where->nodes[node].begin = scan->at;
    if (c == '{' || c == '[')
        r = scan_container(scan, node, depth);
    else
        r = c == '"' ? scan_string(scan) : scan_word(scan);
    if (r == 0)
        scan->where->nodes[node].end = scan->at;
    return r;
}

/* What a node is sorted and found by. */
struct name {
    int parent;
    const char *key;
    size_t item;
};

static struct name name_of(const struct conf_where *where, int node)
{
    const struct conf_where_node *n = &where->nodes[node];
    return (struct name){n->parent, n->key, n->item};
}

static int compare_names(struct name a, struct name b)
{
    if (a.parent != b.parent)
        return a.parent < b.parent ? -1 : 1;
    if (a.key && b.key)
        return strcmp(a.key, b.key);
    return a.item < b.item ? -1 : a.item > b.item;
}

static int compare_nodes(const void *a, const void *b, void *context)
{
    const struct conf_where *where = context;
    int i = *(const int *)a, j = *(const int *)b;
    int order = compare_names(name_of(where, i), name_of(where, j));
    return order ? order : (i > j) - (i < j);
}

/* Sorting keeps a file of a hundred thousand keys from costing their square. */
static void sort_and_mark_duplicates(struct conf_where *where)
{
    where->sorted = memory_must(calloc(where->count, sizeof *where->sorted));
    for (size_t i = 0; i < where->count; i++)
        where->sorted[i] = (int)i;
    qsort_r(where->sorted, where->count, sizeof *where->sorted, compare_nodes, where);
    for (size_t i = 1; i < where->count; i++) {
        int before = where->sorted[i - 1], node = where->sorted[i];
        if (compare_names(name_of(where, before), name_of(where, node)) == 0)
            where->nodes[node].first = where->nodes[before].first >= 0 ? where->nodes[before].first : before;
    }
}

int conf_where_init(struct conf_where *ret_where, const char *text, size_t length)
{
    *ret_where = (struct conf_where){0};
    struct scan scan = {.where = ret_where, .text = text, .length = length, .line = 1};
    int r = scan_value(&scan, add_node(&scan, -1), 0);

    if (r == 0 && (skip_space(&scan), scan.at < scan.length))
        r = -EINVAL;
    ret_where->stop = here(&scan);
    sort_and_mark_duplicates(ret_where);
    return r;
}

void conf_where_fini(struct conf_where *where)
{
    for (size_t i = 0; i < where->count; i++)
        free(where->nodes[i].key);
    free(where->nodes);
    free(where->sorted);
    *where = (struct conf_where){0};
}

/* The last node, in the order of `sorted`, that is named `wanted`. */
static int find(const struct conf_where *where, struct name wanted)
{
    size_t low = 0, high = where->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (compare_names(name_of(where, where->sorted[middle]), wanted) > 0)
            high = middle;
        else
            low = middle + 1;
    }
    if (low == 0)
        return -1;
    struct name found = name_of(where, where->sorted[low - 1]);
    bool same_kind = !found.key == !wanted.key;
    return same_kind && compare_names(found, wanted) == 0 ? where->sorted[low - 1] : -1;
}

int conf_where_member(const struct conf_where *where, int parent, const char *key)
{
    return find(where, (struct name){.parent = parent, .key = key});
}

int conf_where_item(const struct conf_where *where, int parent, size_t item)
{
    return find(where, (struct name){.parent = parent, .item = item});
}

void conf_where_path(const struct conf_where *where, int node, char *ret_path, size_t size)
{
    int chain[CONF_WHERE_DEPTH + 1], depth = 0;
    size_t used = 0;

    for (; node > 0; node = where->nodes[node].parent)
        chain[depth++] = node;
    ret_path[0] = '\0';
    while (depth-- > 0 && used < size) {
        const struct conf_where_node *step = &where->nodes[chain[depth]];
        int wrote = step->key ? snprintf(ret_path + used, size - used, "%s%s", used ? "." : "", step->key)
                              : snprintf(ret_path + used, size - used, "[%zu]", step->item);
        used += (size_t)wrote;
    }
}
