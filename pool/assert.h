/*
 * ASSERT: a bug of ours, found at run time. It survives release builds; whoever links pool/ supplies
 * assert_failed (the daemon logs and aborts, tests fail). Faults of the world are return codes, not asserts.
 */
#ifndef FCGIPOOL_POOL_ASSERT_H
#define FCGIPOOL_POOL_ASSERT_H

/* Never returns. `expression`, `file` and `line` name the broken assumption. */
__attribute__((noreturn)) void assert_failed(const char *expression, const char *file, int line);

/* clang-format off */ /* version 14 moves the # of #x */
/* Under coverage the branch to assert_failed is left out: no test can or should take it. */
#ifdef FCGIPOOL_COVERAGE
#    define ASSERT(x) ((void)sizeof((x) ? 1 : 0))
#else
#    define ASSERT(x) ((x) ? (void)0 : assert_failed(#x, __FILE__, __LINE__))
#endif
/* clang-format on */

#endif
