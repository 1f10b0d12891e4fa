/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* The life of a vCPU thread: start, pause, resume, end. */
#include "fake_vcpu.h"

/* ---- starting ----------------------------------------------------------- */

static void a_thread_starts_paused_and_does_not_enter_the_guest(void **state)
{
    (void)state;
    struct fake *fake = fake_new(FAKE_WRITES);
    struct vmm_error err;

    assert_state(fake, VMM_VCPU_NO_THREAD);
    assert_int_equal(fake_try_start(fake, 0, &err), 0);
    assert_state(fake, VMM_VCPU_PAUSED);
    wait_stopped(fake);
    assert_int_equal(vmm_vcpu_join(&fake->vcpu), 0);
    assert_int_equal(atomic_load(&fake->entries), 0);
    fake_free(fake);
}

static void starting_twice_is_refused(void **state)
{
    (void)state;
    struct fake *fake = fake_start(FAKE_HALTS, NULL);
    struct vmm_error err;

    assert_int_equal(fake_try_start(fake, 0, &err), -EBUSY);
    assert_string_equal(err.text, "vCPU 7 has been started already");
    fake_free(fake);
}

static void a_joined_vcpu_can_be_started_again(void **state)
{
    (void)state;
    struct fake *fake = fake_start(FAKE_WRITES, finish);
    struct vmm_error err;

    vmm_vcpu_request_resume(&fake->vcpu);
    wait_stopped(fake);
    assert_state(fake, VMM_VCPU_FINISHED);
    assert_int_equal(vmm_vcpu_join(&fake->vcpu), 0);
    assert_state(fake, VMM_VCPU_NO_THREAD);

    assert_int_equal(fake_try_start(fake, 0, &err), 0);
    vmm_vcpu_request_resume(&fake->vcpu);
    wait_stopped(fake);
    assert_int_equal(atomic_load(&fake->exits), 2);
    fake_free(fake);
}

/* ---- ending ------------------------------------------------------------- */

static int finish_at_the_third(struct fake *fake)
{
    return atomic_load(&fake->exits) == 3;
}

static void a_handler_that_returns_nonzero_finishes_the_thread(void **state)
{
    (void)state;
    struct fake *fake = fake_start(FAKE_WRITES, finish_at_the_third);

    vmm_vcpu_request_resume(&fake->vcpu);
    wait_stopped(fake);
    assert_state(fake, VMM_VCPU_FINISHED);
    assert_int_equal(atomic_load(&fake->exits), 3);
    assert_false(atomic_load(&fake->incomplete));
    fake_free(fake);
}

static void a_halted_vcpu_stops_when_asked(void **state)
{
    (void)state;
    struct fake *fake = fake_start(FAKE_HALTS, NULL);

    vmm_vcpu_request_resume(&fake->vcpu);
    wait_until_more(fake, &fake->halts, 0);
    vmm_vcpu_request_stop(&fake->vcpu);
    wait_stopped(fake);
    assert_state(fake, VMM_VCPU_FINISHED);
    fake_free(fake);
}

static void a_paused_vcpu_stops_when_asked(void **state)
{
    (void)state;
    struct fake *fake = fake_start(FAKE_HALTS, NULL);

    vmm_vcpu_request_stop(&fake->vcpu);
    wait_stopped(fake);
    assert_state(fake, VMM_VCPU_FINISHED);
    assert_int_equal(atomic_load(&fake->entries), 0);
    fake_free(fake);
}

static void the_end_of_each_thread_is_told_once(void **state)
{
    static const enum fake_guest guests[] = {FAKE_WRITES, FAKE_HALTS,
                                             FAKE_FAILS};

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct fake *fake = fake_start(guests[i], finish);

        vmm_vcpu_request_resume(&fake->vcpu);
        assert_int_equal(vmm_vcpu_join(&fake->vcpu), 0);
        assert_int_equal(atomic_load(&fake->finishes), 1);
        fake_free(fake);
    }
}

static void a_finished_vcpu_ignores_requests(void **state)
{
    (void)state;
    struct fake *fake = fake_start(FAKE_WRITES, finish);

    vmm_vcpu_request_resume(&fake->vcpu);
    wait_stopped(fake);
    vmm_vcpu_request_resume(&fake->vcpu);
    vmm_vcpu_request_pause(&fake->vcpu);
    vmm_vcpu_request_stop(&fake->vcpu);
    vmm_vcpu_kick(&fake->vcpu);
    assert_state(fake, VMM_VCPU_FINISHED);
    assert_int_equal(atomic_load(&fake->exits), 1);
    fake_free(fake);
}

static void a_failing_run_is_reported_and_finishes_the_thread(void **state)
{
    (void)state;
    struct fake *fake = fake_start(FAKE_FAILS, NULL);

    vmm_vcpu_request_resume(&fake->vcpu);
    wait_stopped(fake);
    assert_state(fake, VMM_VCPU_FINISHED);
    assert_int_equal(atomic_load(&fake->errors), 1);
    assert_int_equal(fake->error.code, EFAULT);
    assert_string_equal(fake->error.text,
                        "vCPU 7: KVM_RUN met guest memory the host can't "
                        "provide: Bad address");
    fake_free(fake);
}

static void joining_twice_and_without_a_thread_is_fine(void **state)
{
    (void)state;
    struct fake *fake = fake_new(FAKE_HALTS);
    struct vmm_error err;

    assert_int_equal(vmm_vcpu_join(&fake->vcpu), 0);
    assert_int_equal(fake_try_start(fake, 0, &err), 0);
    assert_int_equal(vmm_vcpu_join(&fake->vcpu), 0);
    assert_int_equal(vmm_vcpu_join(&fake->vcpu), 0);
    fake_free(fake);
}

static void *join_it(void *argument)
{
    struct fake *fake = argument;

    return vmm_vcpu_join(&fake->vcpu) == 0 ? fake : NULL;
}

static void several_threads_may_join_at_once(void **state)
{
    (void)state;
    struct fake *fake = fake_start(FAKE_HALTS, NULL);
    pthread_t joiners[3];

    vmm_vcpu_request_resume(&fake->vcpu);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&joiners[i], NULL, join_it, fake), 0);
    for (size_t i = 0; i < 3; i++) {
        void *joined;

        pthread_join(joiners[i], &joined);
        assert_ptr_equal(joined, fake);
    }
    assert_state(fake, VMM_VCPU_NO_THREAD);
    fake_free(fake);
}

/* ---- pausing ------------------------------------------------------------ */

static void a_halted_vcpu_pauses_and_resumes(void **state)
{
    (void)state;
    struct fake *fake = fake_start(FAKE_HALTS, NULL);

    for (unsigned round = 0; round < 20; round++) {
        unsigned halts = atomic_load(&fake->halts);

        vmm_vcpu_request_resume(&fake->vcpu);
        assert_state(fake, VMM_VCPU_RUNNING);
        wait_until_more(fake, &fake->halts, halts);
        vmm_vcpu_request_pause(&fake->vcpu);
        wait_stopped(fake);
        assert_state(fake, VMM_VCPU_PAUSED);
    }
    fake_free(fake);
}

static void a_paused_vcpu_does_not_enter_the_guest(void **state)
{
    (void)state;
    struct fake *fake = fake_start(FAKE_WRITES, NULL);

    vmm_vcpu_request_resume(&fake->vcpu);
    wait_until_more(fake, &fake->exits, 10);
    vmm_vcpu_request_pause(&fake->vcpu);
    wait_stopped(fake);
    unsigned entries = atomic_load(&fake->entries);
    vmm_vcpu_kick(&fake->vcpu);
    vmm_vcpu_request_pause(&fake->vcpu);
    assert_int_equal(vmm_vcpu_join(&fake->vcpu), 0);
    assert_int_equal(atomic_load(&fake->entries), entries);
    fake_free(fake);
}

static void pending_io_is_complete_when_paused_is_reported(void **state)
{
    (void)state;
    struct fake *fake = fake_start(FAKE_WRITES, NULL);

    for (unsigned round = 0; round < 50; round++) {
        unsigned exits = atomic_load(&fake->exits);

        vmm_vcpu_request_resume(&fake->vcpu);
        wait_until_more(fake, &fake->exits, exits);
        vmm_vcpu_request_pause(&fake->vcpu);
        wait_stopped(fake);
        assert_false(atomic_load(&fake->incomplete));
    }
    fake_free(fake);
}

static int pause_with_two_pieces_to_come(struct fake *fake)
{
    if (atomic_load(&fake->exits) == 1) {
        fake->pieces = 2;
        vmm_vcpu_request_pause(&fake->vcpu);
    }
    return 0;
}

static void accesses_that_completion_brings_reach_the_handler(void **state)
{
    (void)state;
    struct fake *fake = fake_start(FAKE_WRITES, pause_with_two_pieces_to_come);

    vmm_vcpu_request_resume(&fake->vcpu);
    wait_stopped(fake);
    assert_state(fake, VMM_VCPU_PAUSED);
    assert_int_equal(atomic_load(&fake->exits), 3);
    assert_false(atomic_load(&fake->incomplete));
    fake_free(fake);
}

static int pause_itself(struct fake *fake)
{
    vmm_vcpu_request_pause(&fake->vcpu);
    fake->seen = vmm_vcpu_thread_state(&fake->vcpu);
    return 0;
}

static void a_handler_pauses_its_own_vcpu_after_it_returned(void **state)
{
    (void)state;
    struct fake *fake = fake_start(FAKE_WRITES, pause_itself);

    for (unsigned round = 1; round <= 10; round++) {
        vmm_vcpu_request_resume(&fake->vcpu);
        wait_stopped(fake);
        assert_state(fake, VMM_VCPU_PAUSED);
        assert_int_equal(fake->seen, VMM_VCPU_RUNNING);
        assert_int_equal(atomic_load(&fake->exits), round);
    }
    fake_free(fake);
}

static int stop_itself(struct fake *fake)
{
    vmm_vcpu_request_stop(&fake->vcpu);
    fake->seen = vmm_vcpu_thread_state(&fake->vcpu);
    return 0;
}

static void a_handler_stops_its_own_vcpu_after_it_returned(void **state)
{
    (void)state;
    struct fake *fake = fake_start(FAKE_WRITES, stop_itself);

    vmm_vcpu_request_resume(&fake->vcpu);
    wait_stopped(fake);
    assert_state(fake, VMM_VCPU_FINISHED);
    assert_int_equal(fake->seen, VMM_VCPU_STOPPING);
    assert_int_equal(atomic_load(&fake->exits), 1);
    fake_free(fake);
}

static int change_its_mind(struct fake *fake)
{
    vmm_vcpu_request_pause(&fake->vcpu);
    vmm_vcpu_request_resume(&fake->vcpu);
    return atomic_load(&fake->exits) == 5;
}

static void a_resume_withdraws_a_pause_not_yet_served(void **state)
{
    (void)state;
    struct fake *fake = fake_start(FAKE_WRITES, change_its_mind);

    vmm_vcpu_request_resume(&fake->vcpu);
    wait_stopped(fake);
    assert_state(fake, VMM_VCPU_FINISHED);
    assert_int_equal(atomic_load(&fake->exits), 5);
    fake_free(fake);
}

static void a_wait_for_a_pause_ends_when_the_vcpu_goes_on(void **state)
{
    (void)state;
    struct fake *fake = fake_start(FAKE_HALTS, NULL);

    assert_int_equal(vmm_vcpu_wait_paused(&fake->vcpu, -1), 0);
    vmm_vcpu_request_resume(&fake->vcpu);
    assert_int_equal(vmm_vcpu_wait_paused(&fake->vcpu, -1), -ECANCELED);
    vmm_vcpu_request_pause(&fake->vcpu);
    assert_int_equal(vmm_vcpu_wait_paused(&fake->vcpu, DEADLINE_NS), 0);
    assert_state(fake, VMM_VCPU_PAUSED);
    vmm_vcpu_request_stop(&fake->vcpu);
    assert_int_equal(vmm_vcpu_wait_paused(&fake->vcpu, DEADLINE_NS), 0);
    assert_state(fake, VMM_VCPU_FINISHED);
    fake_free(fake);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_thread_starts_paused_and_does_not_enter_the_guest),
        cmocka_unit_test(starting_twice_is_refused),
        cmocka_unit_test(a_joined_vcpu_can_be_started_again),
        cmocka_unit_test(a_handler_that_returns_nonzero_finishes_the_thread),
        cmocka_unit_test(a_halted_vcpu_stops_when_asked),
        cmocka_unit_test(a_paused_vcpu_stops_when_asked),
        cmocka_unit_test(the_end_of_each_thread_is_told_once),
        cmocka_unit_test(a_finished_vcpu_ignores_requests),
        cmocka_unit_test(a_failing_run_is_reported_and_finishes_the_thread),
        cmocka_unit_test(joining_twice_and_without_a_thread_is_fine),
        cmocka_unit_test(several_threads_may_join_at_once),
        cmocka_unit_test(a_halted_vcpu_pauses_and_resumes),
        cmocka_unit_test(a_paused_vcpu_does_not_enter_the_guest),
        cmocka_unit_test(pending_io_is_complete_when_paused_is_reported),
        cmocka_unit_test(accesses_that_completion_brings_reach_the_handler),
        cmocka_unit_test(a_handler_pauses_its_own_vcpu_after_it_returned),
        cmocka_unit_test(a_handler_stops_its_own_vcpu_after_it_returned),
        cmocka_unit_test(a_resume_withdraws_a_pause_not_yet_served),
        cmocka_unit_test(a_wait_for_a_pause_ends_when_the_vcpu_goes_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
