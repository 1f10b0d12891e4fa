/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* The trace ring: one writer that never waits, readers who notice it. */
#include <stdlib.h>

#include "machine/trace.h"

enum { TIME, DURATION, ADDRESS, VALUE, REST };

struct trace_ring *trace_ring_new(size_t events)
{
    size_t size = 64;

    while (size < events)
        size *= 2;
    struct trace_ring *ring =
        calloc(1, sizeof(*ring) + size * sizeof(ring->records[0]));
    if (ring)
        ring->size = size;
    return ring;
}

void trace_ring_free(struct trace_ring *ring)
{
    while (ring) {
        struct trace_ring *older = ring->older;
        free(ring);
        ring = older;
    }
}

/* Kind, type, access, size in a byte each, and the count. */
static uint64_t pack(const struct vmm_trace_event *event)
{
    return (uint64_t)event->kind | (uint64_t)event->type << 8 |
           (uint64_t)event->access << 16 | (uint64_t)event->size << 24 |
           (uint64_t)event->count << 32;
}

static void unpack(uint64_t rest, struct vmm_trace_event *event)
{
    event->kind = (enum vmm_trace_kind)(rest & 0xff);
    event->type = (enum vmm_exit_type)(rest >> 8 & 0xff);
    event->access = (enum vmm_access_kind)(rest >> 16 & 0xff);
    event->size = (uint8_t)(rest >> 24);
    event->count = (uint32_t)(rest >> 32);
}

void trace_write(struct trace_ring *ring, const struct vmm_trace_event *event)
{
    uint64_t n = atomic_load_explicit(&ring->head, memory_order_relaxed);
    struct trace_record *record = &ring->records[n & (ring->size - 1)];
    const uint64_t words[TRACE_WORDS] = {
        [TIME] = event->time_ns,    [DURATION] = event->duration_ns,
        [ADDRESS] = event->address, [VALUE] = event->value,
        [REST] = pack(event),
    };

    atomic_store_explicit(&record->number, 2 * n + 1, memory_order_relaxed);
    for (int i = 0; i < TRACE_WORDS; i++)
        atomic_store_explicit(&record->words[i], words[i],
                              memory_order_release);
    atomic_store_explicit(&record->number, 2 * n + 2, memory_order_release);
    atomic_store_explicit(&ring->head, n + 1, memory_order_release);
}

/* False: event n has been, or is being, overwritten. */
static bool read_one(const struct trace_ring *ring, uint64_t n,
                     struct vmm_trace_event *event)
{
    const struct trace_record *record = &ring->records[n & (ring->size - 1)];
    uint64_t words[TRACE_WORDS];

    if (atomic_load_explicit(&record->number, memory_order_acquire) !=
        2 * n + 2)
        return false;
    for (int i = 0; i < TRACE_WORDS; i++)
        words[i] =
            atomic_load_explicit(&record->words[i], memory_order_acquire);
    if (atomic_load_explicit(&record->number, memory_order_relaxed) !=
        2 * n + 2)
        return false;
    event->time_ns = words[TIME];
    event->duration_ns = words[DURATION];
    event->address = words[ADDRESS];
    event->value = words[VALUE];
    unpack(words[REST], event);
    return true;
}

/* The cursor moves up to n: what lies between is lost. */
static void skip_to(struct vmm_trace_cursor *cursor, uint64_t n)
{
    if (cursor->next < n) {
        cursor->lost += n - cursor->next;
        cursor->next = n;
    }
}

size_t trace_read(struct trace_ring *ring, uint64_t start, uint64_t limit,
                  struct vmm_trace_cursor *cursor,
                  struct vmm_trace_event *events, size_t room)
{
    uint64_t head = atomic_load_explicit(&ring->head, memory_order_acquire);
    size_t count = 0;

    if (cursor->next < start)
        cursor->next = start;
    if (head > limit)
        skip_to(cursor, head - limit);
    while (count < room && cursor->next < head) {
        if (read_one(ring, cursor->next, &events[count])) {
            count++;
            cursor->next++;
        } else {
            skip_to(cursor, cursor->next + 1);
        }
    }
    return count;
}
