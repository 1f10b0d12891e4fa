/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* What happens at each exit: a table of small functions, one per type. */
#include <linux/kvm.h>
#include <linux/kvm_para.h>

#include "vmm_features.h"

#include "machine/internal.h"

/* Return 0: go on; 1: the vCPU finishes; NOBODY: ask the hook, then default. */
#define NOBODY MACHINE_NOBODY

static int on_pio_read(struct vmm_machine *machine, struct vmm_vcpu *vcpu,
                       struct vmm_exit *exit)
{
    if (VMM_FEATURE_DEBUG &&
        atomic_load_explicit(&machine->debug_ports, memory_order_relaxed)) {
        int rc = machine_debug_exit(machine, vcpu, exit);
        if (rc != NOBODY)
            return rc;
    }
    return vmm_bus_read_string(machine->pio, exit->u.io.port, exit->u.io.data,
                               exit->u.io.size, exit->u.io.count)
               ? NOBODY
               : 0;
}

static int on_pio_write(struct vmm_machine *machine, struct vmm_vcpu *vcpu,
                        struct vmm_exit *exit)
{
    (void)vcpu;
    return vmm_bus_write_string(machine->pio, exit->u.io.port, exit->u.io.data,
                                exit->u.io.size, exit->u.io.count)
               ? NOBODY
               : 0;
}

static int on_mmio_read(struct vmm_machine *machine, struct vmm_vcpu *vcpu,
                        struct vmm_exit *exit)
{
    (void)vcpu;
    return vmm_bus_read(machine->mmio, exit->u.mmio.gpa, exit->u.mmio.data,
                        exit->u.mmio.size)
               ? NOBODY
               : 0;
}

static int on_mmio_write(struct vmm_machine *machine, struct vmm_vcpu *vcpu,
                         struct vmm_exit *exit)
{
    (void)vcpu;
    return vmm_bus_write(machine->mmio, exit->u.mmio.gpa, exit->u.mmio.data,
                         exit->u.mmio.size)
               ? NOBODY
               : 0;
}

static int on_halt(struct vmm_machine *machine, struct vmm_vcpu *vcpu,
                   struct vmm_exit *exit)
{
    (void)exit;
    vmm_machine_stop(machine, VMM_STOP_HALT, "vCPU %u halted",
                     vmm_vcpu_id(vcpu));
    return 1;
}

static int on_shutdown(struct vmm_machine *machine, struct vmm_vcpu *vcpu,
                       struct vmm_exit *exit)
{
    (void)exit;
    vmm_machine_stop(machine, VMM_STOP_TRIPLE_FAULT,
                     "vCPU %u had a triple fault", vmm_vcpu_id(vcpu));
    return 1;
}

static int on_system_event(struct vmm_machine *machine, struct vmm_vcpu *vcpu,
                           struct vmm_exit *exit)
{
    (void)vcpu;
    switch (exit->u.system_event.type) {
    case KVM_SYSTEM_EVENT_RESET:
        vmm_machine_stop(machine, VMM_STOP_REBOOT, "%s", "");
        return 1;
    case KVM_SYSTEM_EVENT_SHUTDOWN:
        vmm_machine_stop(machine, VMM_STOP_POWEROFF, "%s", "");
        return 1;
    case KVM_SYSTEM_EVENT_CRASH:
        vmm_machine_stop(machine, VMM_STOP_PANIC, "the guest reported a crash");
        return 1;
    default:
        return NOBODY;
    }
}

static int on_nobody(struct vmm_machine *machine, struct vmm_vcpu *vcpu,
                     struct vmm_exit *exit)
{
    (void)machine;
    (void)vcpu;
    (void)exit;
    return NOBODY;
}

static int on_failure(struct vmm_machine *machine, struct vmm_vcpu *vcpu,
                      struct vmm_exit *exit)
{
    char text[VMM_ERROR_TEXT_BYTES];

    machine_describe_failure(machine, vcpu, exit, text, sizeof(text));
    vmm_machine_stop(machine, VMM_STOP_ERROR, "%s", text);
    return 1;
}

/* KVM that can't emulate INT3 fails at breakpoints of ours. */
static int on_internal_error(struct vmm_machine *machine, struct vmm_vcpu *vcpu,
                             struct vmm_exit *exit)
{
    int rc = NOBODY;

    if (VMM_FEATURE_DEBUG)
        rc = machine_debug_exit(machine, vcpu, exit);
    return rc == NOBODY ? on_failure(machine, vcpu, exit) : rc;
}

/* What is left when neither a device nor the hook took an exit. */
static int on_unclaimed(struct vmm_machine *machine, struct vmm_vcpu *vcpu,
                        struct vmm_exit *exit)
{
    switch (exit->type) {
    case VMM_EXIT_PIO_READ: /* the bus has filled in all-ones */
    case VMM_EXIT_PIO_WRITE:
    case VMM_EXIT_MMIO_READ:
    case VMM_EXIT_MMIO_WRITE:
        return 0;
    case VMM_EXIT_MSR_READ:
    case VMM_EXIT_MSR_WRITE:
        *exit->u.msr.error = 1; /* #GP, as hardware does */
        return 0;
    case VMM_EXIT_HYPERCALL:
        *exit->u.hypercall.ret = (uint64_t)-KVM_ENOSYS; /* as KVM does */
        return 0;
    case VMM_EXIT_NONE:
    case VMM_EXIT_HALT:
    case VMM_EXIT_SHUTDOWN:
    case VMM_EXIT_SYSTEM_EVENT:
    case VMM_EXIT_FAIL_ENTRY:
    case VMM_EXIT_INTERNAL_ERROR:
    case VMM_EXIT_DEBUG:
    case VMM_EXIT_IRQ_WINDOW:
    case VMM_EXIT_UNKNOWN:
    case VMM_EXIT_TYPES:
        break;
    }
    return on_failure(machine, vcpu, exit);
}

int vmm_machine_dispatch(struct vmm_machine *machine, struct vmm_vcpu *vcpu,
                         struct vmm_exit *exit)
{
    typedef int (*handler)(struct vmm_machine *, struct vmm_vcpu *,
                           struct vmm_exit *);
    static const handler handlers[VMM_EXIT_TYPES] = {
        [VMM_EXIT_PIO_READ] = on_pio_read,
        [VMM_EXIT_PIO_WRITE] = on_pio_write,
        [VMM_EXIT_MMIO_READ] = on_mmio_read,
        [VMM_EXIT_MMIO_WRITE] = on_mmio_write,
        [VMM_EXIT_HALT] = on_halt,
        [VMM_EXIT_SHUTDOWN] = on_shutdown,
        [VMM_EXIT_SYSTEM_EVENT] = on_system_event,
        [VMM_EXIT_FAIL_ENTRY] = on_failure,
        [VMM_EXIT_INTERNAL_ERROR] = on_internal_error,
        [VMM_EXIT_DEBUG] = VMM_FEATURE_DEBUG ? machine_debug_exit : on_nobody,
        [VMM_EXIT_MSR_READ] = on_nobody,
        [VMM_EXIT_MSR_WRITE] = on_nobody,
        [VMM_EXIT_HYPERCALL] = on_nobody,
        [VMM_EXIT_IRQ_WINDOW] = on_nobody,
        [VMM_EXIT_UNKNOWN] = on_nobody,
    };

    if (exit->type == VMM_EXIT_NONE)
        return 0;
    int rc = handlers[exit->type](machine, vcpu, exit);
    if (rc != NOBODY)
        return rc;
    if (machine->hook && machine->hook(machine->hook_context, vcpu, exit) == 0)
        return 0;
    return on_unclaimed(machine, vcpu, exit);
}
