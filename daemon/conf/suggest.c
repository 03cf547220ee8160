/* Nearest setting by edit distance; see suggest.h. */
#include "daemon/conf/suggest.h"

#include "pool/assert.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define LONGEST 48

/* Case and the marks between words are what people mix up; they make no distance. */
static char plain(char c)
{
    return c == '_' || c == '-' ? '.' : (char)tolower((unsigned char)c);
}

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Insertions, deletions, replacements, and swaps of neighbours, that make `a` from `b`; both at most LONGEST.
 */
static size_t distance(const char *a, const char *b)
{
    size_t rows[3][LONGEST + 1] = {0};
    size_t length = strlen(b);
    size_t *before = rows[0], *above = rows[1], *row = rows[2];

    ASSERT(length <= LONGEST);
    for (size_t j = 0; j <= length; j++)
        above[j] = j;
    for (size_t i = 1; a[i - 1]; i++) {
        row[0] = i;
        for (size_t j = 1; j <= length; j++) {
            bool same = plain(a[i - 1]) == plain(b[j - 1]);
            row[j] = smaller(above[j - 1] + !same, smaller(above[j], row[j - 1]) + 1);
            if (i > 1 && j > 1 && plain(a[i - 1]) == plain(b[j - 2]) && plain(a[i - 2]) == plain(b[j - 1]))
                row[j] = smaller(row[j], before[j - 2] + 1);
        }
        size_t *spare = before;
        before = above;
        above = row;
        row = spare;
    }
    return above[length];
}

static const char *leaf(const char *path)
{
    const char *dot = strrchr(path, '.');
    return dot ? dot + 1 : path;
}

const struct setting *suggest_setting(const char *path)
{
    const struct setting *best = NULL;
    size_t length = strlen(path);
    size_t best_distance = smaller(length / 3, 2) + 1;
    unsigned same_leaf = 0;

    if (length > LONGEST)
        return NULL;
    for (int id = 0; id < SETTING_IDS; id++) {
        const struct setting *setting = &settings_table[id];
        size_t far = distance(path, setting->path);
        if (far < best_distance) {
            best = setting;
            best_distance = far;
        }
    }
    if (best)
        return best;
    /* The same without its group, or else the only one of that name in a group. */
    int bare = settings_find(leaf(path));
    if (bare >= 0)
        return &settings_table[bare];
    for (int id = 0; id < SETTING_IDS; id++) {
        if (strcmp(leaf(path), leaf(settings_table[id].path)) == 0) {
            best = &settings_table[id];
            same_leaf++;
        }
    }
    return same_leaf == 1 ? best : NULL;
}
