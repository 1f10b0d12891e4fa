/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* From the kernel's kvm_run to a typed exit: one small function per reason. */
#include <string.h>

#include "kvm/internal.h"

/* Names as scripts see them. */
static const char *const names[VMM_EXIT_TYPES] = {
    [VMM_EXIT_NONE] = "none",
    [VMM_EXIT_PIO_READ] = "pio_read",
    [VMM_EXIT_PIO_WRITE] = "pio_write",
    [VMM_EXIT_MMIO_READ] = "mmio_read",
    [VMM_EXIT_MMIO_WRITE] = "mmio_write",
    [VMM_EXIT_HALT] = "halt",
    [VMM_EXIT_SHUTDOWN] = "shutdown",
    [VMM_EXIT_SYSTEM_EVENT] = "system_event",
    [VMM_EXIT_FAIL_ENTRY] = "fail_entry",
    [VMM_EXIT_INTERNAL_ERROR] = "internal_error",
    [VMM_EXIT_DEBUG] = "debug",
    [VMM_EXIT_MSR_READ] = "msr_read",
    [VMM_EXIT_MSR_WRITE] = "msr_write",
    [VMM_EXIT_HYPERCALL] = "hypercall",
    [VMM_EXIT_IRQ_WINDOW] = "irq_window",
    [VMM_EXIT_UNKNOWN] = "unknown",
};

const char *vmm_exit_name(enum vmm_exit_type type)
{
    return (unsigned)type < VMM_EXIT_TYPES ? names[type] : "unknown";
}

static void decode_io(struct kvm_run *run, struct vmm_exit *exit)
{
    exit->type = run->io.direction == KVM_EXIT_IO_IN ? VMM_EXIT_PIO_READ
                                                     : VMM_EXIT_PIO_WRITE;
    exit->u.io.port = run->io.port;
    exit->u.io.size = run->io.size;
    exit->u.io.count = run->io.count;
    exit->u.io.data = (uint8_t *)run + run->io.data_offset;
}

static void decode_mmio(struct kvm_run *run, struct vmm_exit *exit)
{
    exit->type = run->mmio.is_write ? VMM_EXIT_MMIO_WRITE : VMM_EXIT_MMIO_READ;
    exit->u.mmio.gpa = run->mmio.phys_addr;
    exit->u.mmio.size = (uint8_t)run->mmio.len;
    exit->u.mmio.data = run->mmio.data;
}

static void decode_halt(struct kvm_run *run, struct vmm_exit *exit)
{
    (void)run;
    exit->type = VMM_EXIT_HALT;
}

static void decode_shutdown(struct kvm_run *run, struct vmm_exit *exit)
{
    (void)run;
    exit->type = VMM_EXIT_SHUTDOWN;
}

static void decode_system_event(struct kvm_run *run, struct vmm_exit *exit)
{
    exit->type = VMM_EXIT_SYSTEM_EVENT;
    exit->u.system_event.type = run->system_event.type;
}

static void decode_fail_entry(struct kvm_run *run, struct vmm_exit *exit)
{
    exit->type = VMM_EXIT_FAIL_ENTRY;
    exit->u.fail_entry.reason = run->fail_entry.hardware_entry_failure_reason;
    exit->u.fail_entry.cpu = run->fail_entry.cpu;
}

/* The instruction's bytes come with an emulation failure only, where the
 * kernel is new enough to flag them (the flags and two words of data). */
static void decode_internal_error(struct kvm_run *run, struct vmm_exit *exit)
{
    uint8_t count = run->emulation_failure.insn_size;

    exit->type = VMM_EXIT_INTERNAL_ERROR;
    exit->u.internal.suberror = run->internal.suberror;
    exit->u.internal.byte_count = 0;
    if (run->internal.suberror != KVM_INTERNAL_ERROR_EMULATION ||
        run->emulation_failure.ndata < 3 ||
        !(run->emulation_failure.flags &
          KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES))
        return;
    if (count > sizeof(exit->u.internal.bytes))
        count = sizeof(exit->u.internal.bytes);
    exit->u.internal.byte_count = count;
    memcpy(exit->u.internal.bytes, run->emulation_failure.insn_bytes, count);
}

static void decode_debug(struct kvm_run *run, struct vmm_exit *exit)
{
    exit->type = VMM_EXIT_DEBUG;
    exit->u.debug.exception = run->debug.arch.exception;
    exit->u.debug.pc = run->debug.arch.pc;
    exit->u.debug.dr6 = run->debug.arch.dr6;
    exit->u.debug.dr7 = run->debug.arch.dr7;
}

static void decode_msr(struct kvm_run *run, struct vmm_exit *exit)
{
    exit->type = run->exit_reason == KVM_EXIT_X86_RDMSR ? VMM_EXIT_MSR_READ
                                                        : VMM_EXIT_MSR_WRITE;
    exit->u.msr.index = run->msr.index;
    exit->u.msr.reason = run->msr.reason;
    exit->u.msr.data = (uint64_t *)&run->msr.data;
    exit->u.msr.error = &run->msr.error;
}

static void decode_hypercall(struct kvm_run *run, struct vmm_exit *exit)
{
    exit->type = VMM_EXIT_HYPERCALL;
    exit->u.hypercall.nr = run->hypercall.nr;
    exit->u.hypercall.args = (uint64_t *)run->hypercall.args;
    exit->u.hypercall.ret = (uint64_t *)&run->hypercall.ret;
}

static void decode_irq_window(struct kvm_run *run, struct vmm_exit *exit)
{
    (void)run;
    exit->type = VMM_EXIT_IRQ_WINDOW;
}

static void decode_interrupted(struct kvm_run *run, struct vmm_exit *exit)
{
    (void)run;
    exit->type = VMM_EXIT_NONE;
}

static const struct decoder {
    void (*decode)(struct kvm_run *run, struct vmm_exit *exit);
    bool completes; /* KVM finishes the instruction at the next entry */
} decoders[] = {
    [KVM_EXIT_IO] = {decode_io, true},
    [KVM_EXIT_HYPERCALL] = {decode_hypercall, true},
    [KVM_EXIT_DEBUG] = {decode_debug, false},
    [KVM_EXIT_HLT] = {decode_halt, false},
    [KVM_EXIT_MMIO] = {decode_mmio, true},
    [KVM_EXIT_IRQ_WINDOW_OPEN] = {decode_irq_window, false},
    [KVM_EXIT_SHUTDOWN] = {decode_shutdown, false},
    [KVM_EXIT_FAIL_ENTRY] = {decode_fail_entry, false},
    [KVM_EXIT_INTR] = {decode_interrupted, false},
    [KVM_EXIT_INTERNAL_ERROR] = {decode_internal_error, false},
    [KVM_EXIT_SYSTEM_EVENT] = {decode_system_event, false},
    [KVM_EXIT_X86_RDMSR] = {decode_msr, true},
    [KVM_EXIT_X86_WRMSR] = {decode_msr, true},
};

bool vmm_exit_decode(struct kvm_run *run, struct vmm_exit *exit)
{
    uint32_t reason = run->exit_reason;

    exit->number = reason;
    if (reason >= sizeof(decoders) / sizeof(*decoders) ||
        !decoders[reason].decode) {
        exit->type = VMM_EXIT_UNKNOWN;
        return false;
    }
    decoders[reason].decode(run, exit);
    return decoders[reason].completes;
}
