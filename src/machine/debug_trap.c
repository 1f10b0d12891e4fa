/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* The traps that software breakpoints are: which exits come from them. */
#include <linux/kvm.h>

#include "machine/debug.h"

/*
 * INT3 arrives as a debug exit; where KVM emulates the guest and can't emulate
 * INT3, as an emulation failure; and where KVM is not told of it (QEMU's TCG
 * intercepts no INT3 of an SVM guest) we use IN AL, imm8 instead, which arrives
 * as a read of a port, in ring 0.  All three with RIP at the trap.
 */

#define PAGE 0x1000

size_t debug_fetch(struct vmm_machine *machine, struct vmm_vcpu *vcpu,
                   uint64_t linear, uint8_t *bytes, size_t len, vmm_gpa_t *gpa)
{
    struct vmm_memory *memory = vmm_vm_memory(machine->vm);
    size_t left = PAGE - linear % PAGE;

    if (len > left)
        len = left;
    if (!memory || vmm_vcpu_translate(vcpu, linear, gpa, NULL) < 0 ||
        vmm_memory_read(memory, *gpa, bytes, len))
        return 0;
    return len;
}

static bool may_be_trap(const struct vmm_exit *exit)
{
    if (exit->type == VMM_EXIT_DEBUG)
        return exit->u.debug.exception == EXCEPTION_BP;
    if (exit->type == VMM_EXIT_INTERNAL_ERROR)
        return exit->u.internal.suberror == KVM_INTERNAL_ERROR_EMULATION;
    return exit->type == VMM_EXIT_PIO_READ && exit->u.io.port <= 0xff &&
           exit->u.io.size == 1 && exit->u.io.count == 1;
}

/* KVM completes a read by AL and RIP: let it, and take that back. */
static bool cancel(struct vmm_vcpu *vcpu, const struct vmm_exit *exit)
{
    struct kvm_regs before;
    struct vmm_exit next;

    if (exit->type != VMM_EXIT_PIO_READ)
        return true;
    if (vmm_vcpu_get_regs(vcpu, &before, NULL) < 0)
        return false;
    /* Single-stepped, it traps behind the read: that exit is no more. */
    if (vmm_vcpu_complete_io(vcpu, NULL) < 0)
        vmm_vcpu_run_once(vcpu, &next, NULL);
    return vmm_vcpu_set_regs(vcpu, &before, NULL) == 0;
}

bool debug_take_trap(struct vmm_machine *machine, struct machine_vcpu *slot,
                     const struct vmm_exit *exit, uint64_t *rip, vmm_gpa_t *gpa)
{
    struct machine_debug *debug = machine->debug;

    if (!may_be_trap(exit) || debug_linear_rip(slot->vcpu, rip) < 0 ||
        vmm_vcpu_translate(slot->vcpu, *rip, gpa, NULL) < 0)
        return false;
    pthread_mutex_lock(&debug->lock);
    /* Who steps runs what the trap covers, also when that is like a trap; to
     * all others it was one. */
    bool ours =
        debug_table_has(&debug->table, *gpa) &&
        !(slot->debug_stepping && debug_table_is_lifted(&debug->table, *gpa));
    pthread_mutex_unlock(&debug->lock);
    return ours && cancel(slot->vcpu, exit);
}

/* IN AL or INSB, behind prefixes. */
static bool reads_port(const uint8_t *bytes, size_t count)
{
    size_t i = 0;

    while (i < count &&
           ((bytes[i] & 0xf0) == 0x40 || (bytes[i] & 0xe7) == 0x26 ||
            (bytes[i] >= 0x64 && bytes[i] <= 0x67) ||
            (bytes[i] & 0xfe) == 0xf2))
        i++;
    return i == count || bytes[i] == DEBUG_IN_IMM8 || bytes[i] == 0xec ||
           bytes[i] == 0x6c;
}

bool debug_take_ghost(struct vmm_machine *machine, struct machine_vcpu *slot,
                      const struct vmm_exit *exit)
{
    uint8_t bytes[4];
    uint64_t rip;
    vmm_gpa_t gpa;

    if (!may_be_trap(exit) || debug_linear_rip(slot->vcpu, &rip) < 0)
        return false;
    size_t count = debug_fetch(machine, slot->vcpu, rip, bytes, 4, &gpa);
    if (!count)
        return false;
    if (exit->type == VMM_EXIT_PIO_READ)
        return !reads_port(bytes, count) && cancel(slot->vcpu, exit);
    if (exit->type == VMM_EXIT_INTERNAL_ERROR &&
        (!exit->u.internal.byte_count ||
         exit->u.internal.bytes[0] != DEBUG_INT3))
        return false;
    return bytes[0] != DEBUG_INT3;
}
