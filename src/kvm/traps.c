/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* What KVM would serve or refuse by itself, made to exit: MSRs, hypercalls. */
#include <linux/kvm.h>
#include <linux/kvm_para.h>
#include <sys/ioctl.h>

#include "kvm/internal.h"

int vmm_vm_trap_msrs(struct vmm_vm *vm, bool on, struct vmm_error *err)
{
    struct kvm_enable_cap enable = {
        .cap = KVM_CAP_X86_USER_SPACE_MSR,
        .args = {on ? KVM_MSR_EXIT_REASON_UNKNOWN | KVM_MSR_EXIT_REASON_INVAL
                    : 0},
    };

    vmm_error_clear(err);
    if (ioctl(vm->fd, KVM_ENABLE_CAP, &enable) < 0)
        return vmm_error_errno(err, "KVM_CAP_X86_USER_SPACE_MSR");
    return 0;
}

int vmm_vm_trap_hypercalls(struct vmm_vm *vm, bool on, struct vmm_error *err)
{
    struct kvm_enable_cap enable = {
        .cap = KVM_CAP_EXIT_HYPERCALL,
        .args = {on ? 1u << KVM_HC_MAP_GPA_RANGE : 0},
    };

    vmm_error_clear(err);
    if (ioctl(vm->fd, KVM_ENABLE_CAP, &enable) < 0)
        return vmm_error_errno(err, "KVM_CAP_EXIT_HYPERCALL");
    return 0;
}
