/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* A vCPU whose guest is a C function: no KVM, so that tests of the thread also
 * run under the thread sanitizer and on hosts without /dev/kvm. */
#ifndef FAKE_VCPU_H
#define FAKE_VCPU_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>

#include "kvm/internal.h"

#define SECOND_NS 1000000000ll
/* Far longer than anything here takes; only a failure waits for it. */
#define DEADLINE_NS (20 * SECOND_NS)

/* ---- a vCPU whose guest is a C function --------------------------------- */

enum fake_guest {
    FAKE_HALTS,  /* sleeps in KVM_RUN until a signal comes */
    FAKE_WRITES, /* writes to a port at each entry */
    FAKE_MIXES,  /* one write, then sleeps, and so on */
    FAKE_FAILS,  /* KVM_RUN gives EFAULT */
    FAKE_STAYS,  /* in KVM_RUN, deaf to kicks, until fake_let_go */
};

struct fake {
    struct vmm_vcpu vcpu;
    struct kvm_run *run;
    enum fake_guest guest;

    atomic_uint entries;    /* KVM_RUN calls */
    atomic_uint runs;       /* of them, those that got into the guest */
    atomic_uint halts;      /* of them, those that went to sleep */
    atomic_uint exits;      /* on_exit calls */
    atomic_uint errors;     /* on_error calls */
    atomic_uint finishes;   /* on_finished calls */
    atomic_uint oddities;   /* callbacks that got what they should not */
    atomic_bool incomplete; /* an access waits for its completion */
    unsigned pieces;        /* more accesses that completion brings */
    bool halt_next;         /* FAKE_MIXES */
    bool let_go;            /* FAKE_STAYS; under lock */
    struct vmm_error error; /* what on_error was told */

    pthread_mutex_t lock;
    pthread_cond_t counted; /* one of the counters has grown */

    /* Called by on_exit; what it returns, on_exit does. */
    int (*handler)(struct fake *fake);
    unsigned long seen; /* for handlers */
};

static inline struct fake *fake_of(struct vmm_vcpu *vcpu)
{
    return vcpu->enter_context;
}

static inline void count(struct fake *fake, atomic_uint *counter)
{
    pthread_mutex_lock(&fake->lock);
    atomic_fetch_add(counter, 1);
    pthread_cond_broadcast(&fake->counted);
    pthread_mutex_unlock(&fake->lock);
}

static inline bool kicked(const struct fake *fake)
{
    return __atomic_load_n(&fake->run->immediate_exit, __ATOMIC_SEQ_CST);
}

/* As KVM does: a signal is noticed whether it comes before or during sleep. */
static inline int fake_halt(struct fake *fake)
{
    sigset_t all, before;

    count(fake, &fake->halts);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    if (!kicked(fake))
        ppoll(NULL, 0, NULL, &before);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return -EINTR;
}

/* As a kick that is on its way but has not arrived. */
static inline int fake_stay(struct fake *fake)
{
    count(fake, &fake->halts);
    pthread_mutex_lock(&fake->lock);
    while (!fake->let_go)
        pthread_cond_wait(&fake->counted, &fake->lock);
    pthread_mutex_unlock(&fake->lock);
    return -EINTR;
}

static inline void fake_let_go(struct fake *fake)
{
    pthread_mutex_lock(&fake->lock);
    fake->let_go = true;
    pthread_cond_broadcast(&fake->counted);
    pthread_mutex_unlock(&fake->lock);
}

static inline int fake_write(struct fake *fake)
{
    fake->run->exit_reason = KVM_EXIT_IO;
    fake->run->io.direction = KVM_EXIT_IO_OUT;
    fake->run->io.port = 0x80;
    fake->run->io.size = 1;
    fake->run->io.count = 1;
    fake->run->io.data_offset = sizeof(struct kvm_run);
    atomic_store(&fake->incomplete, true);
    return 0;
}

static inline int fake_enter(struct vmm_vcpu *vcpu)
{
    struct fake *fake = fake_of(vcpu);

    count(fake, &fake->entries);
    if (atomic_exchange(&fake->incomplete, false) && fake->pieces > 0) {
        fake->pieces--;
        return fake_write(fake);
    }
    if (kicked(fake))
        return -EINTR;
    count(fake, &fake->runs);
    switch (fake->guest) {
    case FAKE_HALTS:
        return fake_halt(fake);
    case FAKE_MIXES:
        fake->halt_next = !fake->halt_next;
        return fake->halt_next ? fake_write(fake) : fake_halt(fake);
    case FAKE_FAILS:
        return -EFAULT;
    case FAKE_STAYS:
        return fake_stay(fake);
    case FAKE_WRITES:
    default:
        return fake_write(fake);
    }
}

static inline int on_exit_of_fake(void *context, struct vmm_vcpu *vcpu,
                                  struct vmm_exit *exit)
{
    struct fake *fake = context;

    if (vcpu != &fake->vcpu || exit->type != VMM_EXIT_PIO_WRITE)
        count(fake, &fake->oddities);
    count(fake, &fake->exits);
    return fake->handler ? fake->handler(fake) : 0;
}

static inline void on_error_of_fake(void *context, struct vmm_vcpu *vcpu,
                                    const struct vmm_error *err)
{
    struct fake *fake = context;

    (void)vcpu;
    fake->error = *err;
    count(fake, &fake->errors);
}

static inline void on_finished_of_fake(void *context, struct vmm_vcpu *vcpu)
{
    struct fake *fake = context;

    if (!vmm_vcpu_is_self(vcpu) ||
        vmm_vcpu_thread_state(vcpu) != VMM_VCPU_FINISHED)
        count(fake, &fake->oddities);
    count(fake, &fake->finishes);
}

static inline struct fake *fake_new(enum fake_guest guest)
{
    struct fake *fake = calloc(1, sizeof(*fake));

    assert_non_null(fake);
    fake->guest = guest;
    pthread_mutex_init(&fake->lock, NULL);
    pthread_cond_init(&fake->counted, NULL);
    fake->run = calloc(1, 2 * sizeof(*fake->run));
    assert_non_null(fake->run);
    assert_int_equal(vmm_vcpu_init(&fake->vcpu, 7, fake->run, fake_enter), 0);
    fake->vcpu.fd = -1;
    fake->vcpu.enter_context = fake;
    return fake;
}

static inline int fake_try_start(struct fake *fake, int kick_signal,
                                 struct vmm_error *err)
{
    struct vmm_vcpu_thread_config config = {
        .on_exit = on_exit_of_fake,
        .on_error = on_error_of_fake,
        .on_finished = on_finished_of_fake,
        .context = fake,
        .kick_signal = kick_signal,
    };

    return vmm_vcpu_start(&fake->vcpu, &config, err);
}

static inline struct fake *fake_start(enum fake_guest guest,
                                      int (*handler)(struct fake *fake))
{
    struct vmm_error err;
    struct fake *fake = fake_new(guest);

    fake->handler = handler;
    if (fake_try_start(fake, 0, &err) < 0)
        fail_msg("start: %s", err.text);
    return fake;
}

static inline void fake_free(struct fake *fake)
{
    assert_int_equal(vmm_vcpu_join(&fake->vcpu), 0);
    assert_int_equal(atomic_load(&fake->oddities), 0);
    vmm_vcpu_fini(&fake->vcpu);
    pthread_cond_destroy(&fake->counted);
    pthread_mutex_destroy(&fake->lock);
    free(fake->run);
    free(fake);
}

static inline void assert_state(struct fake *fake,
                                enum vmm_vcpu_thread_state state)
{
    assert_int_equal(vmm_vcpu_thread_state(&fake->vcpu), state);
}

static inline void wait_stopped(struct fake *fake)
{
    assert_int_equal(vmm_vcpu_wait_stopped(&fake->vcpu, DEADLINE_NS), 0);
}

static inline void wait_until_more(struct fake *fake, atomic_uint *counter,
                                   unsigned than)
{
    struct timespec deadline;
    int r = 0;

    clock_gettime(CLOCK_REALTIME, &deadline);
    deadline.tv_sec += DEADLINE_NS / SECOND_NS;
    pthread_mutex_lock(&fake->lock);
    while (r == 0 && atomic_load(counter) <= than)
        r = pthread_cond_timedwait(&fake->counted, &fake->lock, &deadline);
    pthread_mutex_unlock(&fake->lock);
    if (r)
        fail_msg("still %u, want more than %u", atomic_load(counter), than);
}

/* A handler: end the thread. */
static inline int finish(struct fake *fake)
{
    (void)fake;
    return 1;
}

#endif
