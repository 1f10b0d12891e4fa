/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Holds: a vCPU that somebody keeps out of the guest, beside pause and resume.
 */
#include <errno.h>

#include "kvm/internal.h"

/*
 * `entered` is set, under the lock, where the vCPU's thread is let into the
 * guest, and cleared once KVM_RUN has come back with immediate_exit set: from
 * then on the thread enters no guest before it has looked at the requests under
 * the lock.  In between it may be in a handler, which does not matter to who
 * holds it.  So an exit that nobody has kicked pays one load.
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
    while (r == 0 && (vcpu->entered || vcpu->borrowed))
        r = vmm_vcpu_await_change(vcpu, timeout_ns, &deadline);
    pthread_mutex_unlock(&vcpu->lock);
    return -r;
}

void vmm_vcpu_left(struct vmm_vcpu *vcpu)
{
    pthread_mutex_lock(&vcpu->lock);
    if (vcpu->entered) {
        vcpu->entered = false;
        pthread_cond_broadcast(&vcpu->changed);
    }
    pthread_mutex_unlock(&vcpu->lock);
}

void vmm_vcpu_step_aside(struct vmm_vcpu *vcpu)
{
    uint8_t *immediate_exit = &vcpu->run->immediate_exit;

    pthread_mutex_lock(&vcpu->lock);
    if (vmm_vcpu_is_self(vcpu) && vcpu->entered) {
        vcpu->aside = !__atomic_exchange_n(immediate_exit, 1, __ATOMIC_SEQ_CST);
        vcpu->entered = false;
        pthread_cond_broadcast(&vcpu->changed);
    }
    pthread_mutex_unlock(&vcpu->lock);
}

bool vmm_vcpu_let_in(struct vmm_vcpu *vcpu)
{
    pthread_mutex_lock(&vcpu->lock);
    bool free = !vcpu->holds;
    if (free) {
        /* Nobody has kicked it: it was its own doing. */
        if (vcpu->aside)
            __atomic_store_n(&vcpu->run->immediate_exit, 0, __ATOMIC_SEQ_CST);
        vcpu->aside = false;
        vcpu->entered = true;
    }
    pthread_mutex_unlock(&vcpu->lock);
    return free;
}
