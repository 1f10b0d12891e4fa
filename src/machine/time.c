/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* The guest's time stands still across a pause, or leaps: the order of its
 * parts. */
#include <linux/kvm.h>

#include "kvm/time.h"
#include "machine/internal.h"

/* When the last vCPU was paused, by the VM's clock; 0 when none has run.  No
 * vCPU may run. */
static int find_pause(struct vmm_machine *machine, uint64_t *clock,
                      struct vmm_error *err)
{
    *clock = 0;
    for (size_t i = 0; i < machine->vcpu_count; i++) {
        uint64_t at;
        int rc = vmm_vcpu_paused_clock(machine->vcpus[i]->vcpu, &at, err);

        if (rc)
            return rc;
        *clock = at > *clock ? at : *clock;
    }
    return 0;
}

/* Whether KVM can move a TSC is seen only by trying. */
static int try_tsc(struct vmm_vcpu *vcpu, struct vmm_error *err)
{
    uint64_t offset;
    size_t size = sizeof(offset);

    int rc = vmm_vcpu_get_state(vcpu, "tsc_offset", &offset, &size, err);
    if (rc)
        return rc;
    rc = vmm_vcpu_set_state(vcpu, "tsc_offset", &(uint64_t){offset - 1}, size,
                            err);
    if (rc)
        return rc;
    return vmm_vcpu_set_state(vcpu, "tsc_offset", &offset, size, err);
}

/*
 * KVM sets a local APIC's timer only together with all else of it, so that an
 * interrupt between reading and writing it would be lost: the I/O thread, from
 * which one may come, stands still meanwhile.
 */
static int set_timers_back(struct vmm_machine *machine, struct vmm_error *err)
{
    bool stopped = false;
    int rc = 0;

    for (size_t i = 0; i < machine->vcpu_count && !rc; i++) {
        struct vmm_vcpu *vcpu = machine->vcpus[i]->vcpu;

        if (!vmm_vcpu_timer_counts(vcpu))
            continue;
        if (!stopped)
            vmm_loop_stop_thread(machine->loop);
        stopped = true;
        rc = vmm_vcpu_set_timer_back(vcpu, err);
    }
    if (stopped) {
        int started = vmm_loop_start_thread(machine->loop, "vmm-io", err);
        rc = rc ? rc : started;
    }
    return rc;
}

/* A PIT that is set as it is starts its period anew, without the ticks that it
 * has counted meanwhile. */
static int restart_pit(struct vmm_vm *vm, struct vmm_error *err)
{
    struct kvm_pit_state2 pit;
    size_t size = sizeof(pit);

    if (vmm_vm_get_state(vm, "pit", &pit, &size, NULL))
        return 0; /* has none */
    return vmm_vm_set_state(vm, "pit", &pit, size, err);
}

/* Time can be moved: find_pause's clock is not 0 then. */
static int can_move_time(struct vmm_machine *machine, uint64_t *clock,
                         struct vmm_error *err)
{
    vmm_error_clear(err);
    int rc = find_pause(machine, clock, err);
    if (rc || !*clock)
        return rc;
    return try_tsc(machine->vcpus[0]->vcpu, err);
}

int vmm_machine_stand_still(struct vmm_machine *machine, uint64_t *by_ns,
                            struct vmm_error *err)
{
    uint64_t clock;

    *by_ns = 0;
    int rc = can_move_time(machine, &clock, err);
    if (rc || !clock)
        return rc;
    rc = vmm_vm_set_clock_back(machine->vm, clock, by_ns, err);
    for (size_t i = 0; i < machine->vcpu_count && !rc; i++)
        rc = vmm_vcpu_set_tsc_back(machine->vcpus[i]->vcpu, *by_ns, err);
    if (!rc)
        rc = set_timers_back(machine, err);
    return rc ? rc : restart_pit(machine->vm, err);
}

int vmm_machine_step_time(struct vmm_machine *machine, uint64_t by_ns,
                          struct vmm_error *err)
{
    uint64_t clock;

    int rc = can_move_time(machine, &clock, err);
    if (rc || !clock)
        return rc;
    rc = vmm_vm_set_clock_ahead(machine->vm, by_ns, err);
    for (size_t i = 0; i < machine->vcpu_count && !rc; i++)
        rc = vmm_vcpu_set_tsc_ahead(machine->vcpus[i]->vcpu, by_ns, err);
    return rc;
}
