/* What is told, then FastCGI's pairs and records, then SCGI; see sight.h. */
#include "pool/worker/sight.h"

#include "pool/worker/copy.h"
#include "pool/worker/sight_value.h"
#include "protocol/bytes.h"
#include "protocol/fcgi.h"

enum { PROTOCOL_NONE, PROTOCOL_FCGI, PROTOCOL_SCGI, PROTOCOL_DONE };

/* What to make of a record that is read; STOP: nothing of it, nor of what follows. */
enum { TAKE_NOTHING, TAKE_FLAGS, TAKE_PAIRS, TAKE_STOP };

/* FLAGS_LEFT: of a BEGIN_REQUEST, from the flags on. */
enum { FLAGS_LEFT = 6, SCGI_DIGITS_MAX = 7 };

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

static __attribute__((noinline)) void take_pairs(struct sight *sight, const uint8_t *at, const uint8_t *end)
{
    ptrdiff_t left, length;

    if (sight->part != PART_LENGTH || sight->gathered > 0)
        at = take_pair_in_pieces(sight, at, end);
    if (all_known(sight))
        return;
    for (left = end - at; left >= 2; at += length) {
        uint32_t name = at[0], value = at[1];

        length = 2 + (ptrdiff_t)name + value;
        if ((name | value) > FCGI_LENGTH_SHORT) {
            struct lengths lengths = read_lengths(at, (size_t)left);

            length = (ptrdiff_t)lengths.used + lengths.name + lengths.value;
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

/* ---- FastCGI: records ---- */

/* Takes a header, as far as it is there, off the front. Returns NULL when more of it is to come. */
static const uint8_t *take_header(struct sight_record *record, const uint8_t **at, const uint8_t *end)
{
    size_t piece = smaller((size_t)(end - *at), FCGI_HEADER_LENGTH - (size_t)record->gathered);

    copy_bytes(record->header + record->gathered, *at, piece);
    record->gathered = (uint8_t)(record->gathered + piece);
    *at += piece;
    if (record->gathered < FCGI_HEADER_LENGTH)
        return NULL;
    record->gathered = 0;
    return record->header;
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

/* A record begins. Returns what is to be made of it. Of requests that come at the same time only the header
 * of the last is looked at. */
static inline unsigned begin_record(struct sight *sight, const uint8_t *header, unsigned *events)
{
    uint16_t id = bytes_get_u16(header + 2), content = bytes_get_u16(header + 4);

    if (header[0] != FCGI_VERSION) {
        *events |= give_up(sight);
        return TAKE_STOP;
    }
    if (header[1] == FCGI_PARAMS) {
        if (!sight->in_header || id != sight->id)
            return TAKE_NOTHING;
        if (content > 0)
            return all_known(sight) ? TAKE_NOTHING : TAKE_PAIRS;
        sight->in_header = false;
        *events |= begun(sight);
        if (sight->keeps)
            return TAKE_NOTHING;
        sight->protocol = PROTOCOL_DONE; /* the last request: nothing that is read of the rest matters */
        return TAKE_STOP;
    }
    if (header[1] != FCGI_BEGIN_REQUEST || id == FCGI_NULL_REQUEST_ID)
        return TAKE_NOTHING;
    if (content != FCGI_BODY_LENGTH) {
        *events |= give_up(sight);
        return TAKE_STOP;
    }
    forget_request(sight);
    sight->id = id;
    sight->in_header = true;
    sight->keeps = false;
    sight->open |= id_bit(id);
    return TAKE_FLAGS;
}

/* A piece of the content, of which `left` bytes are left. */
static inline void take_content(struct sight *sight, unsigned take, size_t left, const uint8_t *at,
                                size_t size)
{
    if (take == TAKE_PAIRS)
        take_pairs(sight, at, at + size);
    else if (take == TAKE_FLAGS && left >= FLAGS_LEFT && size > left - FLAGS_LEFT)
        sight->keeps = at[left - FLAGS_LEFT] & FCGI_KEEP_CONN;
}

/* The rest of a record whose header was read is taken in pieces. */
static void begin_pieces(struct sight_record *record, unsigned take, const uint8_t *header)
{
    record->take = (uint8_t)take;
    record->left = rest_length(header);
    record->padding = header[6];
}

/* Of the record at hand the next `size` bytes, and no more than it has. */
static inline void continue_record(struct sight *sight, const uint8_t *at, size_t size)
{
    struct sight_record *record = &sight->in;
    size_t left = record->left, padding = record->padding;

    record->left = (uint32_t)(left - size);
    if (left > padding)
        take_content(sight, record->take, left - padding, at, smaller(size, left - padding));
}

/* A header that comes alone. */
static unsigned read_header(struct sight *sight, const uint8_t *header)
{
    unsigned events = 0, take = begin_record(sight, header, &events);

    if (take != TAKE_STOP)
        begin_pieces(&sight->in, take, header);
    return events;
}

static __attribute__((noinline)) unsigned read_records(struct sight *sight, const uint8_t *at,
                                                       const uint8_t *end)
{
    struct sight_record *record = &sight->in;
    unsigned events = 0, take;

    if (record->gathered > 0) {
        const uint8_t *header = take_header(record, &at, end);

        if (!header)
            return 0;
        take = begin_record(sight, header, &events);
        if (take == TAKE_STOP)
            return events;
        begin_pieces(record, take, header);
    }
    if (record->left > 0) {
        size_t piece = smaller((size_t)(end - at), record->left);

        continue_record(sight, at, piece);
        at += piece;
    }
    while (end - at >= FCGI_HEADER_LENGTH) {
        const uint8_t *content = at + FCGI_HEADER_LENGTH;
        uint32_t rest = rest_length(at);

        take = begin_record(sight, at, &events);
        if (take == TAKE_STOP)
            return events;
        if (rest > (size_t)(end - content)) {
            begin_pieces(record, take, at);
            if (content < end)
                continue_record(sight, content, (size_t)(end - content));
            return events;
        }
        take_content(sight, take, bytes_get_u16(at + 4), content, bytes_get_u16(at + 4));
        at = content + rest;
    }
    if (at < end)
        (void)take_header(record, &at, end); /* the beginning of the next one */
    return events;
}

static inline unsigned read_fcgi(struct sight *sight, const uint8_t *at, size_t size)
{
    if (size <= sight->in.left) {
        continue_record(sight, at, size);
        return 0;
    }
    if (size == FCGI_HEADER_LENGTH && sight->in.left == 0 && sight->in.gathered == 0)
        return read_header(sight, at);
    return read_records(sight, at, at + size);
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

/* Where something stopped, and what happened till then. */
struct stop {
    const uint8_t *at;
    unsigned events;
};

/* The record at hand, as far as it is there; or a new one, of which some is missing. */
static struct stop wrote_in_pieces(struct sight *sight, const uint8_t *at, const uint8_t *end)
{
    struct sight_record *record = &sight->out;
    unsigned events = 0;
    size_t piece;

    if (record->left == 0) {
        const uint8_t *header = take_header(record, &at, end);

        if (!header)
            return (struct stop){.at = end};
        if (header[0] != FCGI_VERSION) {
            sight->lost = true;
            return (struct stop){.at = end};
        }
        record->type = header[1];
        record->id = bytes_get_u16(header + 2);
        record->left = rest_length(header);
    }
    piece = smaller((size_t)(end - at), record->left);
    record->left -= (uint32_t)piece;
    if (record->left == 0 && record->type == FCGI_END_REQUEST)
        events = end_request(sight, record->id);
    return (struct stop){.at = at + piece, .events = events};
}

unsigned sight_wrote(struct sight *sight, const void *bytes, size_t size)
{
    const uint8_t *at = bytes, *end;
    unsigned events = 0;

    if (size == 0 || (!sight->keeps && sight->open == 0) || sight->lost)
        return 0;
    end = at + size;
    if (sight->out.left > 0 || sight->out.gathered > 0) {
        struct stop stop = wrote_in_pieces(sight, at, end);

        at = stop.at;
        events = stop.events;
    }
    while (end - at >= FCGI_HEADER_LENGTH) {
        const uint8_t *content = at + FCGI_HEADER_LENGTH;
        uint32_t rest = rest_length(at);

        if (rest > (size_t)(end - content) || at[0] != FCGI_VERSION)
            break;
        if (at[1] == FCGI_END_REQUEST)
            events |= end_request(sight, bytes_get_u16(at + 2));
        at = content + rest;
    }
    if (at < end)
        events |= wrote_in_pieces(sight, at, end).events;
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

static __attribute__((noinline)) unsigned read_scgi(struct sight *sight, const uint8_t *at,
                                                    const uint8_t *end)
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

unsigned sight_missed(struct sight *sight)
{
    return sight->protocol == PROTOCOL_DONE ? 0 : give_up(sight);
}

/* What is not known to be FastCGI. */
static __attribute__((noinline)) unsigned read_unknown(struct sight *sight, const uint8_t *at, size_t size)
{
    if (size == 0 || sight->protocol == PROTOCOL_DONE)
        return 0;
    if (sight->protocol == PROTOCOL_NONE) {
        if (*at == FCGI_VERSION) {
            sight->protocol = PROTOCOL_FCGI;
            return read_fcgi(sight, at, size);
        }
        if (*at < '0' || *at > '9')
            return give_up(sight);
        sight->protocol = PROTOCOL_SCGI;
    }
    return read_scgi(sight, at, at + size);
}

unsigned sight_read(struct sight *sight, const void *bytes, size_t size)
{
    return sight->protocol == PROTOCOL_FCGI ? read_fcgi(sight, bytes, size)
                                            : read_unknown(sight, bytes, size);
}
