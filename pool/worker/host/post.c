/* Letter boxes; see post.h. */
#include "pool/worker/host/post.h"

#include "pool/worker/host/buffer.h"

struct letter {
    struct letter *next;
    struct fcgipool_request *request;
    fcgipool_callback *callback;
    void *data;
};

static struct letter *empty(struct post_box *box)
{
    pthread_mutex_lock(&box->lock);
    struct letter *first = box->first;
    box->first = NULL;
    box->end = &box->first;
    pthread_mutex_unlock(&box->lock);
    return first;
}

static void on_bell(struct ev_loop *loop, ev_async *bell, int events)
{
    (void)loop, (void)events;
    for (struct letter *letter = empty(bell->data), *next; letter; letter = next) {
        next = letter->next;
        letter->callback(letter->request, letter->data);
        free(letter);
    }
}

void post_open(struct post_box *box, struct ev_loop *loop)
{
    *box = (struct post_box){.loop = loop, .lock = PTHREAD_MUTEX_INITIALIZER};
    box->end = &box->first;
    ev_async_init(&box->bell, on_bell);
    box->bell.data = box;
    ev_async_start(loop, &box->bell);
}

void post_close(struct post_box *box)
{
    ev_async_stop(box->loop, &box->bell);
    for (struct letter *letter = empty(box), *next; letter; letter = next) {
        next = letter->next;
        free(letter);
    }
    pthread_mutex_destroy(&box->lock);
}

void post_add(struct post_box *box, struct fcgipool_request *request, fcgipool_callback *callback, void *data)
{
    struct letter *letter = (struct letter *)buffer_must(malloc(sizeof *letter));
    *letter = (struct letter){.request = request, .callback = callback, .data = data};
    pthread_mutex_lock(&box->lock);
    *box->end = letter;
    box->end = &letter->next;
    pthread_mutex_unlock(&box->lock);
    ev_async_send(box->loop, &box->bell);
}

struct ev_loop *post_loop(const struct post_box *box)
{
    return box->loop;
}
