/* What is told, then FastCGI's pairs and records, then SCGI; see sight.h. */
#include "pool/worker/sight.h"

#include "pool/worker/copy.h"
#include "pool/worker/sight_value.h"
#include "protocol/bytes.h"
#include "protocol/fcgi.h"

enum { PROTOCOL_NONE, PROTOCOL_FCGI, PROTOCOL_SCGI, PROTOCOL_DONE };

/* What to make of a record that is read: the last two are without content. */
enum { TAKE_NOTHING, TAKE_FLAGS, TAKE_PAIRS, TAKE_END, TAKE_BREAK };

enum { FLAGS_AT = 2, SCGI_DIGITS_MAX = 7 };

void sight_init(struct sight *sight)
{
    memset(sight, 0, offsetof(struct sight, lengths));
    forget_request(sight);
}

bool sight_keeps(const struct sight *sight)
{
    return sight->keeps;
}

bool sight_manages(const struct sight *sight)
{
    return sight->protocol == PROTOCOL_FCGI && sight->open == 0;
}

bool sight_rests(const struct sight *sight)
{
    return sight->keeps && sight->open == 0 && sight->in.gathered == 0 && sight->in.left == 0;
}

/* ---- what is told ---- */

static unsigned begun(struct sight *sight)
{
    sight->begun = true;
    return SIGHT_BEGUN;
}

/* From here on the stream is unknown. */
static unsigned give_up(struct sight *sight)
{
    sight->protocol = PROTOCOL_DONE;
    sight->keeps = false;
    sight->lost = true;
    if (sight->begun)
        return 0;
    forget_request(sight);
    return begun(sight);
}

/* ---- FastCGI: the pairs of PARAMS, split over records or not ---- */

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

static void take_pairs(struct sight *sight, const uint8_t *at, const uint8_t *end)
{
    size_t size;

    if (sight->part != PART_LENGTH || sight->gathered > 0)
        at = take_pair_in_pieces(sight, at, end);
    if (all_known(sight))
        return;
    for (size = (size_t)(end - at); size >= 2;) {
        struct lengths lengths = {.name = at[0], .value = at[1], .used = 2};
        uint64_t length;

        if ((lengths.name | lengths.value) > FCGI_LENGTH_SHORT) {
            lengths = read_lengths(at, size);
            if (lengths.used == 0)
                break;
        }
        length = (uint64_t)lengths.used + lengths.name + lengths.value;
        if (length > size)
            break;
        if (may_be_ours(lengths.name)) {
            const uint8_t *name = at + lengths.used;
            unsigned target = choose_target(sight, name, lengths.name);

            if (target != TARGET_NONE) {
                take_value(sight, target, name + lengths.name, lengths.value);
                if (all_known(sight))
                    return;
            }
        }
        at += length;
        size -= length;
    }
    if (at < end)
        take_pair_in_pieces(sight, at, end);
}

/* ---- FastCGI: records ---- */

/* Returns how much of the header is there. */
static size_t gather_header(struct sight_record *record, const uint8_t *at, const uint8_t *end)
{
    size_t piece = smaller((size_t)(end - at), FCGI_HEADER_LENGTH - (size_t)record->gathered);

    copy_bytes(record->header + record->gathered, at, piece);
    record->gathered = (uint8_t)(record->gathered + piece);
    return piece;
}

/* Takes a header, as far as it is there, off the front. Returns false when more of it is to come. */
static inline bool take_header(struct sight_record *record, const uint8_t **at, const uint8_t *end,
                               const uint8_t **ret_header)
{
    if (record->gathered == 0 && end - *at >= FCGI_HEADER_LENGTH) {
        *ret_header = *at;
        *at += FCGI_HEADER_LENGTH;
        return true;
    }
    *at += gather_header(record, *at, end);
    *ret_header = record->header;
    if (record->gathered < FCGI_HEADER_LENGTH)
        return false;
    record->gathered = 0;
    return true;
}

/* What follows the header: content and padding. */
static uint32_t rest_length(const uint8_t *header)
{
    return (uint32_t)bytes_get_u16(header + 4) + header[6];
}

/* Ids that are 64 apart are taken for one; no web server has that many in hand on a connection. */
static uint64_t id_bit(uint16_t id)
{
    return (uint64_t)1 << (id & 63);
}

/* What is to be made of a record that begins. Of requests that come at the same time only the header of the
 * last is looked at. */
static inline unsigned begin_record(struct sight *sight, const uint8_t *header)
{
    uint16_t id = bytes_get_u16(header + 2), content = bytes_get_u16(header + 4);

    if (header[0] != FCGI_VERSION)
        return TAKE_BREAK;
    if (header[1] == FCGI_PARAMS) {
        if (!sight->in_header || id != sight->id)
            return TAKE_NOTHING;
        if (content == 0)
            return TAKE_END;
        return all_known(sight) ? TAKE_NOTHING : TAKE_PAIRS;
    }
    if (header[1] != FCGI_BEGIN_REQUEST || id == FCGI_NULL_REQUEST_ID)
        return TAKE_NOTHING;
    if (content != FCGI_BODY_LENGTH)
        return TAKE_BREAK;
    forget_request(sight);
    sight->id = id;
    sight->in_header = true;
    sight->keeps = false;
    sight->open |= id_bit(id);
    return TAKE_FLAGS;
}

/* A piece of the content: what is behind its first `before` bytes. */
static inline void take_content(struct sight *sight, unsigned take, size_t before, const uint8_t *at,
                                const uint8_t *end)
{
    if (take == TAKE_PAIRS)
        take_pairs(sight, at, end);
    else if (take == TAKE_FLAGS && before <= FLAGS_AT && (size_t)(end - at) > FLAGS_AT - before)
        sight->keeps = at[FLAGS_AT - before] & FCGI_KEEP_CONN;
}

/* What is there of the record at hand. Returns where it stopped. */
static const uint8_t *take_record_in_pieces(struct sight *sight, const uint8_t *at, const uint8_t *end)
{
    struct sight_record *record = &sight->in;
    size_t content_left = record->left > record->padding ? record->left - record->padding : 0;
    size_t piece = smaller((size_t)(end - at), record->left);

    take_content(sight, record->take, record->content - content_left, at, at + smaller(piece, content_left));
    record->left -= (uint32_t)piece;
    return at + piece;
}

static unsigned read_fcgi(struct sight *sight, const uint8_t *at, const uint8_t *end)
{
    struct sight_record *record = &sight->in;
    unsigned events = 0;

    if (record->left > 0)
        at = take_record_in_pieces(sight, at, end);
    while (at < end) {
        const uint8_t *header;
        unsigned take;
        uint32_t rest;

        if (!take_header(record, &at, end, &header))
            break;
        take = begin_record(sight, header);
        if (take == TAKE_BREAK)
            return events | give_up(sight);
        if (take == TAKE_END) {
            sight->in_header = false;
            events |= begun(sight);
            if (!sight->keeps) { /* the last request: nothing that is read of the rest matters */
                sight->protocol = PROTOCOL_DONE;
                break;
            }
        }
        rest = rest_length(header);
        if (rest <= (size_t)(end - at)) {
            take_content(sight, take, 0, at, at + bytes_get_u16(header + 4));
            at += rest;
            continue;
        }
        record->left = rest;
        record->content = bytes_get_u16(header + 4);
        record->padding = header[6];
        record->take = (uint8_t)take;
        at = take_record_in_pieces(sight, at, end);
    }
    return events;
}

/* The END_REQUEST of `id` is out. */
static unsigned end_request(struct sight *sight, uint16_t id)
{
    if (!(sight->open & id_bit(id)))
        return 0;
    if (id == sight->id)
        sight->in_header = false;
    sight->open &= ~id_bit(id);
    if (sight->open)
        return 0;
    sight->begun = false;
    return SIGHT_ENDED;
}

unsigned sight_wrote(struct sight *sight, const void *bytes, size_t size)
{
    struct sight_record *record = &sight->out;
    const uint8_t *at = bytes, *end;
    unsigned events = 0;

    if (size == 0 || (!sight->keeps && sight->open == 0) || sight->lost)
        return 0;
    end = at + size;
    while (at < end) {
        size_t piece;

        if (record->left == 0) {
            const uint8_t *header;
            uint32_t rest;

            if (!take_header(record, &at, end, &header))
                break;
            if (header[0] != FCGI_VERSION) {
                sight->lost = true;
                break;
            }
            rest = rest_length(header);
            if (rest <= (size_t)(end - at)) {
                at += rest;
                if (header[1] == FCGI_END_REQUEST)
                    events |= end_request(sight, bytes_get_u16(header + 2));
                continue;
            }
            record->type = header[1];
            record->id = bytes_get_u16(header + 2);
            record->left = rest;
        }
        piece = smaller((size_t)(end - at), record->left);
        at += piece;
        record->left -= (uint32_t)piece;
        if (record->left == 0 && record->type == FCGI_END_REQUEST)
            events |= end_request(sight, record->id);
    }
    return events;
}

/* ---- SCGI ---- */

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
        if (c < '0' || c > '9' || sight->gathered == SCGI_DIGITS_MAX)
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

static unsigned read_scgi(struct sight *sight, const uint8_t *at, const uint8_t *end)
{
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

/* ---- both ---- */

unsigned sight_read(struct sight *sight, const void *bytes, size_t size)
{
    const uint8_t *at = bytes;

    if (size == 0)
        return 0;
    if (sight->protocol == PROTOCOL_NONE) {
        if (*at == FCGI_VERSION)
            sight->protocol = PROTOCOL_FCGI;
        else if (*at >= '0' && *at <= '9')
            sight->protocol = PROTOCOL_SCGI;
        else
            return give_up(sight);
    }
    if (sight->protocol == PROTOCOL_FCGI)
        return read_fcgi(sight, at, at + size);
    if (sight->protocol == PROTOCOL_SCGI)
        return read_scgi(sight, at, at + size);
    return 0;
}
