/* Numbers of workers; see number.h. */
#include "pool/number.h"

#include "pool/assert.h"
#include "pool/rollout.h"

#include <string.h>

static bool has(const uint64_t *set, uint32_t number)
{
    return set[number / 64] >> (number % 64) & 1;
}

static void add(uint64_t *set, uint32_t number)
{
    set[number / 64] |= UINT64_C(1) << (number % 64);
}

static void note(struct numbers *numbers, uint32_t number)
{
    if (has(numbers->once, number))
        add(numbers->twice, number);
    add(numbers->once, number);
}

static bool stays(const struct slot *slot, uint64_t place)
{
    return slot_is_capacity(slot) && slot->due == REASON_NONE && slot->place == place;
}

void numbers_of_staying(const struct policy *policy, uint64_t place, bool canary, struct numbers *ret_numbers)
{
    ASSERT(policy->slot_count <= NUMBER_MAX);
    memset(ret_numbers, 0, sizeof *ret_numbers);
    for (uint32_t i = 0; i < policy->slot_count; i++) {
        const struct slot *slot = &policy->slots[i];
        if (stays(slot, place) && rollout_is_canary(policy, slot) == canary)
            note(ret_numbers, slot->number);
    }
}

void numbers_of_serving(const struct policy *policy, struct numbers *ret_numbers)
{
    memset(ret_numbers, 0, sizeof *ret_numbers);
    for (uint32_t i = 0; i < policy->slot_count; i++)
        if (stays(&policy->slots[i], policy->place) && policy->slots[i].state == SLOT_SERVING)
            note(ret_numbers, policy->slots[i].number);
}

uint32_t numbers_free(const struct numbers *numbers)
{
    uint32_t word = 0;
    while (numbers->once[word] == UINT64_MAX)
        word++;
    return word * 64 + (uint32_t)__builtin_ctzll(~numbers->once[word]);
}

bool numbers_has(const struct numbers *numbers, uint32_t number)
{
    return has(numbers->once, number);
}

bool numbers_has_twice(const struct numbers *numbers, uint32_t number)
{
    return has(numbers->twice, number);
}
