/* The records of FastCGI, read and written; see sight_parts.h. */
#include "pool/worker/sight_parts.h"

#include "pool/worker/hot.h"
#include "protocol/bytes.h"
#include "protocol/fcgi.h"

/* What to make of a record that is read; STOP: nothing of it, nor of what follows. */
enum { TAKE_NOTHING, TAKE_FLAGS, TAKE_PAIRS, TAKE_STOP };

/* Of a BEGIN_REQUEST, from the flags on. */
enum { FLAGS_LEFT = 6 };

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
        sight_pairs_take(sight, at, at + size);
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

static HOT __attribute__((noinline)) unsigned read_records(struct sight *sight, const uint8_t *at,
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

HOT unsigned sight_fcgi_read(struct sight *sight, const uint8_t *at, size_t size)
{
    if (size <= sight->in.left) {
        continue_record(sight, at, size);
        return 0;
    }
    if (size == FCGI_HEADER_LENGTH && sight->in.left == 0 && sight->in.gathered == 0)
        return read_header(sight, at);
    return read_records(sight, at, at + size);
}

/* ---- what is written ---- */

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

/* Where something stopped, and what happened till then: in registers, for an answer that is whole. */
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

HOT unsigned sight_wrote(struct sight *sight, const void *bytes, size_t size)
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
