/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Metrics and traces of a machine: its probes on the vCPU threads, switched on
 * and off, and read. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "machine/internal.h"
#include <vmm/stats.h>

/* ---- on the vCPU's thread --------------------------------------------------
 */

/* What an access moves, of a string its first. */
static uint64_t value_of(const struct vmm_exit *exit,
                         const struct meter_key *key)
{
    uint64_t value = 0;

    if (key->kind == VMM_ACCESS_PIO)
        memcpy(&value, exit->u.io.data, key->size);
    else if (key->kind == VMM_ACCESS_MMIO)
        memcpy(&value, exit->u.mmio.data, key->size);
    else if (key->kind == VMM_ACCESS_MSR)
        value = *exit->u.msr.data;
    else if (key->kind == VMM_ACCESS_HYPERCALL)
        value = *exit->u.hypercall.ret;
    return value;
}

static void trace_exit(struct machine_vcpu *slot, const struct vmm_exit *exit,
                       const struct meter_key *key, uint64_t begin_ns,
                       uint64_t end_ns)
{
    bool is_access = key->kind != VMM_ACCESS_NONE;
    struct vmm_trace_event event = {
        .kind = VMM_TRACE_EXIT,
        .time_ns = begin_ns,
        .duration_ns = end_ns - begin_ns,
        .type = exit->type,
        .access = key->kind,
        .size = key->size,
        .count = key->count,
        .address = is_access ? key->address : exit->number,
        .value = value_of(exit, key),
    };

    trace_write(atomic_load_explicit(&slot->ring, memory_order_acquire),
                &event);
}

int machine_probe_exit(struct machine_vcpu *slot, struct vmm_vcpu *vcpu,
                       struct vmm_exit *exit, unsigned probes)
{
    struct meter_key key = meter_key_of(exit);

    uint64_t begin_ns = vmm_now_ns();
    int rc = vmm_machine_dispatch(slot->machine, vcpu, exit);
    uint64_t end_ns = vmm_now_ns();

    if (probes & MACHINE_MEASURES)
        meter_exit(atomic_load_explicit(&slot->meter, memory_order_relaxed),
                   exit, &key, begin_ns, end_ns);
    if (probes & MACHINE_TRACES)
        trace_exit(slot, exit, &key, begin_ns, end_ns);
    return rc;
}

static void count_event(struct machine_vcpu *slot, enum vmm_vcpu_event event)
{
    clockid_t clock;

    if (event == VMM_VCPU_KICKED)
        meter_add(&slot->kicks, 1);
    else if (event == VMM_VCPU_SETTLED)
        meter_add(&slot->pauses, 1);
    else if (!atomic_load_explicit(&slot->cpu_clock, memory_order_relaxed) &&
             pthread_getcpuclockid(pthread_self(), &clock) == 0)
        atomic_store(&slot->cpu_clock, clock);
}

/* KVM_GET_STATS_FD waits for a vCPU that runs: only its own thread may ask. */
static void open_stats(struct machine_vcpu *slot)
{
    if (atomic_load_explicit(&slot->stats_fd, memory_order_relaxed) < 0) {
        int fd = vmm_stats_open(vmm_vcpu_fd(slot->vcpu));
        atomic_store(&slot->stats_fd, fd < 0 ? -1 : fd);
    }
}

void machine_probe_event(struct machine_vcpu *slot, enum vmm_vcpu_event event)
{
    static const enum vmm_trace_kind kinds[] = {
        [VMM_VCPU_KICKED] = VMM_TRACE_KICK,
        [VMM_VCPU_RESUMED] = VMM_TRACE_RESUME,
        [VMM_VCPU_SETTLED] = VMM_TRACE_PAUSE,
    };

    count_event(slot, event);
    unsigned probes = atomic_load_explicit(&slot->probes, memory_order_acquire);
    if (!probes)
        return;
    struct vmm_trace_event told = {.kind = kinds[event],
                                   .time_ns = vmm_now_ns()};
    if (probes & MACHINE_MEASURES) {
        struct meter *meter =
            atomic_load_explicit(&slot->meter, memory_order_relaxed);
        open_stats(slot);
        if (event == VMM_VCPU_SETTLED)
            meter_paused(meter, told.time_ns);
        else if (event == VMM_VCPU_RESUMED)
            meter_resumed(meter, told.time_ns);
    }
    if (probes & MACHINE_TRACES)
        trace_write(atomic_load_explicit(&slot->ring, memory_order_acquire),
                    &told);
}

void machine_probe_finished(struct machine_vcpu *slot)
{
    struct timespec used;

    if (!atomic_load(&slot->cpu_clock) ||
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used))
        return; /* the thread has never run, or was not even started */
    atomic_store(&slot->cpu_ns,
                 (uint64_t)used.tv_sec * 1000000000 + (uint64_t)used.tv_nsec);
    atomic_store(&slot->cpu_clock, 0);
}

/* ---- on and off ------------------------------------------------------------
 */

void machine_probes_init(struct machine_vcpu *slot)
{
    atomic_init(&slot->stats_fd, -1);
}

void machine_probes_fini(struct machine_vcpu *slot)
{
    int fd = atomic_load(&slot->stats_fd);

    if (fd >= 0)
        close(fd);
    free(atomic_load(&slot->meter));
    trace_ring_free(atomic_load(&slot->ring));
}

/* Every vCPU has a meter, or none is measured. */
static int make_meters(struct vmm_machine *machine, struct vmm_error *err)
{
    for (size_t i = 0; i < machine->vcpu_count; i++) {
        struct machine_vcpu *slot = machine->vcpus[i];
        if (atomic_load(&slot->meter))
            continue;
        struct meter *meter = calloc(1, sizeof(*meter));
        if (!meter)
            return vmm_error_set(err, ENOMEM, "no memory to measure in");
        atomic_store(&slot->meter, meter);
    }
    return 0;
}

static int switch_on(struct vmm_machine *machine, struct vmm_error *err)
{
    int rc = make_meters(machine, err);
    if (rc)
        return rc;
    for (size_t i = 0; i < machine->vcpu_count; i++) {
        struct machine_vcpu *slot = machine->vcpus[i];
        if (atomic_load(&slot->probes) & MACHINE_MEASURES)
            continue;
        meter_forget(atomic_load(&slot->meter));
        atomic_fetch_or(&slot->probes, MACHINE_MEASURES);
        if (atomic_load(&machine->started_ns) &&
            atomic_load(&slot->stats_fd) < 0)
            vmm_vcpu_kick(slot->vcpu);
    }
    return 0;
}

static void switch_off(struct vmm_machine *machine, unsigned probe)
{
    for (size_t i = 0; i < machine->vcpu_count; i++)
        atomic_fetch_and(&machine->vcpus[i]->probes, ~probe);
}

int vmm_machine_measure(struct vmm_machine *machine, bool on,
                        struct vmm_error *err)
{
    int rc = 0;

    vmm_error_clear(err);
    pthread_mutex_lock(&machine->lock);
    if (on)
        rc = switch_on(machine, err);
    else
        switch_off(machine, MACHINE_MEASURES);
    if (rc == 0)
        machine->measures = on;
    pthread_mutex_unlock(&machine->lock);
    return rc;
}

/* A ring that has room; a smaller one stays, for its writer may hold it. */
static int make_rings(struct vmm_machine *machine, size_t events,
                      struct vmm_error *err)
{
    for (size_t i = 0; i < machine->vcpu_count; i++) {
        struct machine_vcpu *slot = machine->vcpus[i];
        struct trace_ring *old = atomic_load(&slot->ring);
        if (old && old->size >= events)
            continue;
        struct trace_ring *ring = trace_ring_new(events);
        if (!ring)
            return vmm_error_set(err, ENOMEM, "no memory for a trace");
        ring->older = old;
        atomic_store(&slot->ring, ring);
    }
    return 0;
}

static int record_all(struct vmm_machine *machine, size_t events,
                      struct vmm_error *err)
{
    int rc = make_rings(machine, events, err);
    if (rc)
        return rc;
    for (size_t i = 0; i < machine->vcpu_count; i++) {
        struct machine_vcpu *slot = machine->vcpus[i];
        if (atomic_load(&slot->probes) & MACHINE_TRACES)
            continue;
        slot->trace_start = atomic_load(&atomic_load(&slot->ring)->head);
        atomic_fetch_or(&slot->probes, MACHINE_TRACES);
    }
    return 0;
}

int vmm_machine_trace_start(struct vmm_machine *machine, size_t events,
                            struct vmm_error *err)
{
    vmm_error_clear(err);
    if (events < 1 || events > VMM_TRACE_EVENTS_MAX)
        return vmm_error_set(err, EINVAL, "a trace of %zu events: 1 to %u",
                             events, VMM_TRACE_EVENTS_MAX);
    pthread_mutex_lock(&machine->lock);
    int rc = machine->traces
                 ? vmm_error_set(err, EBUSY,
                                 "a trace is running: stop that one first")
                 : record_all(machine, events, err);
    if (rc == 0) {
        machine->traces = true;
        machine->trace_limit = events;
    }
    pthread_mutex_unlock(&machine->lock);
    return rc;
}

void vmm_machine_trace_stop(struct vmm_machine *machine)
{
    pthread_mutex_lock(&machine->lock);
    switch_off(machine, MACHINE_TRACES);
    machine->traces = false;
    pthread_mutex_unlock(&machine->lock);
}

int machine_probes_start(struct vmm_machine *machine, struct vmm_error *err)
{
    int rc = 0;

    pthread_mutex_lock(&machine->lock);
    if (machine->measures)
        rc = switch_on(machine, err);
    if (rc == 0 && machine->traces)
        rc = record_all(machine, machine->trace_limit, err);
    pthread_mutex_unlock(&machine->lock);
    return rc;
}

/* ---- reading ---------------------------------------------------------------
 */

uint64_t vmm_machine_uptime_ns(const struct vmm_machine *machine)
{
    uint64_t started_ns = atomic_load(&machine->started_ns);
    uint64_t ended_ns = atomic_load(&machine->ended_ns);

    if (!started_ns)
        return 0;
    return (ended_ns ? ended_ns : vmm_now_ns()) - started_ns;
}

/* The clock of a thread that has just ended may be another thread's: its time
 * counts only if it was still running afterwards. */
static uint64_t cpu_time(const struct machine_vcpu *slot)
{
    struct timespec used;
    int clock = atomic_load(&slot->cpu_clock);

    if (clock && clock_gettime(clock, &used) == 0 &&
        atomic_load(&slot->cpu_clock) == clock)
        return (uint64_t)used.tv_sec * 1000000000 + (uint64_t)used.tv_nsec;
    return atomic_load(&slot->cpu_ns);
}

void vmm_machine_vcpu_counts(const struct vmm_machine *machine, size_t index,
                             struct vmm_vcpu_counts *counts)
{
    const struct machine_vcpu *slot = machine->vcpus[index];

    for (int type = 0; type < VMM_EXIT_TYPES; type++)
        counts->exits[type] =
            atomic_load_explicit(&slot->exits[type], memory_order_relaxed);
    counts->kicks = atomic_load_explicit(&slot->kicks, memory_order_relaxed);
    counts->pauses = atomic_load_explicit(&slot->pauses, memory_order_relaxed);
    counts->cpu_ns = cpu_time(slot);
}

/* NULL: it was never measured. */
static const struct meter *meter_of(const struct vmm_machine *machine,
                                    size_t index)
{
    return atomic_load(&machine->vcpus[index]->meter);
}

static void read_or_clear(const struct meter_histogram *histogram,
                          struct vmm_histogram *out)
{
    if (histogram)
        meter_read(histogram, out);
    else
        memset(out, 0, sizeof(*out));
}

void vmm_machine_handling(const struct vmm_machine *machine, size_t index,
                          enum vmm_exit_type type, struct vmm_histogram *out)
{
    const struct meter *meter = meter_of(machine, index);

    read_or_clear(meter ? &meter->handling[type] : NULL, out);
}

void vmm_machine_in_guest(const struct vmm_machine *machine, size_t index,
                          struct vmm_histogram *out)
{
    const struct meter *meter = meter_of(machine, index);

    read_or_clear(meter ? &meter->in_guest : NULL, out);
}

void vmm_machine_other_accesses(const struct vmm_machine *machine, size_t index,
                                struct vmm_histogram *out)
{
    const struct meter *meter = meter_of(machine, index);

    read_or_clear(meter ? &meter->other_accesses : NULL, out);
}

bool vmm_machine_access(const struct vmm_machine *machine, size_t index,
                        size_t number, struct vmm_access_metrics *out)
{
    const struct meter *meter = meter_of(machine, index);

    return meter && meter_read_access(meter, number, out);
}

int vmm_machine_vcpu_stats_fd(const struct vmm_machine *machine, size_t index)
{
    return atomic_load(&machine->vcpus[index]->stats_fd);
}

int vmm_machine_stats_fd(struct vmm_machine *machine)
{
    pthread_mutex_lock(&machine->lock);
    if (machine->stats_fd < 0)
        machine->stats_fd = vmm_stats_open(vmm_vm_fd(machine->vm));
    int fd = machine->stats_fd;
    pthread_mutex_unlock(&machine->lock);
    return fd;
}

size_t vmm_machine_trace_read(struct vmm_machine *machine, size_t index,
                              struct vmm_trace_cursor *cursor,
                              struct vmm_trace_event *events, size_t room)
{
    const struct machine_vcpu *slot = machine->vcpus[index];

    pthread_mutex_lock(&machine->lock);
    struct trace_ring *ring = atomic_load(&slot->ring);
    uint64_t start = slot->trace_start, limit = machine->trace_limit;
    pthread_mutex_unlock(&machine->lock);
    return ring ? trace_read(ring, start, limit, cursor, events, room) : 0;
}
