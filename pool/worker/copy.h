/*
 * Copying without libc's memcpy: a sanitizer in the program may have put its own in that place, which takes
 * what threads hand to each other by a descriptor, as libfcgi's do by accept, for a race.
 */
#ifndef FCGIPOOL_POOL_WORKER_COPY_H
#define FCGIPOOL_POOL_WORKER_COPY_H

#include <stddef.h>
#include <stdint.h>

/* Like memcpy. */
static inline void copy_bytes(void *to, const void *from, size_t size)
{
    unsigned char *target = to;
    const unsigned char *source = from;
    for (; size >= sizeof(uint64_t); size -= sizeof(uint64_t)) {
        uint64_t word;
        __builtin_memcpy(&word, source, sizeof word);
        __builtin_memcpy(target, &word, sizeof word);
        source += sizeof word;
        target += sizeof word;
        __asm__("" : "+r"(target)); /* a compiler that saw a copy would call memcpy for it */
    }
    for (; size > 0; size--) {
        *target++ = *source++;
        __asm__("" : "+r"(target));
    }
}

#endif
