/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Requests to one vCPU from many threads at once. */
#include "fake_vcpu.h"

#include <sched.h>

struct tormentor {
    struct fake *fake;
    unsigned seed;
    unsigned bad; /* replies that make no sense */
};

static void torment_once(struct tormentor *t)
{
    struct vmm_vcpu *vcpu = &t->fake->vcpu;
    struct vmm_error err;
    struct kvm_regs regs;
    int r;

    switch (rand_r(&t->seed) % 6) {
    case 0:
        vmm_vcpu_request_pause(vcpu);
        break;
    case 1:
        vmm_vcpu_kick(vcpu);
        break;
    case 2:
        r = vmm_vcpu_wait_stopped(vcpu, 100000);
        t->bad += r != 0 && r != -ETIMEDOUT;
        break;
    case 3:
        r = vmm_vcpu_get_regs(vcpu, &regs, &err);
        t->bad += r != -EBUSY && r != -EBADF;
        break;
    default:
        vmm_vcpu_request_resume(vcpu);
        break;
    }
}

static void *torment(void *argument)
{
    struct tormentor *t = argument;

    for (unsigned i = 0; i < 3000; i++)
        torment_once(t);
    return NULL;
}

static int pause_now_and_then(struct fake *fake)
{
    if (atomic_load(&fake->exits) % 7 == 0)
        vmm_vcpu_request_pause(&fake->vcpu);
    return 0;
}

static void requests_from_many_threads_leave_a_vcpu_that_obeys(void **state)
{
    (void)state;
    struct fake *fake = fake_start(FAKE_MIXES, pause_now_and_then);
    struct tormentor tormentors[4];
    pthread_t threads[4];

    for (unsigned i = 0; i < 4; i++) {
        tormentors[i] = (struct tormentor){.fake = fake, .seed = i};
        assert_int_equal(
            pthread_create(&threads[i], NULL, torment, &tormentors[i]), 0);
    }
    for (unsigned i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(tormentors[i].bad, 0);
    }

    vmm_vcpu_request_pause(&fake->vcpu);
    wait_stopped(fake);
    assert_state(fake, VMM_VCPU_PAUSED);
    assert_false(atomic_load(&fake->incomplete));
    unsigned entries = atomic_load(&fake->entries);
    vmm_vcpu_request_resume(&fake->vcpu);
    wait_until_more(fake, &fake->entries, entries);
    vmm_vcpu_request_stop(&fake->vcpu);
    wait_stopped(fake);
    assert_state(fake, VMM_VCPU_FINISHED);
    fake_free(fake);
}

/* ---- holds and single runs among them ------------------------------------ */

static void hold_for_a_moment(struct tormentor *t)
{
    struct vmm_vcpu *vcpu = &t->fake->vcpu;

    vmm_vcpu_request_hold(vcpu);
    int r = vmm_vcpu_wait_held(vcpu, DEADLINE_NS);
    unsigned runs = atomic_load(&t->fake->runs);
    vmm_vcpu_kick(vcpu);
    sched_yield();
    t->bad += r != 0 || atomic_load(&t->fake->runs) != runs;
    vmm_vcpu_end_hold(vcpu);
}

static void *torment_with_holds(void *argument)
{
    struct tormentor *t = argument;
    struct vmm_vcpu *vcpu = &t->fake->vcpu;
    struct vmm_exit exit;
    int r;

    for (unsigned i = 0; i < 2000; i++) {
        switch (rand_r(&t->seed) % 6) {
        case 0:
            hold_for_a_moment(t);
            break;
        case 1:
            r = vmm_vcpu_run_once(vcpu, &exit, NULL);
            t->bad += r != 0 && r != -EBUSY;
            break;
        case 2:
            vmm_vcpu_nmi(vcpu, NULL);
            break;
        default:
            torment_once(t);
            break;
        }
    }
    return NULL;
}

/* As the step over a breakpoint does. */
static int run_once_now_and_then(struct fake *fake)
{
    struct vmm_exit exit;

    if (atomic_load(&fake->exits) % 3 == 0) {
        if (vmm_vcpu_run_once(&fake->vcpu, &exit, NULL) < 0)
            count(fake, &fake->oddities);
        if (vmm_vcpu_complete_io(&fake->vcpu, NULL) < 0)
            count(fake, &fake->oddities);
    }
    return pause_now_and_then(fake);
}

/* Its single run may sleep, and nobody else be left who kicks. */
static void join_with_kicks(struct fake *fake, pthread_t thread)
{
    struct timespec soon;

    do {
        vmm_vcpu_kick(&fake->vcpu);
        clock_gettime(CLOCK_REALTIME, &soon);
        soon.tv_sec += soon.tv_nsec >= 999000000;
        soon.tv_nsec = (soon.tv_nsec + 1000000) % 1000000000;
    } while (pthread_timedjoin_np(thread, NULL, &soon) != 0);
}

static void no_request_is_lost_among_holds_and_single_runs(void **state)
{
    (void)state;
    struct tormentor tormentors[4];
    pthread_t threads[4];

    for (unsigned round = 0; round < 5; round++) {
        struct fake *fake = fake_start(FAKE_MIXES, run_once_now_and_then);

        for (unsigned i = 0; i < 4; i++) {
            tormentors[i] =
                (struct tormentor){.fake = fake, .seed = 4 * round + i};
            assert_int_equal(pthread_create(&threads[i], NULL,
                                            torment_with_holds, &tormentors[i]),
                             0);
        }
        /* One round is stopped in the midst of it. */
        if (round % 2)
            vmm_vcpu_request_stop(&fake->vcpu);
        for (unsigned i = 0; i < 4; i++) {
            join_with_kicks(fake, threads[i]);
            assert_int_equal(tormentors[i].bad, 0);
        }
        vmm_vcpu_request_resume(&fake->vcpu);
        vmm_vcpu_request_pause(&fake->vcpu);
        wait_stopped(fake);
        assert_int_equal(fake->vcpu.holds, 0);
        vmm_vcpu_request_resume(&fake->vcpu);
        vmm_vcpu_request_stop(&fake->vcpu);
        wait_stopped(fake);
        assert_state(fake, VMM_VCPU_FINISHED);
        fake_free(fake);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_from_many_threads_leave_a_vcpu_that_obeys),
        cmocka_unit_test(no_request_is_lost_among_holds_and_single_runs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
