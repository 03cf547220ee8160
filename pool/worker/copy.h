/*
 * Copying without libc's memcpy: a sanitizer in the program may have put its own in that place, which takes
 * what threads hand to each other by a descriptor, as libfcgi's do by accept, for a race.
 */
#ifndef FCGIPOOL_POOL_WORKER_COPY_H
#define FCGIPOOL_POOL_WORKER_COPY_H

#include <stddef.h>
#include <stdint.h>

#define COPY_ONE(type)                                                                                       \
    do {                                                                                                     \
        type piece;                                                                                          \
        __builtin_memcpy(&piece, source, sizeof piece);                                                      \
        __builtin_memcpy(target, &piece, sizeof piece);                                                      \
        source += sizeof piece;                                                                              \
        target += sizeof piece;                                                                              \
        __asm__("" : "+r"(target)); /* a compiler that saw a copy would call memcpy for it */                \
    } while (0)

/* Like memcpy. */
static inline void copy_bytes(void *to, const void *from, size_t size)
{
    unsigned char *target = to;
    const unsigned char *source = from;
    for (; size >= sizeof(uint64_t); size -= sizeof(uint64_t))
        COPY_ONE(uint64_t);
    if (size & sizeof(uint32_t))
        COPY_ONE(uint32_t);
    if (size & sizeof(uint16_t))
        COPY_ONE(uint16_t);
    if (size & 1)
        *target = *source;
}

#undef COPY_ONE

/* Up to the word that has the text's NUL, if there is one; `size` is one of whole words. */
static inline void copy_text(char *to, const char *from, size_t size)
{
    const uint64_t ones = UINT64_MAX / 255, high = ones << 7;
    for (uint64_t word = ones; size > 0 && !((word - ones) & ~word & high); size -= sizeof word) {
        __builtin_memcpy(&word, from, sizeof word);
        __builtin_memcpy(to, &word, sizeof word);
        from += sizeof word;
        to += sizeof word;
    }
}

#endif
