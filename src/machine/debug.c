/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Breakpoints and watchpoints: added, removed, and told to KVM. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "machine/debug.h"

int machine_debug_init(struct vmm_machine *machine)
{
    machine->debug = calloc(1, sizeof(*machine->debug));
    if (!machine->debug)
        return -ENOMEM;
    return -pthread_mutex_init(&machine->debug->lock, NULL);
}

void machine_debug_fini(struct vmm_machine *machine)
{
    struct machine_debug *debug = machine->debug;

    if (!debug)
        return;
    debug_table_fini(&debug->table);
    free(debug->points);
    pthread_mutex_destroy(&debug->lock);
    free(debug);
}

void vmm_machine_on_break(struct vmm_machine *machine, vmm_break_fn fn,
                          void *context)
{
    machine->debug->context = context;
    machine->debug->fn = fn;
}

/* ---- what KVM is told ------------------------------------------------------
 */

static enum vmm_hardware_break_kind hardware_kind(enum vmm_break_kind kind)
{
    switch (kind) {
    case VMM_BREAK_HARDWARE:
        return VMM_HARDWARE_EXECUTE;
    case VMM_WATCH_WRITE:
        return VMM_HARDWARE_WRITE;
    case VMM_WATCH_ACCESS:
        return VMM_HARDWARE_ACCESS;
    case VMM_BREAK_SOFTWARE:
    case VMM_WATCH_STEPPED:
        break;
    }
    return VMM_HARDWARE_NONE;
}

/* The four registers.  An instruction that is stepped over must not hit its own
 * breakpoint again. */
static void arm_hardware(const struct machine_debug *debug, bool stepping,
                         struct vmm_vcpu_debug *wanted)
{
    for (size_t i = 0; i < debug->count; i++) {
        const struct debug_point *point = &debug->points[i];
        enum vmm_hardware_break_kind kind = hardware_kind(point->kind);

        if (kind == VMM_HARDWARE_NONE ||
            (kind == VMM_HARDWARE_EXECUTE && stepping))
            continue;
        wanted->at[point->hardware].kind = kind;
        wanted->at[point->hardware].gva = point->gva;
        wanted->at[point->hardware].len = point->len;
    }
}

int debug_apply(struct vmm_machine *machine, struct machine_vcpu *slot,
                const struct vmm_vcpu_debug *extra, struct vmm_error *err)
{
    const struct machine_debug *debug = machine->debug;
    struct vmm_vcpu_debug wanted = {
        .software = debug->table.count > 0 && debug->table.trap == DEBUG_INT3,
        /* #DB exits as well while trap flags of ours may be left. */
        .hardware = debug->hardware_users || debug->was_stepped,
        .single_step = slot->debug_stepping || debug->stepped,
        .block_irqs = slot->debug_stepping,
    };

    arm_hardware(debug, slot->debug_stepping, &wanted);
    if (extra) {
        wanted.inject_breakpoint = extra->inject_breakpoint;
        wanted.inject_debug = extra->inject_debug;
    }
    int rc = vmm_vcpu_set_debug(slot->vcpu, &wanted, err);
    if (rc == 0)
        slot->debug_applied = wanted;
    return rc;
}

static int apply_to_all(struct vmm_machine *machine, struct vmm_error *err)
{
    int rc = 0;

    for (size_t i = 0; i < machine->vcpu_count && !rc; i++)
        rc = debug_apply(machine, machine->vcpus[i], NULL, err);
    return rc;
}

int machine_debug_start(struct vmm_machine *machine, struct vmm_error *err)
{
    int rc = 0;

    pthread_mutex_lock(&machine->debug->lock);
    if (atomic_load(&machine->debug->used))
        rc = apply_to_all(machine, err);
    pthread_mutex_unlock(&machine->debug->lock);
    return rc;
}

/* ---- holding vCPUs ---------------------------------------------------------
 */

void debug_release_others(struct vmm_machine *machine, struct vmm_vcpu *but)
{
    for (size_t i = 0; i < machine->vcpu_count; i++)
        if (machine->vcpus[i]->vcpu != but)
            vmm_vcpu_end_hold(machine->vcpus[i]->vcpu);
}

int debug_hold_others(struct vmm_machine *machine, struct vmm_vcpu *but)
{
    int rc = 0;

    for (size_t i = 0; i < machine->vcpu_count; i++)
        if (machine->vcpus[i]->vcpu != but)
            vmm_vcpu_request_hold(machine->vcpus[i]->vcpu);
    for (size_t i = 0; i < machine->vcpu_count && !rc; i++)
        if (machine->vcpus[i]->vcpu != but)
            rc = vmm_vcpu_wait_held(machine->vcpus[i]->vcpu, DEBUG_HOLD_NS);
    if (rc)
        debug_release_others(machine, but);
    return rc;
}

/* ---- adding and removing ---------------------------------------------------
 */

uint64_t debug_value(struct vmm_machine *machine, vmm_gpa_t gpa, uint8_t len)
{
    struct vmm_memory *memory = vmm_vm_memory(machine->vm);
    uint64_t value = 0;

    if (!memory || vmm_memory_read(memory, gpa, &value, len))
        return 0;
    return value;
}

static int check(struct vmm_machine *machine,
                 const struct vmm_break_config *config, struct vmm_error *err)
{
    bool watch = config->kind != VMM_BREAK_SOFTWARE &&
                 config->kind != VMM_BREAK_HARDWARE;

    if (!vmm_vm_memory(machine->vm))
        return vmm_error_set(err, EFAULT, "the VM has no memory yet");
    if (config->vcpu >= machine->vcpu_count)
        return vmm_error_set(err, EINVAL, "the VM has no vCPU %zu",
                             config->vcpu + 1);
    if (watch && ((config->len != 1 && config->len != 2 && config->len != 4 &&
                   config->len != 8) ||
                  config->gva % config->len))
        return vmm_error_set(err, EINVAL,
                             "a watchpoint is 1, 2, 4 or 8 bytes at a multiple "
                             "of that, not %u at 0x%" PRIx64,
                             config->len, config->gva);
    return 0;
}

static int reserve(struct machine_debug *debug, struct vmm_error *err)
{
    size_t room = debug->room ? 2 * debug->room : 16;

    if (debug->count < debug->room)
        return 0;
    struct debug_point *points =
        realloc(debug->points, room * sizeof(*debug->points));
    if (!points)
        return vmm_error_set(err, ENOMEM, "no memory for a breakpoint");
    debug->points = points;
    debug->room = room;
    return 0;
}

static int take_register(struct machine_debug *debug, unsigned *taken,
                         struct vmm_error *err)
{
    for (unsigned i = 0; i < VMM_HARDWARE_BREAKS; i++) {
        if (debug->hardware_used[i])
            continue;
        debug->hardware_used[i] = true;
        debug->hardware_users++;
        *taken = i;
        return 0;
    }
    return vmm_error_set(err, ENOSPC, "all %d hardware breakpoints are in use",
                         VMM_HARDWARE_BREAKS);
}

/* Ports that KVM answers itself: no exit shows a read of them. */
static bool is_kvms_port(uint8_t port)
{
    return port == 0x20 || port == 0x21 || port == 0xa0 || port == 0xa1 ||
           (port >= 0x40 && port <= 0x43) || port == 0x61;
}

/* The port that a read of which would be the trap at gva: the byte behind, also
 * without other traps. */
static uint8_t port_behind(struct vmm_machine *machine, struct vmm_vcpu *vcpu,
                           uint64_t gva)
{
    uint8_t port = 0;
    vmm_gpa_t gpa;

    if (vmm_vcpu_translate(vcpu, gva + 1, &gpa, NULL) == 0 &&
        vmm_memory_load_u8(vmm_vm_memory(machine->vm), gpa, &port) == 0)
        debug_table_hide(&machine->debug->table, gpa, &port, 1);
    return port;
}

static int set_trap(struct vmm_machine *machine, struct vmm_vcpu *vcpu,
                    uint64_t gva, bool by_port, struct vmm_error *err)
{
    struct debug_table *table = &machine->debug->table;
    uint8_t trap = by_port ? DEBUG_IN_IMM8 : DEBUG_INT3;

    if (table->count && table->trap != trap)
        return vmm_error_set(err, EINVAL, "by_port: not for some breakpoints");
    uint8_t port = by_port ? port_behind(machine, vcpu, gva) : 0;
    if (is_kvms_port(port))
        return vmm_error_set(err, ENOTSUP,
                             "no breakpoint at 0x%" PRIx64 ": here they are "
                             "port reads, and KVM answers port 0x%x itself",
                             gva, port);
    table->trap = trap;
    atomic_store(&machine->debug_ports, by_port);
    return 0;
}

/* What there is of a point beside its entry in the array. */
static int acquire(struct vmm_machine *machine, struct debug_point *point,
                   struct vmm_error *err)
{
    struct machine_debug *debug = machine->debug;
    int rc = 0;

    if (point->kind == VMM_BREAK_SOFTWARE) {
        rc = debug_table_add(&debug->table, vmm_vm_memory(machine->vm),
                             point->gpa);
        if (rc)
            vmm_error_set(err, -rc, "no breakpoint at 0x%" PRIx64 ": %s",
                          point->gva,
                          rc == -EFAULT ? "there is no RAM" : strerror(-rc));
    } else if (point->kind == VMM_WATCH_STEPPED) {
        debug->stepped++;
        debug->was_stepped = true;
    } else {
        rc = take_register(debug, &point->hardware, err);
    }
    point->value = debug_value(machine, point->gpa, point->len);
    return rc;
}

static void release(struct vmm_machine *machine,
                    const struct debug_point *point)
{
    struct machine_debug *debug = machine->debug;

    if (point->kind == VMM_BREAK_SOFTWARE) {
        debug_table_remove(&debug->table, vmm_vm_memory(machine->vm),
                           point->gpa);
    } else if (point->kind == VMM_WATCH_STEPPED) {
        debug->stepped--;
    } else {
        debug->hardware_used[point->hardware] = false;
        debug->hardware_users--;
    }
}

/* Every vCPU that is not the caller's is held.  Lock held. */
static int add_held(struct vmm_machine *machine, struct vmm_vcpu *vcpu,
                    struct debug_point *point, bool by_port,
                    struct vmm_error *err)
{
    struct machine_debug *debug = machine->debug;
    int rc = reserve(debug, err);

    if (rc == 0 && point->kind == VMM_BREAK_SOFTWARE)
        rc = set_trap(machine, vcpu, point->gva, by_port, err);
    if (rc)
        return rc;
    rc = acquire(machine, point, err);
    if (rc)
        return rc;
    point->id = ++debug->last_id;
    debug->points[debug->count++] = *point;
    atomic_store(&debug->used, true);
    debug_forget_told(machine);
    rc = apply_to_all(machine, err);
    if (rc) {
        debug->count--;
        release(machine, point);
        apply_to_all(machine, NULL);
    }
    return rc;
}

int vmm_machine_add_break(struct vmm_machine *machine,
                          const struct vmm_break_config *config, uint64_t *id,
                          struct vmm_error *err)
{
    struct debug_point point = {
        .kind = config->kind, .gva = config->gva, .len = config->len};
    struct vmm_vcpu *self = machine_self(machine);

    vmm_error_clear(err);
    int rc = check(machine, config, err);
    if (rc)
        return rc;
    if (config->kind == VMM_BREAK_SOFTWARE ||
        config->kind == VMM_BREAK_HARDWARE)
        point.len = 1;

    rc = debug_hold_others(machine, self);
    if (rc)
        return vmm_error_set(err, -rc, "a vCPU did not leave its handler");
    struct vmm_vcpu *mapper = self ? self : machine->vcpus[config->vcpu]->vcpu;
    rc = vmm_vcpu_translate(mapper, point.gva, &point.gpa, err);
    if (rc == 0) {
        pthread_mutex_lock(&machine->debug->lock);
        rc = add_held(machine, mapper, &point, config->by_port, err);
        pthread_mutex_unlock(&machine->debug->lock);
    }
    debug_release_others(machine, self);
    if (rc == 0)
        *id = point.id;
    return rc;
}

/*
 * One byte of memory changes at once for all vCPUs, and what KVM has been told
 * in vain is put right at the vCPU's next debug exit: so nobody is waited for.
 */
int vmm_machine_remove_break(struct vmm_machine *machine, uint64_t id)
{
    struct machine_debug *debug = machine->debug;
    int rc = -ENOENT;

    pthread_mutex_lock(&debug->lock);
    for (size_t i = 0; i < debug->count && rc; i++) {
        if (debug->points[i].id != id)
            continue;
        release(machine, &debug->points[i]);
        memmove(&debug->points[i], &debug->points[i + 1],
                (--debug->count - i) * sizeof(*debug->points));
        rc = 0;
    }
    pthread_mutex_unlock(&debug->lock);
    return rc;
}

void vmm_machine_hide_breaks(struct vmm_machine *machine, vmm_gpa_t gpa,
                             void *bytes, size_t len)
{
    pthread_mutex_lock(&machine->debug->lock);
    debug_table_hide(&machine->debug->table, gpa, bytes, len);
    pthread_mutex_unlock(&machine->debug->lock);
}
