/* The pairs of PARAMS, split over records or not; see sight_parts.h. */
#include "pool/worker/sight_parts.h"

#include "pool/worker/hot.h"
#include "protocol/bytes.h"
#include "protocol/fcgi.h"

/* How a pair begins. */
struct lengths {
    uint32_t name;
    uint32_t value;
    uint32_t used; /* bytes that the two take; 0: they are not all there */
};

static struct lengths read_lengths(const uint8_t *at, size_t size)
{
    struct lengths lengths = {.used = 1};

    if (size < 2)
        return (struct lengths){0};
    lengths.name = at[0];
    if (at[0] > FCGI_LENGTH_SHORT) {
        if (size < 5)
            return (struct lengths){0};
        lengths.name = bytes_get_u32(at) & FCGI_LENGTH_MAX;
        lengths.used = 4;
    }
    at += lengths.used;
    lengths.value = at[0];
    if (at[0] <= FCGI_LENGTH_SHORT) {
        lengths.used += 1;
        return lengths;
    }
    lengths.used += 4;
    if (size < lengths.used)
        return (struct lengths){0};
    lengths.value = bytes_get_u32(at) & FCGI_LENGTH_MAX;
    return lengths;
}

/* The pair at hand, as far as it is there; or a new one, of which some is missing. Returns where it stopped:
 * at `end`, or where the next pair begins. */
static const uint8_t *take_pair_in_pieces(struct sight *sight, const uint8_t *at, const uint8_t *end)
{
    struct lengths lengths;
    size_t piece;

    while (sight->part == PART_LENGTH) {
        if (at == end)
            return end;
        sight->lengths[sight->gathered++] = *at++;
        lengths = read_lengths(sight->lengths, sight->gathered);
        if (lengths.used == 0)
            continue;
        sight->gathered = 0;
        sight->name_length = lengths.name;
        sight->value_length = lengths.value;
        sight->left = lengths.name;
        sight->part = PART_NAME;
    }
    if (sight->part == PART_NAME) {
        piece = smaller((size_t)(end - at), sight->left);
        add_name(sight, sight->name_length - sight->left, at, piece);
        at += piece;
        sight->left -= (uint32_t)piece;
        if (sight->left > 0)
            return end;
        begin_value(sight, choose_target(sight, sight->name, sight->name_length));
        sight->left = sight->value_length;
        sight->part = PART_VALUE;
    }
    piece = smaller((size_t)(end - at), sight->left);
    add_value(sight, at, piece);
    at += piece;
    sight->left -= (uint32_t)piece;
    if (sight->left == 0) {
        end_value(sight);
        sight->part = PART_LENGTH;
    }
    return at;
}

/* A whole pair whose name may be ours. True when nothing more is wanted. */
static inline bool take_pair(struct sight *sight, const uint8_t *name, size_t name_length,
                             size_t value_length)
{
    unsigned target = choose_target(sight, name, name_length);

    if (target == TARGET_NONE)
        return false;
    take_value(sight, target, name + name_length, value_length);
    return all_known(sight);
}

HOT __attribute__((noinline)) void sight_pairs_take(struct sight *sight, const uint8_t *at,
                                                    const uint8_t *end)
{
    int64_t left, length;

    if (sight->part != PART_LENGTH || sight->gathered > 0)
        at = take_pair_in_pieces(sight, at, end);
    if (all_known(sight))
        return;
    for (left = end - at; left >= 2; at += length) {
        uint32_t name = at[0], value = at[1];

        length = 2 + (int64_t)name + value;
        if ((name | value) > FCGI_LENGTH_SHORT) {
            struct lengths lengths = read_lengths(at, (size_t)left);

            length = (int64_t)lengths.used + lengths.name + lengths.value;
            if (lengths.used == 0 || (left -= length) < 0)
                break;
            if (may_be_ours(lengths.name) && take_pair(sight, at + lengths.used, lengths.name, lengths.value))
                return;
        } else if ((left -= length) < 0) {
            break;
        } else if (may_be_ours(name) && take_pair(sight, at + 2, name, value)) {
            return;
        }
    }
    if (at < end)
        take_pair_in_pieces(sight, at, end);
}
