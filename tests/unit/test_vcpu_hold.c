/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Holds: a vCPU kept out of the guest beside pause and resume. */
#include "fake_vcpu.h"

static void hold(struct fake *fake)
{
    vmm_vcpu_request_hold(&fake->vcpu);
    assert_int_equal(vmm_vcpu_wait_held(&fake->vcpu, DEADLINE_NS), 0);
}

static unsigned runs(struct fake *fake)
{
    return atomic_load(&fake->runs);
}

static struct fake *run(enum fake_guest guest, int (*handler)(struct fake *))
{
    struct fake *fake = fake_start(guest, handler);

    vmm_vcpu_request_resume(&fake->vcpu);
    wait_until_more(fake, &fake->runs, 0);
    return fake;
}

/* Nothing runs it: a pause is answered, and the guest does not run. */
static void assert_stays_out(struct fake *fake)
{
    unsigned before = runs(fake);

    vmm_vcpu_request_resume(&fake->vcpu);
    vmm_vcpu_kick(&fake->vcpu);
    vmm_vcpu_request_pause(&fake->vcpu);
    wait_stopped(fake);
    assert_int_equal(runs(fake), before);
    vmm_vcpu_request_resume(&fake->vcpu);
}

static void
a_held_vcpu_stays_out_of_the_guest_until_the_last_hold_ends(void **state)
{
    (void)state;
    struct fake *fake = run(FAKE_WRITES, NULL);

    hold(fake);
    hold(fake);
    assert_state(fake, VMM_VCPU_RUNNING);
    assert_stays_out(fake);
    vmm_vcpu_end_hold(&fake->vcpu);
    assert_stays_out(fake);
    unsigned before = runs(fake);
    vmm_vcpu_end_hold(&fake->vcpu);
    wait_until_more(fake, &fake->runs, before + 2);
    fake_free(fake);
}

static void a_hold_gets_a_sleeping_vcpu_out_of_the_guest(void **state)
{
    (void)state;
    struct fake *fake = run(FAKE_HALTS, NULL);

    wait_until_more(fake, &fake->halts, 0);
    hold(fake);
    unsigned before = atomic_load(&fake->halts);
    vmm_vcpu_end_hold(&fake->vcpu);
    wait_until_more(fake, &fake->halts, before);
    fake_free(fake);
}

static void the_end_of_a_hold_does_not_resume_a_paused_vcpu(void **state)
{
    (void)state;
    struct fake *fake = run(FAKE_WRITES, NULL);

    hold(fake);
    vmm_vcpu_request_pause(&fake->vcpu);
    wait_stopped(fake);
    vmm_vcpu_end_hold(&fake->vcpu);
    unsigned before = runs(fake);
    assert_state(fake, VMM_VCPU_PAUSED);
    assert_int_equal(runs(fake), before);
    vmm_vcpu_request_resume(&fake->vcpu);
    wait_until_more(fake, &fake->runs, before);
    fake_free(fake);
}

static void
a_paused_vcpu_that_is_held_can_be_resumed_but_runs_later(void **state)
{
    (void)state;
    struct fake *fake = fake_start(FAKE_WRITES, NULL);

    hold(fake);
    vmm_vcpu_request_resume(&fake->vcpu);
    assert_state(fake, VMM_VCPU_RUNNING);
    assert_stays_out(fake);
    assert_int_equal(runs(fake), 0);
    vmm_vcpu_end_hold(&fake->vcpu);
    wait_until_more(fake, &fake->runs, 0);
    fake_free(fake);
}

static void a_held_vcpu_can_be_stopped(void **state)
{
    (void)state;
    struct fake *fake = run(FAKE_WRITES, NULL);

    hold(fake);
    assert_int_equal(vmm_vcpu_join(&fake->vcpu), 0);
    assert_int_equal(vmm_vcpu_wait_held(&fake->vcpu, 0), 0);
    vmm_vcpu_end_hold(&fake->vcpu);
    assert_int_equal(atomic_load(&fake->finishes), 1);
    fake_free(fake);
}

static void a_hold_waits_for_a_vcpu_that_is_deaf_to_kicks(void **state)
{
    (void)state;
    struct fake *fake = run(FAKE_STAYS, NULL);

    wait_until_more(fake, &fake->halts, 0);
    vmm_vcpu_request_hold(&fake->vcpu);
    assert_int_equal(vmm_vcpu_wait_held(&fake->vcpu, 20000000), -ETIMEDOUT);
    fake_let_go(fake);
    assert_int_equal(vmm_vcpu_wait_held(&fake->vcpu, DEADLINE_NS), 0);
    vmm_vcpu_end_hold(&fake->vcpu);
    fake_free(fake);
}

static void more_holds_than_there_were_are_not_ended(void **state)
{
    (void)state;
    struct fake *fake = fake_start(FAKE_WRITES, NULL);

    vmm_vcpu_end_hold(&fake->vcpu);
    hold(fake);
    vmm_vcpu_request_resume(&fake->vcpu);
    assert_stays_out(fake);
    assert_int_equal(runs(fake), 0);
    vmm_vcpu_end_hold(&fake->vcpu);
    wait_until_more(fake, &fake->runs, 0);
    fake_free(fake);
}

/* A handler that another vCPU's handler may wait for, here by a hold. */
static int stay_until_held(struct fake *fake)
{
    pthread_mutex_lock(&fake->lock);
    while (!fake->let_go)
        pthread_cond_wait(&fake->counted, &fake->lock);
    pthread_mutex_unlock(&fake->lock);
    return 0;
}

static void a_vcpu_in_its_handler_is_out_of_the_guest(void **state)
{
    (void)state;
    struct fake *fake = run(FAKE_WRITES, stay_until_held);

    wait_until_more(fake, &fake->exits, 0);
    vmm_vcpu_request_hold(&fake->vcpu);
    int r = vmm_vcpu_wait_held(&fake->vcpu, SECOND_NS);
    fake_let_go(fake);
    assert_int_equal(r, 0);
    assert_stays_out(fake);
    vmm_vcpu_end_hold(&fake->vcpu);
    wait_until_more(fake, &fake->runs, 1);
    fake_free(fake);
}

static void
holds_without_a_pause_between_them_leave_a_vcpu_its_turns(void **state)
{
    (void)state;
    struct fake *fake = run(FAKE_WRITES, NULL);
    unsigned enough = runs(fake) + 100;
    unsigned holds = 0;

    for (; runs(fake) < enough && holds < 100000; holds++) {
        hold(fake);
        vmm_vcpu_end_hold(&fake->vcpu);
    }
    if (runs(fake) < enough)
        fail_msg("%u holds, and it ran %u times of %u", holds, runs(fake),
                 enough);
    fake_free(fake);
}

static void a_turn_that_lasts_is_cut_short_by_who_waits(void **state)
{
    (void)state;
    struct fake *fake = run(FAKE_HALTS, NULL);

    for (unsigned i = 0; i < 100; i++) {
        hold(fake);
        vmm_vcpu_end_hold(&fake->vcpu);
    }
    fake_free(fake);
}

/* ---- two vCPUs that hold each other ------------------------------------- */

#define ROUNDS 100

struct pair {
    struct fake *fakes[2];
    atomic_uint alone; /* who has the token: 1 + index */
    atomic_uint together;
    atomic_uint steps;
};

/* Each exit of either holds the other one and, if it gets the token, runs its
 * own guest once, alone, as the step over a breakpoint does. */
static int hold_the_other(struct fake *fake)
{
    struct pair *pair = (struct pair *)fake->seen;
    struct fake *other = pair->fakes[fake == pair->fakes[0]];
    unsigned nobody = 0;
    struct vmm_exit exit;

    if (!atomic_compare_exchange_strong(&pair->alone, &nobody, 1))
        return 0;
    vmm_vcpu_request_hold(&other->vcpu);
    if (vmm_vcpu_wait_held(&other->vcpu, DEADLINE_NS) < 0)
        count(fake, &fake->oddities);
    unsigned before = atomic_load(&other->runs);
    if (vmm_vcpu_run_once(&fake->vcpu, &exit, NULL) < 0)
        count(fake, &fake->oddities);
    if (exit.type != VMM_EXIT_NONE)
        atomic_fetch_add(&pair->steps, 1);
    if (atomic_load(&other->runs) != before)
        atomic_fetch_add(&pair->together, 1);
    vmm_vcpu_end_hold(&other->vcpu);
    atomic_store(&pair->alone, 0);
    return 0;
}

static void
two_vcpus_that_hold_each_other_neither_hang_nor_run_together(void **state)
{
    (void)state;
    struct pair pair = {0};

    for (int i = 0; i < 2; i++) {
        pair.fakes[i] = fake_start(FAKE_WRITES, hold_the_other);
        pair.fakes[i]->seen = (unsigned long)&pair;
    }
    for (int i = 0; i < 2; i++)
        vmm_vcpu_request_resume(&pair.fakes[i]->vcpu);
    /* Meanwhile a third thread pauses, resumes, and holds. */
    for (int i = 0; i < ROUNDS; i++) {
        struct fake *fake = pair.fakes[i % 2];

        wait_until_more(fake, &fake->exits, atomic_load(&fake->exits));
        hold(fake);
        vmm_vcpu_request_pause(&fake->vcpu);
        vmm_vcpu_end_hold(&fake->vcpu);
        wait_stopped(fake);
        vmm_vcpu_request_resume(&fake->vcpu);
    }
    for (int i = 0; i < 2; i++)
        assert_int_equal(vmm_vcpu_join(&pair.fakes[i]->vcpu), 0);
    assert_int_equal(atomic_load(&pair.together), 0);
    assert_in_range(atomic_load(&pair.steps), 1, UINT32_MAX);
    for (int i = 0; i < 2; i++)
        fake_free(pair.fakes[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(
            a_held_vcpu_stays_out_of_the_guest_until_the_last_hold_ends),
        cmocka_unit_test(a_hold_gets_a_sleeping_vcpu_out_of_the_guest),
        cmocka_unit_test(the_end_of_a_hold_does_not_resume_a_paused_vcpu),
        cmocka_unit_test(
            a_paused_vcpu_that_is_held_can_be_resumed_but_runs_later),
        cmocka_unit_test(a_held_vcpu_can_be_stopped),
        cmocka_unit_test(a_hold_waits_for_a_vcpu_that_is_deaf_to_kicks),
        cmocka_unit_test(a_vcpu_in_its_handler_is_out_of_the_guest),
        cmocka_unit_test(more_holds_than_there_were_are_not_ended),
        cmocka_unit_test(
            holds_without_a_pause_between_them_leave_a_vcpu_its_turns),
        cmocka_unit_test(a_turn_that_lasts_is_cut_short_by_who_waits),
        cmocka_unit_test(
            two_vcpus_that_hold_each_other_neither_hang_nor_run_together),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
