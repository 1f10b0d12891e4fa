/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* A VM of one vCPU that starts in real mode at 0x1000, for tests of KVM. */
#ifndef TINY_GUEST_H
#define TINY_GUEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>
#include <linux/kvm.h>

#include <vmm/kvm.h>
#include <vmm/vcpu.h>

#define TINY_CODE_GPA     0x1000
#define TINY_MEMORY_BYTES 0x10000

struct tiny_guest {
    struct vmm_kvm *kvm;
    struct vmm_vm *vm;
    struct vmm_memory *memory;
    struct vmm_vcpu *vcpu;
};

/* Fail with the library's own text. */
#define assert_ok(expression, err)                                             \
    do {                                                                       \
        int result_ = (expression);                                            \
        if (result_ != 0)                                                      \
            fail_msg("%s: %d: %s", #expression, result_, (err)->text);         \
    } while (0)

/* Open KVM, or skip the test and say why. */
static inline struct vmm_kvm *tiny_kvm(void)
{
    struct vmm_error err;
    struct vmm_kvm *kvm = NULL;

    if (vmm_kvm_open(NULL, &kvm, &err) < 0) {
        print_message("SKIPPED, needs KVM: %s\n", err.text);
        skip();
    }
    return kvm;
}

static inline struct vmm_memory *tiny_memory(vmm_gpa_t base, uint64_t bytes)
{
    struct vmm_error err;
    struct vmm_memory *memory = NULL;
    struct vmm_memory_range range = {.base = base, .size_bytes = bytes};
    struct vmm_memory_config config = {.ranges = &range, .range_count = 1};

    assert_ok(vmm_memory_new(&config, &memory, &err), &err);
    return memory;
}

/* Let vcpu start at TINY_CODE_GPA in real mode with flat segments from 0. */
static inline void tiny_real_mode(struct vmm_vcpu *vcpu)
{
    struct vmm_error err;
    struct kvm_sregs sregs;
    struct kvm_regs regs = {.rip = TINY_CODE_GPA, .rsp = 0x8000, .rflags = 2};

    assert_ok(vmm_vcpu_get_sregs(vcpu, &sregs, &err), &err);
    sregs.cs.base = sregs.ds.base = sregs.es.base = sregs.ss.base = 0;
    sregs.cs.selector = sregs.ds.selector = 0;
    sregs.es.selector = sregs.ss.selector = 0;
    assert_ok(vmm_vcpu_set_sregs(vcpu, &sregs, &err), &err);
    assert_ok(vmm_vcpu_set_regs(vcpu, &regs, &err), &err);
}

/* Make a guest from machine code. */
static inline struct tiny_guest tiny_new(struct vmm_kvm *kvm, const void *code,
                                         size_t code_bytes, bool irqchip)
{
    struct vmm_error err;
    struct tiny_guest g = {.kvm = kvm};

    g.memory = tiny_memory(0, TINY_MEMORY_BYTES);
    assert_int_equal(
        vmm_memory_write(g.memory, TINY_CODE_GPA, code, code_bytes), 0);
    assert_ok(vmm_vm_new(kvm, &g.vm, &err), &err);
    assert_ok(vmm_vm_map(g.vm, g.memory, &err), &err);
    if (irqchip)
        assert_ok(vmm_vm_create_irqchip(g.vm, NULL, &err), &err);
    assert_ok(vmm_vcpu_new(g.vm, 0, &g.vcpu, &err), &err);
    tiny_real_mode(g.vcpu);
    return g;
}

/* Everything but kvm. */
static inline void tiny_free(struct tiny_guest *g)
{
    vmm_vcpu_free(g->vcpu);
    vmm_vm_free(g->vm);
    vmm_memory_unref(g->memory);
}

#endif
