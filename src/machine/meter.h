/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Where one vCPU's times are added up: by its thread only, for any reader. */
#ifndef MACHINE_METER_H
#define MACHINE_METER_H

#include <stdatomic.h>

#include <vmm/metrics.h>

/* Its writer's sums.  One writer: a load and a store are cheaper than a locked
 * add, and readers see whole words. */
struct meter_histogram {
    _Atomic uint64_t sum_ns;
    _Atomic uint64_t max_ns;
    _Atomic uint64_t buckets[VMM_HISTOGRAM_BUCKETS];
};

static inline void meter_add(_Atomic uint64_t *sum, uint64_t n)
{
    uint64_t before = atomic_load_explicit(sum, memory_order_relaxed);

    atomic_store_explicit(sum, before + n, memory_order_relaxed);
}

/* What an exit accesses. */
struct meter_key {
    uint64_t address;
    enum vmm_access_kind kind;
    bool write;
    uint8_t size;
    uint32_t count;
};
struct meter_key meter_key_of(const struct vmm_exit *exit);

/* The key does not change once readers can see it. */
struct meter_access {
    struct meter_key key;
    _Atomic uint64_t bytes;
    struct meter_histogram handling;
};

/* Twice as many slots as accesses: a search ends soon. */
#define METER_SLOTS (2 * VMM_ACCESSES_MAX)

struct meter {
    /* The stay in the guest that is going on: when it began or went on (0: that
     * is not known), and how long it was before a pause. */
    _Atomic uint64_t in_guest_since_ns;
    uint64_t in_guest_before_ns;
    struct meter_histogram in_guest;
    struct meter_histogram handling[VMM_EXIT_TYPES];
    struct meter_histogram other_accesses;

    uint16_t slots[METER_SLOTS]; /* number of an access plus one; 0: free */
    atomic_uint access_count;
    struct meter_access accesses[VMM_ACCESSES_MAX];
};

/* The vCPU's thread: an exit was handled from begin to end; the vCPU is paused,
 * is resumed. */
void meter_exit(struct meter *meter, const struct vmm_exit *exit,
                const struct meter_key *key, uint64_t begin_ns,
                uint64_t end_ns);
void meter_paused(struct meter *meter, uint64_t now_ns);
void meter_resumed(struct meter *meter, uint64_t now_ns);
/* Any thread, while nothing is measured: it is not known since when the vCPU
 * has been in the guest. */
void meter_forget(struct meter *meter);

/* Any thread. */
void meter_read(const struct meter_histogram *histogram,
                struct vmm_histogram *out);
bool meter_read_access(const struct meter *meter, size_t number,
                       struct vmm_access_metrics *out);

#endif
