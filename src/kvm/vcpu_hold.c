/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Holds: a vCPU that somebody keeps out of the guest, beside pause and resume.
 */
#include <errno.h>

#include "kvm/internal.h"

/*
 * Who holds a vCPU sets immediate_exit and then looks at `entered`; the vCPU
 * sets `entered`, KVM_RUN looks at immediate_exit, and behind it `entered` is
 * cleared and immediate_exit looked at once more.  All are sequentially
 * consistent: either the guest is not entered, or the one who waits is told.
 * In its exit handler a vCPU is out, so that no two that hold each other wait.
 */

void vmm_vcpu_request_hold(struct vmm_vcpu *vcpu)
{
    pthread_mutex_lock(&vcpu->lock);
    vcpu->holds++;
    /* Elsewhere a kick would only cut the next single run short. */
    if (vcpu->borrowed || vcpu->state == VMM_VCPU_RUNNING ||
        vcpu->state == VMM_VCPU_STOPPING)
        vmm_vcpu_kick_locked(vcpu);
    pthread_mutex_unlock(&vcpu->lock);
}

void vmm_vcpu_end_hold(struct vmm_vcpu *vcpu)
{
    pthread_mutex_lock(&vcpu->lock);
    if (vcpu->holds && --vcpu->holds == 0)
        pthread_cond_broadcast(&vcpu->changed);
    pthread_mutex_unlock(&vcpu->lock);
}

int vmm_vcpu_wait_held(struct vmm_vcpu *vcpu, int64_t timeout_ns)
{
    struct timespec deadline = vmm_vcpu_deadline(timeout_ns);
    int r = 0;

    if (vmm_vcpu_is_self(vcpu))
        return 0;
    pthread_mutex_lock(&vcpu->lock);
    while (r == 0 && (atomic_load(&vcpu->entered) || vcpu->borrowed))
        r = vmm_vcpu_await_change(vcpu, timeout_ns, &deadline);
    pthread_mutex_unlock(&vcpu->lock);
    return -r;
}
