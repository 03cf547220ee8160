/*
 * The classic BPF program on a TCP listener: who may connect, and whether anybody still may.
 * A pure function on the caller's buffer; entry.c attaches what it builds.
 */
#ifndef FCGIPOOL_DAEMON_KERNEL_FILTER_H
#define FCGIPOOL_DAEMON_KERNEL_FILTER_H

#include "daemon/kernel/cidr.h"

#include <linux/filter.h>
#include <stdbool.h>
#include <stddef.h>

/* The kernel takes no longer program (BPF_MAXINSNS); net.core.optmem_max may stop it well before. */
#define FILTER_MAX 4096

/* Builds a program that drops every packet whose source is in none of `networks` (count 0: all are allowed),
 * and with `refuse` every SYN that begins a connection. What it lets through, it lets through whole.
 * Returns its length in instructions, at least 1, or -E2BIG when `capacity` does not do. */
__attribute__((warn_unused_result)) int filter_build(const struct cidr *networks, size_t count, bool refuse,
                                                     struct sock_filter *ret_code, size_t capacity);

#endif
