/* What stands behind the library; see next.h. */
#include "pool/worker/next.h"

#include <dlfcn.h>
#include <stdarg.h>

/* What the table holds until they are looked up, so that no call has to ask. */
#define NEXT_NAME(name, type, parameters, arguments)                                                         \
    static type find_##name parameters                                                                       \
    {                                                                                                        \
        next_find();                                                                                         \
        return NEXT(name) arguments;                                                                         \
    }
#define NEXT_VARIADIC(name, type, first, second, arguments)                                                  \
    static type find_##name(first, second, ...)                                                              \
    {                                                                                                        \
        va_list rest;                                                                                        \
        va_start(rest, command);                                                                             \
        void *argument = va_arg(rest, void *);                                                               \
        va_end(rest);                                                                                        \
        next_find();                                                                                         \
        return NEXT(name) arguments;                                                                         \
    }
#include "pool/worker/next.def"

#define NEXT_NAME(name, type, parameters, arguments) .next_##name = find_##name,
struct next next_table = {
#include "pool/worker/next.def"
};

#define NEXT_NAME(name, type, parameters, arguments) #name,
static const char names[][16] = {
#include "pool/worker/next.def"
};

_Static_assert(sizeof next_table == sizeof names / sizeof *names * sizeof(void *), "a name an entry");

/* Before glibc 2.34 dlsym was in a library that not every program has loaded; libc itself could load it. */
#pragma weak dlsym
extern void *__libc_dlopen_mode(const char *name, int mode) __attribute__((weak));
extern void *__libc_dlsym(void *library, const char *name) __attribute__((weak));

static void *(*find_dlsym(void))(void *, const char *)
{
    void *(*volatile known)(void *, const char *) = dlsym;
    void *library = NULL;
    if (known)
        return known;
    if (__libc_dlopen_mode && __libc_dlsym)
        library = __libc_dlopen_mode("libdl.so.2", RTLD_NOW | (int)0x80000000);
    return library ? (void *(*)(void *, const char *))__libc_dlsym(library, "dlsym") : NULL;
}

void next_find(void)
{
    void *(*find)(void *, const char *) = find_dlsym();
    void **entry = (void **)&next_table;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        entry[i] = find ? find(RTLD_NEXT, names[i]) : NULL;
}
