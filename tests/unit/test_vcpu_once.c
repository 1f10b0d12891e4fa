/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* A vCPU run one exit at a time, with and without a thread of its own. */
#include "fake_vcpu.h"

static void a_vcpu_without_a_thread_runs_once(void **state)
{
    (void)state;
    struct fake *fake = fake_new(FAKE_WRITES);
    struct vmm_error err;
    struct vmm_exit exit;

    assert_int_equal(vmm_vcpu_run_once(&fake->vcpu, &exit, &err), 0);
    assert_int_equal(exit.type, VMM_EXIT_PIO_WRITE);
    assert_true(atomic_load(&fake->incomplete));
    assert_int_equal(vmm_vcpu_complete_io(&fake->vcpu, &err), 0);
    assert_false(atomic_load(&fake->incomplete));
    assert_int_equal(atomic_load(&fake->entries), 2);
    assert_int_equal(vmm_vcpu_complete_io(&fake->vcpu, &err), 0);
    assert_int_equal(atomic_load(&fake->entries), 2);
    assert_int_equal(vmm_vcpu_run_once(&fake->vcpu, &exit, &err), 0);
    assert_int_equal(exit.type, VMM_EXIT_PIO_WRITE);
    fake_free(fake);
}

static void an_access_that_completion_brings_comes_next(void **state)
{
    (void)state;
    struct fake *fake = fake_new(FAKE_WRITES);
    struct vmm_error err;
    struct vmm_exit exit;

    assert_int_equal(vmm_vcpu_run_once(&fake->vcpu, &exit, &err), 0);
    fake->pieces = 1;
    assert_int_equal(vmm_vcpu_complete_io(&fake->vcpu, &err), -EAGAIN);
    assert_string_equal(err.text,
                        "vCPU 7: the instruction made another access: handle "
                        "the exit that running it once gives next");
    assert_int_equal(vmm_vcpu_complete_io(&fake->vcpu, &err), -EAGAIN);
    assert_int_equal(vmm_vcpu_run_once(&fake->vcpu, &exit, &err), 0);
    assert_int_equal(exit.type, VMM_EXIT_PIO_WRITE);
    assert_int_equal(atomic_load(&fake->entries), 2);
    assert_int_equal(vmm_vcpu_complete_io(&fake->vcpu, &err), 0);
    fake_free(fake);
}

static void a_kick_cuts_the_next_single_run_short(void **state)
{
    (void)state;
    struct fake *fake = fake_new(FAKE_WRITES);
    struct vmm_error err;
    struct vmm_exit exit;

    vmm_vcpu_kick(&fake->vcpu);
    assert_int_equal(vmm_vcpu_run_once(&fake->vcpu, &exit, &err), 0);
    assert_int_equal(exit.type, VMM_EXIT_NONE);
    assert_int_equal(vmm_vcpu_run_once(&fake->vcpu, &exit, &err), 0);
    assert_int_equal(exit.type, VMM_EXIT_PIO_WRITE);
    fake_free(fake);
}

static void a_kick_survives_the_completion_of_io(void **state)
{
    (void)state;
    struct fake *fake = fake_new(FAKE_WRITES);
    struct vmm_error err;
    struct vmm_exit exit;

    assert_int_equal(vmm_vcpu_run_once(&fake->vcpu, &exit, &err), 0);
    vmm_vcpu_kick(&fake->vcpu);
    assert_int_equal(vmm_vcpu_complete_io(&fake->vcpu, &err), 0);
    assert_int_equal(vmm_vcpu_run_once(&fake->vcpu, &exit, &err), 0);
    assert_int_equal(exit.type, VMM_EXIT_NONE);
    fake_free(fake);
}

static void a_paused_vcpu_may_be_run_once_by_another_thread(void **state)
{
    (void)state;
    struct fake *fake = fake_start(FAKE_WRITES, finish);
    struct vmm_error err;
    struct vmm_exit exit;

    for (unsigned i = 0; i < 10; i++)
        assert_int_equal(vmm_vcpu_run_once(&fake->vcpu, &exit, &err), 0);
    assert_int_equal(atomic_load(&fake->exits), 0);
    vmm_vcpu_request_resume(&fake->vcpu);
    wait_stopped(fake);
    assert_int_equal(atomic_load(&fake->exits), 1);
    fake_free(fake);
}

static void *run_it_once(void *argument)
{
    struct fake *fake = argument;
    struct vmm_exit exit;

    return vmm_vcpu_run_once(&fake->vcpu, &exit, NULL) == 0 ? fake : NULL;
}

/* Another thread runs the vCPU once, and is in the guest. */
static pthread_t begin_single_run(struct fake *fake)
{
    pthread_t runner;

    assert_int_equal(pthread_create(&runner, NULL, run_it_once, fake), 0);
    wait_until_more(fake, &fake->halts, 0);
    return runner;
}

static void end_single_run(struct fake *fake, pthread_t runner)
{
    void *ran;

    pthread_join(runner, &ran);
    assert_ptr_equal(ran, fake);
}

static void a_pause_waits_for_the_caller_that_runs_the_vcpu(void **state)
{
    (void)state;
    struct fake *fake = fake_start(FAKE_STAYS, NULL);
    pthread_t runner = begin_single_run(fake);

    vmm_vcpu_request_resume(&fake->vcpu);
    vmm_vcpu_request_pause(&fake->vcpu);
    assert_int_equal(vmm_vcpu_wait_stopped(&fake->vcpu, 20000000), -ETIMEDOUT);
    fake_let_go(fake);
    end_single_run(fake, runner);
    wait_stopped(fake);
    assert_state(fake, VMM_VCPU_PAUSED);
    assert_int_equal(atomic_load(&fake->entries), 1);
    fake_free(fake);
}

static void a_kick_gets_a_single_run_out_of_the_guest(void **state)
{
    (void)state;
    struct fake *fake = fake_new(FAKE_HALTS);
    pthread_t runner = begin_single_run(fake);

    vmm_vcpu_kick(&fake->vcpu);
    end_single_run(fake, runner);
    fake_free(fake);
}

static void *run_it_once_deaf(void *argument)
{
    sigset_t all;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, NULL);
    void *ran = run_it_once(argument);
    pthread_sigmask(SIG_SETMASK, NULL, &all);
    return sigismember(&all, SIGURG) ? ran : NULL;
}

static void a_kick_reaches_a_caller_that_blocks_all_signals(void **state)
{
    (void)state;
    struct fake *fake = fake_new(FAKE_HALTS);
    struct timespec deadline;
    pthread_t runner;
    void *ran = NULL;

    assert_int_equal(pthread_create(&runner, NULL, run_it_once_deaf, fake), 0);
    wait_until_more(fake, &fake->halts, 0);
    vmm_vcpu_kick(&fake->vcpu);
    clock_gettime(CLOCK_REALTIME, &deadline);
    deadline.tv_sec += DEADLINE_NS / SECOND_NS;
    assert_int_equal(pthread_timedjoin_np(runner, &ran, &deadline), 0);
    assert_ptr_equal(ran, fake);
    fake_free(fake);
}

/* The rest of an access is to be had from a vCPU that is held: it takes no
 * entry. */
static int take_the_next_piece(struct fake *fake)
{
    struct vmm_exit exit = {.type = VMM_EXIT_NONE};

    fake->pieces = 1;
    if (vmm_vcpu_complete_io(&fake->vcpu, NULL) != -EAGAIN)
        return 1;
    vmm_vcpu_request_hold(&fake->vcpu);
    vmm_vcpu_run_once(&fake->vcpu, &exit, NULL);
    fake->seen = exit.type == VMM_EXIT_PIO_WRITE;
    vmm_vcpu_end_hold(&fake->vcpu);
    return 1;
}

static void
a_hold_keeps_no_exit_from_the_handler_that_completes_io(void **state)
{
    (void)state;
    struct fake *fake = fake_start(FAKE_WRITES, take_the_next_piece);

    vmm_vcpu_request_resume(&fake->vcpu);
    wait_stopped(fake);
    assert_int_equal(fake->seen, 1);
    fake_free(fake);
}

static void a_join_gets_a_single_run_out_of_the_guest_first(void **state)
{
    (void)state;
    struct fake *fake = fake_new(FAKE_HALTS);
    pthread_t runner = begin_single_run(fake);

    assert_int_equal(vmm_vcpu_join(&fake->vcpu), 0);
    assert_false(fake->vcpu.borrowed);
    end_single_run(fake, runner);
    fake_free(fake);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_vcpu_without_a_thread_runs_once),
        cmocka_unit_test(an_access_that_completion_brings_comes_next),
        cmocka_unit_test(a_kick_cuts_the_next_single_run_short),
        cmocka_unit_test(a_kick_survives_the_completion_of_io),
        cmocka_unit_test(a_paused_vcpu_may_be_run_once_by_another_thread),
        cmocka_unit_test(a_pause_waits_for_the_caller_that_runs_the_vcpu),
        cmocka_unit_test(a_kick_gets_a_single_run_out_of_the_guest),
        cmocka_unit_test(a_kick_reaches_a_caller_that_blocks_all_signals),
        cmocka_unit_test(
            a_hold_keeps_no_exit_from_the_handler_that_completes_io),
        cmocka_unit_test(a_join_gets_a_single_run_out_of_the_guest_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
