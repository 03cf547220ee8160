/* The control file, by generation; see versions.h. */
#include "daemon/versions.h"

#include "daemon/base/memory.h"
#include "pool/assert.h"
#include "pool/move.h"

#include <stdlib.h>

static void add(struct versions *versions, const struct version *version)
{
    versions->items =
        memory_must(reallocarray(versions->items, versions->count + 1, sizeof *versions->items));
    versions->items[versions->count++] = *version;
}

void versions_init(struct versions *versions, uint64_t generation, const struct conf *conf)
{
    add(versions, &(struct version){.generation = generation, .conf = conf});
}

void versions_add(struct versions *versions, uint64_t generation, struct conf *conf)
{
    add(versions, &(struct version){.generation = generation, .conf = conf, .owned = conf});
}

struct version *versions_of(const struct versions *versions, uint64_t generation)
{
    for (size_t i = 0; i < versions->count; i++)
        if (versions->items[i].generation == generation)
            return &versions->items[i];
    ASSERT(!"a generation without a control file");
    return NULL;
}

/* A start may wait for its template. */
static bool is_starting(const struct policy *policy, uint64_t generation)
{
    for (uint32_t i = 0; i < policy->slot_count; i++)
        if (policy->slots[i].state == SLOT_STARTING && policy->slots[i].generation == generation)
            return true;
    return false;
}

static bool is_wanted(const struct policy *policy, uint64_t generation)
{
    return generation == policy->generation || generation == policy->candidate ||
           generation == policy->fallback || move_starts(policy, generation) ||
           is_starting(policy, generation);
}

static void drop(const struct version *version)
{
    template_free(version->template);
    conf_free(version->owned);
}

void versions_prune(struct versions *versions, const struct policy *policy, const struct conf *live)
{
    size_t kept = 0;
    for (size_t i = 0; i < versions->count; i++) {
        const struct version *version = &versions->items[i];
        if (is_wanted(policy, version->generation) || version->conf == live)
            versions->items[kept++] = *version;
        else
            drop(version);
    }
    versions->count = kept;
}

void versions_fini(struct versions *versions)
{
    for (size_t i = 0; i < versions->count; i++)
        drop(&versions->items[i]);
    free(versions->items);
}
