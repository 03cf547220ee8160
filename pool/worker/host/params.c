/* Parameters; see params.h. */
#include "pool/worker/host/params.h"

void params_fini(struct params *params)
{
    buffer_fini(&params->text);
    free(params->list);
    *params = (struct params){0};
}

static void add(struct params *params, struct bytes piece, uint8_t forbidden)
{
    uint8_t *to = buffer_room(&params->text, piece.length);
    for (size_t i = 0; i < piece.length; i++)
        to[i] = piece.data[i] == forbidden || piece.data[i] == '\0' ? '?' : piece.data[i];
    params->text.length += piece.length;
}

void params_name(struct params *params, struct bytes piece)
{
    add(params, piece, '=');
}

/* With the first of the value. */
static void end_name(struct params *params)
{
    if (!params->in_value)
        buffer_add(&params->text, bytes_of("="));
    params->in_value = true;
}

void params_value(struct params *params, struct bytes piece)
{
    end_name(params);
    add(params, piece, '\0');
}

void params_pair_end(struct params *params)
{
    end_name(params);
    params->in_value = false;
    buffer_add(&params->text, (struct bytes){(const uint8_t *)"", 1});
    params->count++;
}

void params_end(struct params *params)
{
    char *at = (char *)params->text.data;
    params->list = (char **)buffer_must(calloc(params->count + 1, sizeof *params->list));
    for (size_t i = 0; i < params->count; i++, at += strlen(at) + 1)
        params->list[i] = at;
}

enum scgi_event params_scgi(struct params *params, enum scgi_event event, struct bytes piece)
{
    if (event == SCGI_EVENT_NAME)
        params_name(params, piece);
    if (event == SCGI_EVENT_VALUE)
        params_value(params, piece);
    else if (event == SCGI_EVENT_PAIR)
        params_pair_end(params);
    return event;
}

const char *params_find(char *const *list, const char *name)
{
    size_t length = strlen(name);
    const char *found = NULL;
    for (; *list; list++)
        if (strncmp(*list, name, length) == 0 && (*list)[length] == '=')
            found = *list + length + 1;
    return found;
}
