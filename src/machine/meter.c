/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Histograms of durations, and the bounded table of what a guest accesses. */
#include <string.h>

#include "machine/meter.h"

/* ---- histograms ------------------------------------------------------------
 */

size_t vmm_histogram_bucket(uint64_t duration_ns)
{
    if (duration_ns < 4)
        return (size_t)duration_ns;
    unsigned power = 63u - (unsigned)__builtin_clzll(duration_ns);
    /* The power of two, then the two bits below the highest one. */
    size_t bucket = (power - 1) * 4 + ((duration_ns >> (power - 2)) & 3);
    return bucket < VMM_HISTOGRAM_BUCKETS ? bucket : VMM_HISTOGRAM_BUCKETS - 1;
}

uint64_t vmm_histogram_bound_ns(size_t bucket)
{
    size_t next = bucket + 1;

    if (next >= VMM_HISTOGRAM_BUCKETS)
        return UINT64_MAX;
    if (next < 4)
        return next;
    return (4 + next % 4) << (next / 4 - 1);
}

static void record(struct meter_histogram *histogram, uint64_t duration_ns)
{
    meter_add(&histogram->buckets[vmm_histogram_bucket(duration_ns)], 1);
    meter_add(&histogram->sum_ns, duration_ns);
    if (duration_ns >
        atomic_load_explicit(&histogram->max_ns, memory_order_relaxed))
        atomic_store_explicit(&histogram->max_ns, duration_ns,
                              memory_order_relaxed);
}

void meter_read(const struct meter_histogram *histogram,
                struct vmm_histogram *out)
{
    out->count = 0;
    for (size_t i = 0; i < VMM_HISTOGRAM_BUCKETS; i++) {
        out->buckets[i] =
            atomic_load_explicit(&histogram->buckets[i], memory_order_relaxed);
        out->count += out->buckets[i];
    }
    out->sum_ns =
        atomic_load_explicit(&histogram->sum_ns, memory_order_relaxed);
    out->max_ns =
        atomic_load_explicit(&histogram->max_ns, memory_order_relaxed);
}

/* ---- accesses --------------------------------------------------------------
 */

struct meter_key meter_key_of(const struct vmm_exit *exit)
{
    struct meter_key key = {.count = 1};

    if (exit->type == VMM_EXIT_PIO_READ || exit->type == VMM_EXIT_PIO_WRITE) {
        key.kind = VMM_ACCESS_PIO;
        key.write = exit->type == VMM_EXIT_PIO_WRITE;
        key.address = exit->u.io.port;
        key.size = exit->u.io.size;
        key.count = exit->u.io.count;
    } else if (exit->type == VMM_EXIT_MMIO_READ ||
               exit->type == VMM_EXIT_MMIO_WRITE) {
        key.kind = VMM_ACCESS_MMIO;
        key.write = exit->type == VMM_EXIT_MMIO_WRITE;
        key.address = exit->u.mmio.gpa;
        key.size = exit->u.mmio.size;
    } else if (exit->type == VMM_EXIT_MSR_READ ||
               exit->type == VMM_EXIT_MSR_WRITE) {
        key.kind = VMM_ACCESS_MSR;
        key.write = exit->type == VMM_EXIT_MSR_WRITE;
        key.address = exit->u.msr.index;
        key.size = 8;
    } else if (exit->type == VMM_EXIT_HYPERCALL) {
        key.kind = VMM_ACCESS_HYPERCALL;
        key.address = exit->u.hypercall.nr;
        key.size = 8;
    }
    return key;
}

const char *vmm_access_kind_name(enum vmm_access_kind kind)
{
    static const char *const names[] = {
        [VMM_ACCESS_NONE] = "none",           [VMM_ACCESS_PIO] = "pio",
        [VMM_ACCESS_MMIO] = "mmio",           [VMM_ACCESS_MSR] = "msr",
        [VMM_ACCESS_HYPERCALL] = "hypercall",
    };

    return names[kind];
}

static bool same(const struct meter_key *a, const struct meter_key *b)
{
    return a->address == b->address && a->kind == b->kind &&
           a->write == b->write && a->size == b->size;
}

static size_t first_slot(const struct meter_key *key)
{
    uint64_t tag = (uint64_t)key->kind << 8 | (uint64_t)key->size << 1 |
                   (key->write ? 1 : 0);
    uint64_t hash = (key->address ^ tag << 52) * UINT64_C(0x9e3779b97f4a7c15);

    return (size_t)(hash >> 32) % METER_SLOTS;
}

/* The entry of what is accessed, made when there is room; NULL: there is none.
 * A guest that chooses its addresses well makes this look at all entries, which
 * is a fraction of what its exit costs. */
static struct meter_access *find(struct meter *meter,
                                 const struct meter_key *key)
{
    size_t slot = first_slot(key);
    unsigned count =
        atomic_load_explicit(&meter->access_count, memory_order_relaxed);

    /* Half of the slots are free at least: this ends. */
    for (; meter->slots[slot]; slot = (slot + 1) % METER_SLOTS) {
        struct meter_access *access = &meter->accesses[meter->slots[slot] - 1];
        if (same(&access->key, key))
            return access;
    }
    if (count == VMM_ACCESSES_MAX)
        return NULL;
    meter->accesses[count].key = *key;
    meter->slots[slot] = (uint16_t)(count + 1);
    atomic_store_explicit(&meter->access_count, count + 1,
                          memory_order_release);
    return &meter->accesses[count];
}

bool meter_read_access(const struct meter *meter, size_t number,
                       struct vmm_access_metrics *out)
{
    if (number >=
        atomic_load_explicit(&meter->access_count, memory_order_acquire))
        return false;
    const struct meter_access *access = &meter->accesses[number];
    out->kind = access->key.kind;
    out->write = access->key.write;
    out->size = access->key.size;
    out->address = access->key.address;
    out->bytes = atomic_load_explicit(&access->bytes, memory_order_relaxed);
    meter_read(&access->handling, &out->handling);
    return true;
}

/* ---- one exit --------------------------------------------------------------
 */

static void leave_guest(struct meter *meter, uint64_t now_ns)
{
    uint64_t since =
        atomic_load_explicit(&meter->in_guest_since_ns, memory_order_relaxed);

    if (since)
        record(&meter->in_guest, meter->in_guest_before_ns + now_ns - since);
    meter->in_guest_before_ns = 0;
}

static void enter_guest(struct meter *meter, uint64_t now_ns)
{
    atomic_store_explicit(&meter->in_guest_since_ns, now_ns,
                          memory_order_relaxed);
}

void meter_exit(struct meter *meter, const struct vmm_exit *exit,
                const struct meter_key *key, uint64_t begin_ns, uint64_t end_ns)
{
    uint64_t duration = end_ns - begin_ns;

    leave_guest(meter, begin_ns);
    record(&meter->handling[exit->type], duration);
    if (key->kind != VMM_ACCESS_NONE) {
        struct meter_access *access = find(meter, key);
        if (access)
            meter_add(&access->bytes, (uint64_t)key->size * key->count);
        record(access ? &access->handling : &meter->other_accesses, duration);
    }
    enter_guest(meter, end_ns);
}

void meter_paused(struct meter *meter, uint64_t now_ns)
{
    uint64_t since =
        atomic_load_explicit(&meter->in_guest_since_ns, memory_order_relaxed);

    meter->in_guest_before_ns += since ? now_ns - since : 0;
    /* It may be paused again without having been in the guest. */
    meter_forget(meter);
}

void meter_resumed(struct meter *meter, uint64_t now_ns)
{
    enter_guest(meter, now_ns);
}

void meter_forget(struct meter *meter)
{
    enter_guest(meter, 0);
}
