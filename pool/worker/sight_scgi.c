/* The netstring of SCGI; see sight_parts.h. */
#include "pool/worker/sight_parts.h"

enum { DIGITS_MAX = 7 };

/* Takes the length and its colon, as far as they are there, off the front. */
static unsigned take_length(struct sight *sight, const uint8_t **at, const uint8_t *end)
{
    while (*at < end) {
        uint8_t c = *(*at)++;

        if (c == ':') {
            sight->name_length = 0;
            sight->part = sight->left > 0 ? PART_NAME : PART_COMMA;
            return 0;
        }
        if (c < '0' || c > '9' || sight->gathered == DIGITS_MAX)
            return give_up(sight);
        sight->gathered++;
        sight->left = sight->left * 10 + (c - (uint32_t)'0');
    }
    return 0;
}

/* Takes a name or value, as far as it is there, off the front. */
static void take_text(struct sight *sight, const uint8_t **at, const uint8_t *end)
{
    size_t limit = smaller((size_t)(end - *at), sight->left);
    const uint8_t *text = *at, *null_byte = memchr(text, '\0', limit);
    size_t length = null_byte ? (size_t)(null_byte - text) : limit;
    size_t used = null_byte ? length + 1 : length;

    if (sight->part == PART_VALUE) {
        add_value(sight, text, length);
    } else if (sight->name_length > 0 || !null_byte) {
        add_name(sight, sight->name_length, text, length);
        sight->name_length += (uint32_t)length;
        text = (const uint8_t *)sight->name;
        length = sight->name_length;
    }
    *at += used;
    sight->left -= (uint32_t)used;
    if (!null_byte)
        return;
    if (sight->part == PART_VALUE) {
        end_value(sight);
        sight->name_length = 0;
        sight->part = PART_NAME;
    } else {
        begin_value(sight, choose_target(sight, text, length));
        sight->part = PART_VALUE;
    }
}

/* Takes the rest of the block, as far as it is there, off the front. */
static void skip_block(struct sight *sight, const uint8_t **at, const uint8_t *end)
{
    size_t piece = smaller((size_t)(end - *at), sight->left);

    *at += piece;
    sight->left -= (uint32_t)piece;
}

unsigned sight_scgi_read(struct sight *sight, const uint8_t *at, size_t size)
{
    const uint8_t *end = at + size;
    unsigned events = 0;

    while (at < end && sight->protocol == PROTOCOL_SCGI) {
        if (sight->part == PART_LENGTH) {
            events |= take_length(sight, &at, end);
        } else if (sight->part != PART_COMMA) {
            if (all_known(sight))
                skip_block(sight, &at, end);
            else
                take_text(sight, &at, end);
            if (sight->left == 0)
                sight->part = PART_COMMA;
        } else if (*at != ',') {
            events |= give_up(sight);
        } else {
            sight->protocol = PROTOCOL_DONE;
            events |= begun(sight);
        }
    }
    return events;
}
