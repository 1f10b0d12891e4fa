/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Holds: a vCPU that somebody keeps out of the guest, beside pause and resume.
 */
#include <errno.h>

#include "kvm/internal.h"

/* Some times what waking up and entering take, so that a turn is worth it. */
#define TURN_NS 100000

/*
 * Who holds a vCPU sets immediate_exit and then looks at `entered`; the vCPU
 * sets `entered`, KVM_RUN looks at immediate_exit, and behind it `entered` is
 * cleared and immediate_exit looked at once more.  All are sequentially
 * consistent: either the guest is not entered, or the one who waits is told.
 * In its exit handler a vCPU is out, so that no two that hold each other wait.
 *
 * Who holds a vCPU again and again, without a pause worth speaking of, would
 * be back each time before the vCPU has woken up, and it would never run.  So
 * the end of the last hold owes a vCPU that slept through it a turn, one entry:
 * whoever waits for it next lets it wake up and enter, and calls it out when it
 * has not come out by itself after TURN_NS.
 */

/* Lock held. */
static void call_out(struct vmm_vcpu *vcpu)
{
    /* Elsewhere a kick would only cut the next single run short. */
    if (vcpu->borrowed || vcpu->state == VMM_VCPU_RUNNING ||
        vcpu->state == VMM_VCPU_STOPPING)
        vmm_vcpu_kick_locked(vcpu);
}

void vmm_vcpu_request_hold(struct vmm_vcpu *vcpu)
{
    pthread_mutex_lock(&vcpu->lock);
    vcpu->holds++;
    call_out(vcpu);
    pthread_mutex_unlock(&vcpu->lock);
}

void vmm_vcpu_end_hold(struct vmm_vcpu *vcpu)
{
    pthread_mutex_lock(&vcpu->lock);
    if (vcpu->holds && --vcpu->holds == 0) {
        vcpu->turn_owed = vcpu->asleep_held;
        pthread_cond_broadcast(&vcpu->changed);
    }
    pthread_mutex_unlock(&vcpu->lock);
}

/* Lock held; 0 or ETIMEDOUT. */
static int let_turn_pass(struct vmm_vcpu *vcpu, int64_t timeout_ns,
                         const struct timespec *deadline)
{
    int r = 0;

    while (r == 0 && vcpu->turn_owed)
        r = vmm_vcpu_await_change(vcpu, timeout_ns, deadline);

    struct timespec end = vmm_vcpu_deadline(TURN_NS);
    int over = 0;

    while (!over && atomic_load(&vcpu->in_turn))
        over = vmm_vcpu_await_change(vcpu, TURN_NS, &end);
    /* The end of a turn keeps a held vCPU out by itself. */
    if (over)
        call_out(vcpu);
    return r;
}

int vmm_vcpu_wait_held(struct vmm_vcpu *vcpu, int64_t timeout_ns)
{
    struct timespec deadline = vmm_vcpu_deadline(timeout_ns);

    if (vmm_vcpu_is_self(vcpu))
        return 0;
    pthread_mutex_lock(&vcpu->lock);

    int r = let_turn_pass(vcpu, timeout_ns, &deadline);

    while (r == 0 && (atomic_load(&vcpu->entered) || vcpu->borrowed))
        r = vmm_vcpu_await_change(vcpu, timeout_ns, &deadline);
    pthread_mutex_unlock(&vcpu->lock);
    return -r;
}

bool vmm_vcpu_take_turn(struct vmm_vcpu *vcpu)
{
    bool owed = vcpu->turn_owed;

    vcpu->turn_owed = false;
    if (owed)
        pthread_cond_broadcast(&vcpu->changed);
    return owed;
}

void vmm_vcpu_sleep_held(struct vmm_vcpu *vcpu)
{
    vcpu->asleep_held = true;
    pthread_cond_wait(&vcpu->changed, &vcpu->lock);
    vcpu->asleep_held = false;
}
