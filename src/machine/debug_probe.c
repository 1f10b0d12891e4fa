/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* What this host's KVM delivers of its debug interface, found by trying. */
#include <linux/kvm.h>
#include <stdio.h>
#include <string.h>

#include "machine/debug.h"

#define CODE     0x1000
#define DATA     0x2000
#define MEMORY   0x4000
#define LIMIT_NS INT64_C(1000000000)

/* A VM of one vCPU in 32-bit protected mode, without paging. */
struct probe {
    struct vmm_vm *vm;
    struct vmm_memory *memory;
    struct vmm_vcpu *vcpu;
};

static const struct trial {
    enum vmm_debug_feature feature;
    const char *code;
    size_t code_bytes;
    struct vmm_vcpu_debug debug;
    uint32_t exception;
    uint64_t pc, dr6; /* what the exit must say */
} trials[] = {
    {.feature = VMM_DEBUG_SOFTWARE_BREAKPOINTS,
     .code = "\x90\xcc\xf4", /* nop; int3; hlt */
     .code_bytes = 3,
     .debug = {.software = true},
     .exception = EXCEPTION_BP,
     .pc = CODE + 1},
    {.feature = VMM_DEBUG_HARDWARE_BREAKPOINTS,
     .code = "\x90\x90\xf4", /* nop; nop; hlt */
     .code_bytes = 3,
     .debug = {.hardware = true, .at = {{VMM_HARDWARE_EXECUTE, CODE + 1, 1}}},
     .exception = EXCEPTION_DB,
     .pc = CODE + 1,
     .dr6 = 1},
    {.feature = VMM_DEBUG_WATCHPOINTS,
     .code = "\xa2\x00\x20\x00\x00\x90\xf4", /* mov [0x2000], al; ... */
     .code_bytes = 7,
     .debug = {.hardware = true, .at = {{VMM_HARDWARE_WRITE, DATA, 1}}},
     .exception = EXCEPTION_DB,
     .pc = CODE + 5,
     .dr6 = 1},
    {.feature = VMM_DEBUG_SINGLE_STEP,
     .code = "\x90\x90\xf4",
     .code_bytes = 3,
     .debug = {.single_step = true},
     .exception = EXCEPTION_DB,
     .pc = CODE + 1,
     .dr6 = DR6_BS},
};

static int make(struct vmm_kvm *kvm, struct probe *probe, struct vmm_error *err)
{
    const struct vmm_memory_range range = {.size_bytes = MEMORY};
    const struct vmm_memory_config config = {.ranges = &range,
                                             .range_count = 1};

    int rc = vmm_vm_new(kvm, &probe->vm, err);
    if (rc == 0)
        rc = vmm_memory_new(&config, &probe->memory, err);
    if (rc == 0)
        rc = vmm_vm_map(probe->vm, probe->memory, err);
    if (rc == 0)
        rc = vmm_vcpu_new(probe->vm, 0, &probe->vcpu, err);
    return rc;
}

static void drop(struct probe *probe)
{
    vmm_vcpu_free(probe->vcpu);
    vmm_vm_free(probe->vm);
    vmm_memory_unref(probe->memory);
}

/* The vCPU is about to run the trial's code. */
static int prepare(struct probe *probe, const struct trial *trial,
                   struct vmm_error *err)
{
    struct kvm_regs regs = {.rip = CODE, .rflags = 2};
    struct kvm_sregs sregs;

    int rc =
        vmm_memory_write(probe->memory, CODE, trial->code, trial->code_bytes);
    if (rc == 0)
        rc = vmm_vcpu_get_sregs(probe->vcpu, &sregs, err);
    if (rc)
        return rc;
    sregs.cs = (struct kvm_segment){.limit = 0xffffffff,
                                    .selector = 8,
                                    .type = 11,
                                    .present = 1,
                                    .db = 1,
                                    .s = 1,
                                    .g = 1};
    sregs.ss = sregs.cs;
    sregs.ss.selector = 16;
    sregs.ss.type = 3;
    sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss;
    sregs.cr0 |= 1; /* PE */
    rc = vmm_vcpu_set_sregs(probe->vcpu, &sregs, err);
    if (rc == 0)
        rc = vmm_vcpu_set_regs(probe->vcpu, &regs, err);
    return rc;
}

/* Does the exit say what it should?  If not, why: in words. */
static bool judge(const struct trial *trial, const struct vmm_exit *exit,
                  char *reason, size_t room)
{
    if (exit->type == VMM_EXIT_DEBUG &&
        exit->u.debug.exception == trial->exception &&
        exit->u.debug.pc == trial->pc &&
        (exit->u.debug.dr6 & trial->dr6) == trial->dr6) {
        if (!vmm_kvm_hardware())
            snprintf(reason, room, "in the guest's ring 0 only");
        return true;
    }
    if (exit->type == VMM_EXIT_INTERNAL_ERROR &&
        trial->exception == EXCEPTION_BP &&
        exit->u.internal.suberror == KVM_INTERNAL_ERROR_EMULATION) {
        snprintf(reason, room,
                 "in the guest's ring 0 only: this KVM can't emulate INT3, "
                 "which is taken as a hit");
        return true;
    }
    if (exit->type == VMM_EXIT_HALT || exit->type == VMM_EXIT_NONE)
        snprintf(reason, room, "this host's KVM takes it, but it never fires");
    else
        snprintf(reason, room, "this host's KVM answers it with exit %s",
                 vmm_exit_name(exit->type));
    return false;
}

/* Where KVM is not told of INT3s, do reads of ports exit? */
static void try_ports(struct probe *probe, struct vmm_debug_support *support)
{
    static const struct trial trial = {.code = "\x90\xe4\x1f\xf4",
                                       .code_bytes = 4};
    const struct vmm_vcpu_debug none = {0};
    struct vmm_exit exit;
    struct kvm_regs regs;

    if (prepare(probe, &trial, NULL) ||
        vmm_vcpu_set_debug(probe->vcpu, &none, NULL) < 0 ||
        vmm_vcpu_run_limited(probe->vcpu, &exit, LIMIT_NS, NULL) < 0 ||
        exit.type != VMM_EXIT_PIO_READ || exit.u.io.port != 0x1f ||
        vmm_vcpu_get_regs(probe->vcpu, &regs, NULL) < 0 || regs.rip != CODE + 1)
        return;
    snprintf(support->reasons[VMM_DEBUG_SOFTWARE_BREAKPOINTS],
             sizeof(support->reasons[0]),
             "in the guest's ring 0 only: this KVM is not told of INT3, so "
             "they are reads of ports");
    support->by_port = true;
    support->works[VMM_DEBUG_SOFTWARE_BREAKPOINTS] = true;
}

static int try_one(struct probe *probe, const struct trial *trial,
                   struct vmm_debug_support *support, struct vmm_error *err)
{
    char *reason = support->reasons[trial->feature];
    const size_t room = sizeof(support->reasons[0]);
    struct vmm_error refusal;
    struct vmm_exit exit;

    int rc = prepare(probe, trial, err);
    if (rc)
        return rc;
    if (vmm_vcpu_set_debug(probe->vcpu, &trial->debug, &refusal) < 0) {
        snprintf(reason, room, "%.150s", refusal.text);
        return 0;
    }
    rc = vmm_vcpu_run_limited(probe->vcpu, &exit, LIMIT_NS, err);
    if (rc == 0)
        support->works[trial->feature] = judge(trial, &exit, reason, room);
    return rc;
}

int vmm_debug_probe(struct vmm_kvm *kvm, struct vmm_debug_support *support,
                    struct vmm_error *err)
{
    struct probe probe = {0};

    vmm_error_clear(err);
    memset(support, 0, sizeof(*support));
    int rc = make(kvm, &probe, err);
    for (size_t i = 0; i < sizeof(trials) / sizeof(*trials) && !rc; i++)
        rc = try_one(&probe, &trials[i], support, err);
    if (rc == 0 && !support->works[VMM_DEBUG_SOFTWARE_BREAKPOINTS])
        try_ports(&probe, support);
    drop(&probe);
    return rc;
}
