/*
 * Where things stand in a control file: a scanner of our own beside jansson, which keeps no positions and
 * drops duplicate keys. It also gets as far as it can in a broken file, which serves to find the name in
 * there. It finds structure only; whether numbers and words are valid is jansson's matter.
 */
#ifndef FCGIPOOL_DAEMON_CONF_CONF_WHERE_H
#define FCGIPOOL_DAEMON_CONF_CONF_WHERE_H

#include <stddef.h>

/* Deepest nesting of objects and arrays. */
#define CONF_WHERE_DEPTH 16

/* 1-based, the column in bytes. */
struct conf_where_spot {
    unsigned line, column;
};

/* One value. Node 0 is the top. */
struct conf_where_node {
    int parent;  /* the node that it is in; -1 for the top */
    char *key;   /* member of an object: its key, decoded, owned; else NULL */
    size_t item; /* item of an array: its number from 0 */
    struct conf_where_spot key_spot, value_spot;
    size_t begin, end; /* bytes of the value; end 0: the text broke off in it */
    int first;         /* duplicate key: the first node of this key; else -1 */
};

struct conf_where {
    struct conf_where_node *nodes; /* owned; in the order of the text */
    size_t count;
    int *sorted;                 /* owned; by parent, then key or item, then order */
    struct conf_where_spot stop; /* where scanning ended */
};

/* Scans. The result is usable, and must be released, even on failure: it then holds what came before `stop`.
 * Returns 0, -EINVAL (not JSON) or -ELOOP (too deep). */
__attribute__((warn_unused_result)) int conf_where_init(struct conf_where *ret_where, const char *text,
                                                        size_t length);
void conf_where_fini(struct conf_where *where);

/* The member `key` (of duplicates the last, as in jansson), or item `item`, of node `parent`; -1: none. */
int conf_where_member(const struct conf_where *where, int parent, const char *key);
int conf_where_item(const struct conf_where *where, int parent, size_t item);

/* Writes "env.PATH" or "command[1]"; cut to the size. */
void conf_where_path(const struct conf_where *where, int node, char *ret_path, size_t size);

#endif
