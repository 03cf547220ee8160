/* What workers have of their own; see deal.h. */
#include "daemon/deal.h"

#include "daemon/base/memory.h"

#include <jansson.h>

#define SLOT_WORD "${slot}"

static bool binds(const struct conf *conf)
{
    return strcmp(conf_text(conf, SETTING_ID_CPU_AFFINITY), "auto") == 0;
}

bool deal_is_numbered(const struct conf *conf)
{
    return json_object_size(conf_json(conf, SETTING_ID_ASSIGN)) > 0 || binds(conf);
}

/* `made` is on the heap, and the deal's from now on. */
static char *keep(struct deal *deal, char *made)
{
    deal->made = memory_must(reallocarray(deal->made, deal->made_count + 1, sizeof *deal->made));
    return deal->made[deal->made_count++] = made;
}

/* `text`, or what it becomes. */
static char *expand(struct deal *deal, char *text, uint32_t slot)
{
    char *at = strstr(text, SLOT_WORD);
    if (!at)
        return text;
    char *made = NULL;
    size_t size;
    FILE *stream = memory_must(open_memstream(&made, &size));
    for (; at; text = at + strlen(SLOT_WORD), at = strstr(text, SLOT_WORD))
        fprintf(stream, "%.*s%u", (int)(at - text), text, slot);
    fputs(text, stream);
    fclose(stream);
    return keep(deal, memory_must(made));
}

static size_t length_of(char *const *strings)
{
    size_t count = 0;
    while (strings[count])
        count++;
    return count;
}

static void make_argv(struct deal *deal, char *const *argv, uint32_t slot)
{
    deal->argv = memory_must(calloc(length_of(argv) + 1, sizeof *deal->argv));
    for (size_t i = 0; argv[i]; i++)
        deal->argv[i] = expand(deal, argv[i], slot);
}

static bool is_assigned(const json_t *lists, const char *entry)
{
    return json_object_getn(lists, entry, strcspn(entry, "=")) != NULL;
}

static void make_environment(struct deal *deal, char *const *envp, json_t *lists, uint32_t slot,
                             uint32_t number)
{
    size_t count = 0;
    const char *key;
    json_t *list;
    deal->envp = memory_must(calloc(length_of(envp) + json_object_size(lists) + 1, sizeof *deal->envp));
    for (size_t i = 0; envp[i]; i++)
        if (!is_assigned(lists, envp[i]))
            deal->envp[count++] = expand(deal, envp[i], slot);
    json_object_foreach(lists, key, list)
    {
        const char *value = json_string_value(json_array_get(list, number % json_array_size(list)));
        deal->envp[count++] = expand(deal, keep(deal, memory_text("%s=%s", key, value)), slot);
    }
}

/* The one of ours whose turn it is. */
static void choose_processor(struct deal *deal, uint32_t number)
{
    cpu_set_t ours;
    if (sched_getaffinity(0, sizeof ours, &ours) != 0)
        return;
    int left = (int)(number % (uint32_t)CPU_COUNT(&ours));
    for (int i = 0; i < CPU_SETSIZE; i++) {
        if (!CPU_ISSET(i, &ours) || left-- > 0)
            continue;
        CPU_SET(i, &deal->processor);
        deal->processors = &deal->processor;
        return;
    }
}

void deal_init(struct deal *deal, const struct conf *conf, uint32_t slot, uint32_t number)
{
    *deal = (struct deal){0};
    make_argv(deal, conf_argv(conf), slot);
    make_environment(deal, conf_environment(conf), conf_json(conf, SETTING_ID_ASSIGN), slot, number);
    if (binds(conf))
        choose_processor(deal, number);
}

void deal_fini(struct deal *deal)
{
    for (size_t i = 0; i < deal->made_count; i++)
        free(deal->made[i]);
    free(deal->made);
    free(deal->argv);
    free(deal->envp);
    *deal = (struct deal){0};
}
