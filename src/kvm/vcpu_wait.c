/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Waits for a vCPU's thread: to stop, to be paused; what they are made of. */
#include <errno.h>
#include <time.h>

#include "kvm/internal.h"

struct timespec vmm_vcpu_deadline(int64_t timeout_ns)
{
    if (timeout_ns < 0)
        return (struct timespec){0};

    const int64_t second = 1000000000;
    struct timespec at;

    clock_gettime(CLOCK_MONOTONIC, &at);
    at.tv_sec += (time_t)(timeout_ns / second);
    at.tv_nsec += (long)(timeout_ns % second);
    if (at.tv_nsec >= second) {
        at.tv_sec++;
        at.tv_nsec -= second;
    }
    return at;
}

int vmm_vcpu_await_change(struct vmm_vcpu *vcpu, int64_t timeout_ns,
                          const struct timespec *deadline)
{
    return timeout_ns < 0
               ? pthread_cond_wait(&vcpu->changed, &vcpu->lock)
               : pthread_cond_timedwait(&vcpu->changed, &vcpu->lock, deadline);
}

/* Lock held: nobody asks it to pause any more. */
static bool goes_on(const struct vmm_vcpu *vcpu)
{
    return vcpu->state == VMM_VCPU_RUNNING && !vcpu->pause_requested;
}

/* for_pause: -ECANCELED once it goes on. */
static int wait_stopped(struct vmm_vcpu *vcpu, int64_t timeout_ns,
                        bool for_pause)
{
    struct timespec deadline = vmm_vcpu_deadline(timeout_ns);
    int r = 0;

    if (vmm_vcpu_is_self(vcpu))
        return -EDEADLK;
    pthread_mutex_lock(&vcpu->lock);
    while (r == 0 && (vcpu->state == VMM_VCPU_RUNNING ||
                      vcpu->state == VMM_VCPU_STOPPING))
        r = for_pause && goes_on(vcpu)
                ? ECANCELED
                : vmm_vcpu_await_change(vcpu, timeout_ns, &deadline);
    pthread_mutex_unlock(&vcpu->lock);
    return -r;
}

int vmm_vcpu_wait_stopped(struct vmm_vcpu *vcpu, int64_t timeout_ns)
{
    return wait_stopped(vcpu, timeout_ns, false);
}

int vmm_vcpu_wait_paused(struct vmm_vcpu *vcpu, int64_t timeout_ns)
{
    return wait_stopped(vcpu, timeout_ns, true);
}
