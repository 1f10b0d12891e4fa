/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Why KVM gave up on a guest, in words: mode, RIP, bytes, and the way out. */
#include <inttypes.h>
#include <linux/kvm.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "vmm_features.h"

#include "machine/internal.h"

#define INSTRUCTION_BYTES_MAX 15

/* A text that is appended to and cut at its end. */
struct line {
    char *text;
    size_t size;
    size_t used;
};

__attribute__((format(printf, 2, 3))) static void add(struct line *line,
                                                      const char *format, ...)
{
    va_list args;

    va_start(args, format);
    int n = vsnprintf(line->text + line->used, line->size - line->used, format,
                      args);
    va_end(args);
    if (n > 0)
        line->used += (size_t)n;
    if (line->used >= line->size)
        line->used = line->size - 1;
}

static int mode_bits(const struct kvm_sregs *sregs)
{
    if (!(sregs->cr0 & 1)) /* CR0.PE */
        return 16;
    if (sregs->cs.l)
        return 64;
    return sregs->cs.db ? 32 : 16;
}

/* The instruction at RIP: from the exit, else from guest memory. */
static size_t fetch(struct vmm_machine *machine, struct vmm_vcpu *vcpu,
                    const struct vmm_exit *exit, uint64_t linear,
                    uint8_t bytes[INSTRUCTION_BYTES_MAX])
{
    if (exit->type == VMM_EXIT_INTERNAL_ERROR && exit->u.internal.byte_count) {
        size_t count = exit->u.internal.byte_count;
        memcpy(bytes, exit->u.internal.bytes, count);
        return count;
    }

    struct vmm_memory *memory = vmm_vm_memory(machine->vm);
    size_t count = 0;
    vmm_gpa_t gpa;
    while (memory && count < INSTRUCTION_BYTES_MAX &&
           !vmm_vcpu_translate(vcpu, linear + count, &gpa, NULL) &&
           !vmm_memory_load_u8(memory, gpa, &bytes[count]))
        count++;
    return count;
}

static void add_place(struct line *line, struct vmm_machine *machine,
                      struct vmm_vcpu *vcpu, const struct vmm_exit *exit)
{
    uint8_t bytes[INSTRUCTION_BYTES_MAX];
    char mnemonic[96];
    struct kvm_regs regs;
    struct kvm_sregs sregs;

    if (vmm_vcpu_get_regs(vcpu, &regs, NULL) ||
        vmm_vcpu_get_sregs(vcpu, &sregs, NULL))
        return;

    int bits = mode_bits(&sregs);
    uint64_t linear = regs.rip + (bits == 64 ? 0 : sregs.cs.base);
    add(line, " at rip 0x%" PRIx64 " (%d-bit, ring %u)", (uint64_t)regs.rip,
        bits, sregs.cs.dpl);

    size_t count = fetch(machine, vcpu, exit, linear, bytes);
    if (!count)
        return;
    add(line, ", bytes");
    for (size_t i = 0; i < count; i++)
        add(line, " %02x", bytes[i]);
    if (!VMM_FEATURE_DISASSEMBLE)
        return;
    machine_disassemble(bytes, count, linear, bits, mnemonic, sizeof(mnemonic));
    if (mnemonic[0])
        add(line, " (%s)", mnemonic);
}

static void add_internal(struct line *line, const struct vmm_exit *exit)
{
    switch (exit->u.internal.suberror) {
    case KVM_INTERNAL_ERROR_EMULATION:
        add(line, "KVM could not emulate an instruction");
        break;
    case KVM_INTERNAL_ERROR_SIMUL_EX:
        add(line, "KVM met simultaneous exceptions it cannot deliver");
        break;
    case KVM_INTERNAL_ERROR_DELIVERY_EV:
        add(line, "KVM met an exit while delivering an event");
        break;
    default:
        add(line, "KVM internal error, suberror %u", exit->u.internal.suberror);
    }
}

static void add_what(struct line *line, const struct vmm_exit *exit)
{
    if (exit->type == VMM_EXIT_INTERNAL_ERROR)
        add_internal(line, exit);
    else if (exit->type == VMM_EXIT_FAIL_ENTRY)
        add(line,
            "the CPU refused to enter the guest (hardware reason 0x%" PRIx64
            "): its registers are inconsistent",
            exit->u.fail_entry.reason);
    else
        add(line, "nobody handles exit %s (KVM exit reason %u)",
            vmm_exit_name(exit->type), exit->number);
}

void machine_describe_failure(struct vmm_machine *machine,
                              struct vmm_vcpu *vcpu,
                              const struct vmm_exit *exit, char *text,
                              size_t text_bytes)
{
    struct line line = {.text = text, .size = text_bytes};

    add(&line, "vCPU %u: ", vmm_vcpu_id(vcpu));
    add_what(&line, exit);
    add_place(&line, machine, vcpu, exit);
    if (exit->type == VMM_EXIT_INTERNAL_ERROR && !vmm_kvm_hardware())
        add(&line, "; this host's CPU offers no VMX/SVM, so KVM emulates "
                   "kernel code in software and lacks instructions: run the "
                   "same command under `vmm-reference lab`");
}
