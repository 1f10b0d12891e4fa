/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* A ring of the last events of one vCPU: written by its thread, read by any. */
#ifndef MACHINE_TRACE_H
#define MACHINE_TRACE_H

#include <stdatomic.h>

#include <vmm/metrics.h>

/*
 * A record is overwritten while others may read it: its number is odd during
 * that, and 2 * n + 2 once it holds event n.  Whoever finds the same even
 * number before and after has read one event whole.  All words are atomic,
 * stored with release and loaded with acquire order (plain instructions on
 * x86), so that a reader who sees a new word also sees that the number has
 * changed.
 */
#define TRACE_WORDS 5
struct trace_record {
    _Atomic uint64_t number;
    _Atomic uint64_t words[TRACE_WORDS];
};

struct trace_ring {
    struct trace_ring *older; /* smaller ones, which a writer may still hold */
    uint64_t size;            /* a power of two */
    _Atomic uint64_t head;    /* events so far; never starts anew */
    struct trace_record records[];
};

/* Room for `events` at least; NULL: no memory.  Freed with its older ones. */
struct trace_ring *trace_ring_new(size_t events);
void trace_ring_free(struct trace_ring *ring);

/* The vCPU's thread. */
void trace_write(struct trace_ring *ring, const struct vmm_trace_event *event);
/* Any thread.  Of what was written since `start`, the last `limit` events. */
size_t trace_read(struct trace_ring *ring, uint64_t start, uint64_t limit,
                  struct vmm_trace_cursor *cursor,
                  struct vmm_trace_event *events, size_t room);

#endif
