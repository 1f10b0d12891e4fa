/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Instructions that save, load or clear the trap flag that a single step sets.
 */
#include <linux/kvm.h>

#include "machine/debug.h"

/*
 * PUSHF and SYSCALL save the flag where the guest would meet it again as a trap
 * of its own; IRET and SYSRET load the guest's flags, and SYSCALL clears it, so
 * that the step would not end.  64-bit mode only.
 */

#define MSR_LSTAR   0xc0000082
#define TF_BYTE     1 /* of the flags in memory: TF is bit 8 */
#define TF_IN_BYTE  0x01
#define FRAME_FLAGS 16 /* of an IRET: RIP, CS, then RFLAGS */

/* What the bytes are, behind operand size and REX prefixes. */
static int kind_of(const uint8_t *bytes, size_t count)
{
    size_t i = 0;

    while (i < count && (bytes[i] == 0x66 || (bytes[i] & 0xf0) == 0x40))
        i++;
    if (i == count)
        return DEBUG_PLAIN;
    if (bytes[i] == 0x9c)
        return DEBUG_PUSHF;
    if (bytes[i] == 0xcf)
        return DEBUG_IRET;
    if (bytes[i] == 0x0f && i + 1 < count && bytes[i + 1] == 0x05)
        return DEBUG_SYSCALL;
    if (bytes[i] == 0x0f && i + 1 < count && bytes[i + 1] == 0x07)
        return DEBUG_SYSRET;
    return DEBUG_PLAIN;
}

/* INS, OUTS; MOVS, CMPS; STOS, LODS, SCAS. */
static bool is_string(uint8_t opcode)
{
    return (opcode & 0xfc) == 0x6c || (opcode & 0xfc) == 0xa4 ||
           (opcode >= 0xaa && opcode <= 0xaf);
}

bool debug_repeats(struct vmm_machine *machine, struct vmm_vcpu *vcpu,
                   uint64_t rip)
{
    uint8_t bytes[4];
    vmm_gpa_t gpa;
    size_t count = debug_fetch(machine, vcpu, rip, bytes, sizeof(bytes), &gpa);
    bool repeated = false;
    size_t i = 0;

    for (; i < count; i++) {
        bool prefix = (bytes[i] & 0xfe) == 0xf2;

        repeated = repeated || prefix;
        if (!prefix && bytes[i] != 0x66 && bytes[i] != 0x67 &&
            (bytes[i] & 0xf0) != 0x40)
            break;
    }
    return repeated && i < count && is_string(bytes[i]);
}

/* Put a trap where a SYSCALL leads. */
static bool break_target(struct vmm_machine *machine, struct vmm_vcpu *vcpu,
                         struct debug_special *special)
{
    struct machine_debug *debug = machine->debug;
    struct vmm_memory *memory = vmm_vm_memory(machine->vm);
    struct kvm_msr_entry lstar = {.index = MSR_LSTAR};

    if (vmm_vcpu_get_msrs(vcpu, &lstar, 1, NULL) < 0 ||
        vmm_vcpu_translate(vcpu, lstar.data, &special->gpa, NULL) < 0)
        return false;
    special->target = lstar.data;
    pthread_mutex_lock(&debug->lock);
    bool added = debug_table_add(&debug->table, memory, special->gpa) == 0;
    if (added)
        debug_table_cover(&debug->table, memory, special->gpa);
    pthread_mutex_unlock(&debug->lock);
    return added;
}

static void unbreak_target(struct vmm_machine *machine,
                           const struct debug_special *special)
{
    struct machine_debug *debug = machine->debug;
    struct vmm_memory *memory = vmm_vm_memory(machine->vm);

    pthread_mutex_lock(&debug->lock);
    debug_table_lift(&debug->table, memory, special->gpa);
    debug_table_remove(&debug->table, memory, special->gpa);
    pthread_mutex_unlock(&debug->lock);
}

/* Set TF in an IRET's frame; the byte as it was is kept. */
static bool mark_frame(struct vmm_machine *machine, struct vmm_vcpu *vcpu,
                       uint64_t rsp, struct debug_special *special)
{
    struct vmm_memory *memory = vmm_vm_memory(machine->vm);

    if (vmm_vcpu_translate(vcpu, rsp + FRAME_FLAGS + TF_BYTE, &special->gpa,
                           NULL) < 0 ||
        vmm_memory_load_u8(memory, special->gpa, &special->flags))
        return false;
    return !vmm_memory_store_u8(memory, special->gpa,
                                special->flags | TF_IN_BYTE);
}

/* Set or clear TF in R11, where SYSCALL saves the flags. */
static void put_in_r11(struct vmm_vcpu *vcpu, bool set)
{
    struct kvm_regs regs;

    if (vmm_vcpu_get_regs(vcpu, &regs, NULL) < 0)
        return;
    regs.r11 = set ? regs.r11 | RFLAGS_TF : regs.r11 & ~RFLAGS_TF;
    vmm_vcpu_set_regs(vcpu, &regs, NULL);
}

static void clear_pushed(struct vmm_machine *machine, struct vmm_vcpu *vcpu)
{
    struct vmm_memory *memory = vmm_vm_memory(machine->vm);
    struct kvm_regs regs;
    vmm_gpa_t gpa;
    uint8_t byte;

    if (vmm_vcpu_get_regs(vcpu, &regs, NULL) < 0 ||
        vmm_vcpu_translate(vcpu, regs.rsp + TF_BYTE, &gpa, NULL) < 0 ||
        vmm_memory_load_u8(memory, gpa, &byte))
        return;
    vmm_memory_store_u8(memory, gpa, byte & (uint8_t)~TF_IN_BYTE);
}

void debug_special_before(struct vmm_machine *machine, struct vmm_vcpu *vcpu,
                          struct debug_special *special)
{
    struct kvm_regs regs;
    struct kvm_sregs sregs;
    uint8_t bytes[4];

    *special = (struct debug_special){.kind = DEBUG_PLAIN};
    if (vmm_vcpu_get_regs(vcpu, &regs, NULL) < 0)
        return;
    int kind = kind_of(
        bytes, debug_fetch(machine, vcpu, regs.rip, bytes, 4, &special->gpa));
    if (kind == DEBUG_PLAIN || vmm_vcpu_get_sregs(vcpu, &sregs, NULL) < 0 ||
        !sregs.cs.l)
        return;
    if (kind == DEBUG_SYSRET)
        put_in_r11(vcpu, true);
    if ((kind == DEBUG_SYSCALL && !break_target(machine, vcpu, special)) ||
        (kind == DEBUG_IRET && !mark_frame(machine, vcpu, regs.rsp, special)))
        return;
    special->kind = kind;
}

void debug_special_after(struct vmm_machine *machine, struct vmm_vcpu *vcpu,
                         const struct debug_special *special, bool stepped)
{
    switch (special->kind) {
    case DEBUG_PLAIN:
        break;
    case DEBUG_PUSHF:
        if (stepped)
            clear_pushed(machine, vcpu);
        break;
    case DEBUG_IRET: /* done, its frame is the past */
        if (!stepped)
            vmm_memory_store_u8(vmm_vm_memory(machine->vm), special->gpa,
                                special->flags);
        break;
    case DEBUG_SYSCALL:
        unbreak_target(machine, special);
        if (stepped)
            put_in_r11(vcpu, false);
        break;
    case DEBUG_SYSRET:
        put_in_r11(vcpu, false);
        break;
    }
}
