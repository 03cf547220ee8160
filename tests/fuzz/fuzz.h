/*
 * What the harnesses share: cutting an input into pieces, and a transcript of what was made of it. The answer
 * to an input may not depend on how the network cut it, so the transcripts of all cuts must be the same.
 */
#ifndef FCGIPOOL_TESTS_FUZZ_H
#define FCGIPOOL_TESTS_FUZZ_H

#include "protocol/bytes.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Ends the run: libFuzzer keeps the input, replay.c names the file. */
#define FUZZ_CHECK(x)                                                                                        \
    do {                                                                                                     \
        if (!(x)) {                                                                                          \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #x);                                          \
            abort();                                                                                         \
        }                                                                                                    \
    } while (0)

enum fuzz_cut { FUZZ_WHOLE, FUZZ_BYTEWISE, FUZZ_RAGGED, FUZZ_CUTS };

/* Length of the piece that starts at `position`: at least 1, at most `left`. */
static inline size_t fuzz_piece(enum fuzz_cut cut, size_t position, size_t left)
{
    size_t length = cut == FUZZ_WHOLE ? left : cut == FUZZ_BYTEWISE ? 1 : 1 + position * 2654435761U / 7 % 23;

    return length < left ? length : left;
}

/* A digest of events and bytes (FNV-1a) that pieces cannot be seen in. */
struct transcript {
    uint64_t digest;
    uint64_t length;
};

static inline void transcript_add(struct transcript *transcript, struct bytes bytes)
{
    for (size_t i = 0; i < bytes.length; i++)
        transcript->digest = (transcript->digest ^ bytes.data[i]) * 1099511628211U;
    transcript->length += bytes.length;
}

static inline void transcript_mark(struct transcript *transcript, uint32_t mark)
{
    transcript_add(transcript, (struct bytes){.data = (const uint8_t *)&mark, .length = sizeof mark});
}

static inline bool transcript_same(const struct transcript *a, const struct transcript *b)
{
    return a->digest == b->digest && a->length == b->length;
}

#endif
