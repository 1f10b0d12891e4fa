/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* What a machine's vCPUs do, counted, timed and recorded, while they run. */
#ifndef VMM_METRICS_H
#define VMM_METRICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vmm/error.h>
#include <vmm/export.h>
#include <vmm/machine.h>
#include <vmm/vcpu.h>

/*
 * Each vCPU thread writes into memory of its own, without a lock; everything
 * here may be read by any thread at any time.  Exits are counted always.
 * Times are taken while the machine measures, by two readings of
 * CLOCK_MONOTONIC an exit; while it does not, an exit pays for one load.
 */

/* ---- histograms ------------------------------------------------------------
 */

/*
 * Durations in nanoseconds.  0 to 3 have a bucket each; above, every power of
 * two has four of equal width, so that a bucket's bounds are at most 25 %
 * apart. What takes 2^41 ns (36 min) or more is in the last one.
 */
#define VMM_HISTOGRAM_BUCKETS 160
struct vmm_histogram {
    uint64_t count;  /* the buckets' sum */
    uint64_t sum_ns; /* of all durations; may be one behind the count */
    uint64_t max_ns;
    uint64_t buckets[VMM_HISTOGRAM_BUCKETS];
};
/* Which bucket a duration belongs to. */
VMM_API size_t vmm_histogram_bucket(uint64_t duration_ns);
/* A bucket's upper bound, exclusive: the next one's lower. */
VMM_API uint64_t vmm_histogram_bound_ns(size_t bucket);

/* ---- metrics ---------------------------------------------------------------
 */

/* Take times from now on, or no more; what was taken stays, and is added to.
 * -ENOMEM: nothing has changed. */
VMM_API int vmm_machine_measure(struct vmm_machine *machine, bool on,
                                struct vmm_error *err);
VMM_API bool vmm_machine_measures(const struct vmm_machine *machine);
/* From vmm_machine_start (0 before it) until now, or until all vCPUs have
 * finished. */
VMM_API uint64_t vmm_machine_uptime_ns(const struct vmm_machine *machine);

/* Of one vCPU.  index < vmm_machine_vcpu_count(), here and below. */
struct vmm_vcpu_counts {
    uint64_t exits[VMM_EXIT_TYPES];
    uint64_t kicks;  /* it was kept from the guest for a moment, not paused */
    uint64_t pauses; /* it was RUNNING, and is PAUSED */
    uint64_t cpu_ns; /* CPU time of its thread, in the guest or not */
};
VMM_API void vmm_machine_vcpu_counts(const struct vmm_machine *machine,
                                     size_t index,
                                     struct vmm_vcpu_counts *counts);

/* How long exits of a type took to handle, outside the guest. */
VMM_API void vmm_machine_handling(const struct vmm_machine *machine,
                                  size_t index, enum vmm_exit_type type,
                                  struct vmm_histogram *histogram);
/* How long it was in KVM_RUN between two exits, HLT included, pauses not. */
VMM_API void vmm_machine_in_guest(const struct vmm_machine *machine,
                                  size_t index,
                                  struct vmm_histogram *histogram);

/*
 * What was accessed: ports, MMIO addresses, MSRs, hypercalls, each size and
 * direction on its own, in the order of their first access.  There is room for
 * this many a vCPU; a guest that accesses more finds them together in
 * vmm_machine_other_accesses.
 */
#define VMM_ACCESSES_MAX 256
enum vmm_access_kind {
    VMM_ACCESS_NONE, /* an exit that is no access */
    VMM_ACCESS_PIO,
    VMM_ACCESS_MMIO,
    VMM_ACCESS_MSR,
    VMM_ACCESS_HYPERCALL,
};
/* "pio", "mmio", "msr", "hypercall". */
VMM_API const char *vmm_access_kind_name(enum vmm_access_kind kind);
struct vmm_access_metrics {
    enum vmm_access_kind kind;
    bool write;
    uint8_t size;     /* bytes */
    uint64_t address; /* or MSR index, or hypercall number */
    uint64_t bytes;   /* moved in all; more than count * size by string I/O */
    struct vmm_histogram handling;
};
/* False: there are not that many. */
VMM_API bool vmm_machine_access(const struct vmm_machine *machine, size_t index,
                                size_t number, struct vmm_access_metrics *out);
VMM_API void vmm_machine_other_accesses(const struct vmm_machine *machine,
                                        size_t index,
                                        struct vmm_histogram *handling);

/* An fd with KVM's own statistics of a vCPU (vmm/stats.h), which the machine
 * owns; -1 when there is none.  Its thread opens it once the machine measures,
 * at its next kick (which vmm_machine_measure gives) or resume: KVM makes
 * others wait until the vCPU leaves the guest. */
VMM_API int vmm_machine_vcpu_stats_fd(const struct vmm_machine *machine,
                                      size_t index);
/* The same of the VM. */
VMM_API int vmm_machine_stats_fd(struct vmm_machine *machine);

/* ---- trace -----------------------------------------------------------------
 */

enum vmm_trace_kind {
    VMM_TRACE_EXIT,
    VMM_TRACE_KICK,
    VMM_TRACE_PAUSE,
    VMM_TRACE_RESUME,
};
struct vmm_trace_event {
    enum vmm_trace_kind kind;
    uint64_t time_ns; /* CLOCK_MONOTONIC */
    /* Of an exit: */
    enum vmm_exit_type type;
    enum vmm_access_kind access;
    uint8_t size;
    uint32_t count; /* of string I/O */
    uint64_t duration_ns;
    uint64_t address; /* as of an access; of others KVM's exit reason */
    uint64_t value;   /* what was written or read (its first, of a string) */
};

#define VMM_TRACE_EVENTS_MAX (1u << 20)
/*
 * Record the last `events` (1 to VMM_TRACE_EVENTS_MAX) of each vCPU, 48 bytes
 * each, in memory that stays with the machine and is used again by the next
 * trace.  -EBUSY: one runs.  -EINVAL, -ENOMEM.
 */
VMM_API int vmm_machine_trace_start(struct vmm_machine *machine, size_t events,
                                    struct vmm_error *err);
/* What was recorded stays until the next start.  Idempotent. */
VMM_API void vmm_machine_trace_stop(struct vmm_machine *machine);

/* A reader's place in a vCPU's trace; all zero: at its beginning. */
struct vmm_trace_cursor {
    uint64_t next;
    uint64_t lost; /* events that were overwritten before they were read */
};
/* Read up to room events on from the cursor, oldest first, while recording goes
 * on or after it.  Returns how many; 0 at the end. */
VMM_API size_t vmm_machine_trace_read(struct vmm_machine *machine, size_t index,
                                      struct vmm_trace_cursor *cursor,
                                      struct vmm_trace_event *events,
                                      size_t room);

#endif
