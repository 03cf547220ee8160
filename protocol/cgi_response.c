/* A state for each place in a header line; see cgi_response.h. */
#include "protocol/cgi_response.h"

void cgi_response_init(struct cgi_response *response)
{
    *response = (struct cgi_response){.status = 200};
}

static bool name_is(const struct cgi_response *response, const char *name)
{
    return response->name_length == strlen(name) && memcmp(response->name, name, response->name_length) == 0;
}

/* Adds a character; of names that are too long to be ours only the length is kept. */
static void name_add(struct cgi_response *response, char c)
{
    if (response->name_length < sizeof response->name)
        response->name[response->name_length] = (char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
    response->name_length++;
}

static void value_start(struct cgi_response *response)
{
    response->is_status = name_is(response, "status");
    response->code = 0;
    response->code_digits = 0;
    response->code_complete = false;
    if (name_is(response, "location") && !response->status_seen)
        response->status = 302;
    response->part = CGI_RESPONSE_PART_VALUE;
}

/* "Status: 404 Not Found": blanks, three digits, and after a blank anything. */
static enum wire_fault status_add(struct cgi_response *response, char c)
{
    if (response->code_complete)
        return WIRE_FAULT_NONE;
    if (c == ' ' || c == '\t' || c == '\r') {
        response->code_complete = response->code_digits > 0;
        return WIRE_FAULT_NONE;
    }
    if (c < '0' || c > '9' || response->code_digits == 3)
        return WIRE_FAULT_CGI_STATUS;
    response->code = response->code * 10 + (unsigned)(c - '0');
    response->code_digits++;
    return WIRE_FAULT_NONE;
}

static enum wire_fault value_end(struct cgi_response *response)
{
    response->part = CGI_RESPONSE_PART_START;
    response->name_length = 0;
    if (!response->is_status)
        return WIRE_FAULT_NONE;
    if (response->code < 100)
        return WIRE_FAULT_CGI_STATUS;
    response->status = response->code;
    response->status_seen = true;
    return WIRE_FAULT_NONE;
}

static enum wire_fault line_start(struct cgi_response *response, char c)
{
    switch (c) {
    case '\n':
        response->part = CGI_RESPONSE_PART_BODY;
        return WIRE_FAULT_NONE;
    case '\r':
        response->part = CGI_RESPONSE_PART_BORDER;
        return WIRE_FAULT_NONE;
    case ':':
    case ' ':
    case '\t':
        return WIRE_FAULT_CGI_LINE;
    default:
        response->part = CGI_RESPONSE_PART_NAME;
        name_add(response, c);
        return WIRE_FAULT_NONE;
    }
}

/* One character of the header. */
static enum wire_fault header_add(struct cgi_response *response, char c)
{
    switch (response->part) {
    case CGI_RESPONSE_PART_START:
        return line_start(response, c);
    case CGI_RESPONSE_PART_NAME:
        if (c == '\n')
            return WIRE_FAULT_CGI_LINE;
        if (c == ':')
            value_start(response);
        else
            name_add(response, c);
        return WIRE_FAULT_NONE;
    case CGI_RESPONSE_PART_VALUE:
        if (c == '\n')
            return value_end(response);
        return response->is_status ? status_add(response, c) : WIRE_FAULT_NONE;
    case CGI_RESPONSE_PART_BORDER:
    case CGI_RESPONSE_PART_BODY:
        break;
    }
    response->part = CGI_RESPONSE_PART_BODY;
    return c == '\n' ? WIRE_FAULT_NONE : WIRE_FAULT_CGI_LINE;
}

enum cgi_response_event cgi_response_next(struct cgi_response *response, struct bytes *input,
                                          struct bytes *ret_piece)
{
    size_t length = 0;

    if (response->fault != WIRE_FAULT_NONE)
        return CGI_RESPONSE_FAULT;
    if (input->length == 0)
        return CGI_RESPONSE_MORE;
    if (response->part == CGI_RESPONSE_PART_BODY) {
        *ret_piece = bytes_take(input, input->length);
        return CGI_RESPONSE_BODY;
    }
    while (length < input->length && response->part != CGI_RESPONSE_PART_BODY) {
        response->fault = header_add(response, (char)input->data[length]);
        if (response->fault != WIRE_FAULT_NONE)
            break;
        length++;
    }
    if (length == 0)
        return CGI_RESPONSE_FAULT;
    *ret_piece = bytes_take(input, length);
    return CGI_RESPONSE_HEADER;
}

bool cgi_response_complete(const struct cgi_response *response)
{
    return response->fault == WIRE_FAULT_NONE && response->part == CGI_RESPONSE_PART_BODY;
}
