/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Kicks and signals of a vCPU thread, and what others may do meanwhile. */
#include <sys/resource.h>

#include "fake_vcpu.h"

/* ---- kicks and signals -------------------------------------------------- */

static void a_kick_leaves_the_guest_once_and_changes_no_state(void **state)
{
    (void)state;
    struct fake *fake = fake_start(FAKE_HALTS, NULL);

    vmm_vcpu_request_resume(&fake->vcpu);
    for (unsigned kicks = 0; kicks < 20; kicks++) {
        wait_until_more(fake, &fake->halts, kicks);
        vmm_vcpu_kick(&fake->vcpu);
    }
    wait_until_more(fake, &fake->halts, 20);
    assert_state(fake, VMM_VCPU_RUNNING);
    assert_int_equal(atomic_load(&fake->exits), 0);
    fake_free(fake);
}

static int look_at_signals(struct fake *fake)
{
    static const int signals[] = {SIGINT,  SIGTERM, SIGCHLD,  SIGTSTP, SIGPIPE,
                                  SIGUSR1, SIGALRM, SIGWINCH, SIGSEGV, SIGBUS};
    sigset_t mask;

    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    for (size_t i = 0; i < sizeof(signals) / sizeof(*signals); i++)
        if (sigismember(&mask, signals[i]))
            fake->seen |= 1ul << i;
    if (sigismember(&mask, SIGURG))
        fake->seen |= 1ul << 31;
    return 1;
}

static void only_the_kick_and_faults_reach_the_thread(void **state)
{
    (void)state;
    struct fake *fake = fake_start(FAKE_WRITES, look_at_signals);

    vmm_vcpu_request_resume(&fake->vcpu);
    wait_stopped(fake);
    /* The first eight are blocked; SIGSEGV, SIGBUS and the kick are not. */
    assert_int_equal(fake->seen, 0xff);
    fake_free(fake);
}

static int look_at_the_name(struct fake *fake)
{
    char name[16] = "";

    prctl(PR_GET_NAME, name);
    fake->seen = strcmp(name, "vcpu7") == 0;
    return 1;
}

static void the_thread_is_named_after_its_vcpu(void **state)
{
    (void)state;
    struct fake *fake = fake_start(FAKE_WRITES, look_at_the_name);

    vmm_vcpu_request_resume(&fake->vcpu);
    wait_stopped(fake);
    assert_int_equal(fake->seen, 1);
    fake_free(fake);
}

static void another_kick_signal_can_be_chosen(void **state)
{
    (void)state;
    struct fake *fake = fake_new(FAKE_HALTS);
    struct vmm_error err;

    assert_int_equal(fake_try_start(fake, SIGUSR2, &err), 0);
    vmm_vcpu_request_resume(&fake->vcpu);
    wait_until_more(fake, &fake->halts, 0);
    vmm_vcpu_request_pause(&fake->vcpu);
    wait_stopped(fake);
    assert_state(fake, VMM_VCPU_PAUSED);
    fake_free(fake);
    signal(SIGUSR2, SIG_DFL);
}

static void a_kick_needs_no_room_for_pending_signals(void **state)
{
    (void)state;
    struct fake *fake = fake_start(FAKE_HALTS, NULL);
    struct rlimit former, none;

    assert_int_equal(getrlimit(RLIMIT_SIGPENDING, &former), 0);
    none = former;
    none.rlim_cur = 0;
    vmm_vcpu_request_resume(&fake->vcpu);
    wait_until_more(fake, &fake->halts, 0);
    assert_int_equal(setrlimit(RLIMIT_SIGPENDING, &none), 0);
    vmm_vcpu_request_pause(&fake->vcpu);
    int stopped = vmm_vcpu_wait_stopped(&fake->vcpu, DEADLINE_NS);
    assert_int_equal(setrlimit(RLIMIT_SIGPENDING, &former), 0);
    assert_int_equal(stopped, 0);
    fake_free(fake);
}

static void foreign_handler(int signal_number)
{
    (void)signal_number;
}

static void a_kick_signal_that_has_a_handler_is_refused(void **state)
{
    (void)state;
    struct fake *fake = fake_new(FAKE_HALTS);
    struct vmm_error err;

    signal(SIGUSR1, foreign_handler);
    assert_int_equal(fake_try_start(fake, SIGUSR1, &err), -EBUSY);
    assert_string_equal(err.text, "kick signal 10 has a handler already: "
                                  "choose another kick_signal");
    assert_state(fake, VMM_VCPU_NO_THREAD);
    signal(SIGUSR1, SIG_DFL);
    fake_free(fake);
}

static void a_kick_signal_that_cannot_be_caught_is_refused(void **state)
{
    (void)state;
    struct fake *fake = fake_new(FAKE_HALTS);
    struct vmm_error err;

    assert_int_equal(fake_try_start(fake, SIGKILL, &err), -EINVAL);
    assert_string_equal(err.text, "kick signal 9: Invalid argument");
    fake_free(fake);
}

/* ---- waiting and looking ------------------------------------------------ */

static void waiting_for_a_running_vcpu_times_out(void **state)
{
    (void)state;
    struct fake *fake = fake_start(FAKE_HALTS, NULL);

    vmm_vcpu_request_resume(&fake->vcpu);
    assert_int_equal(vmm_vcpu_wait_stopped(&fake->vcpu, 0), -ETIMEDOUT);
    assert_int_equal(vmm_vcpu_wait_stopped(&fake->vcpu, 3000000), -ETIMEDOUT);
    fake_free(fake);
}

static int wait_for_itself(struct fake *fake)
{
    fake->seen = vmm_vcpu_is_self(&fake->vcpu) &&
                 vmm_vcpu_wait_stopped(&fake->vcpu, -1) == -EDEADLK &&
                 vmm_vcpu_join(&fake->vcpu) == -EDEADLK;
    return 1;
}

static void a_vcpu_thread_cannot_wait_for_itself(void **state)
{
    (void)state;
    struct fake *fake = fake_start(FAKE_WRITES, wait_for_itself);

    assert_false(vmm_vcpu_is_self(&fake->vcpu));
    vmm_vcpu_request_resume(&fake->vcpu);
    wait_stopped(fake);
    assert_int_equal(fake->seen, 1);
    fake_free(fake);
}

static void state_of_a_running_vcpu_is_refused(void **state)
{
    (void)state;
    struct fake *fake = fake_start(FAKE_HALTS, NULL);
    struct vmm_error err;
    struct kvm_regs regs;
    struct vmm_exit exit;

    vmm_vcpu_request_resume(&fake->vcpu);
    assert_int_equal(vmm_vcpu_get_regs(&fake->vcpu, &regs, &err), -EBUSY);
    assert_string_equal(err.text, "vCPU 7 runs: pause it to get its state");
    assert_int_equal(vmm_vcpu_run_once(&fake->vcpu, &exit, &err), -EBUSY);
    assert_string_equal(err.text, "vCPU 7 runs: pause it to run it once");
    assert_int_equal(vmm_vcpu_complete_io(&fake->vcpu, &err), -EBUSY);
    assert_string_equal(err.text, "vCPU 7 runs: pause it to complete its I/O");
    fake_free(fake);
}

static int look_at_its_own_state(struct fake *fake)
{
    struct vmm_error err;
    struct kvm_regs regs;

    /* The fake has no fd: past the check, the ioctl fails. */
    fake->seen = vmm_vcpu_get_regs(&fake->vcpu, &regs, &err) == -EBADF;
    return 1;
}

static void a_handler_may_look_at_its_own_vcpu(void **state)
{
    (void)state;
    struct fake *fake = fake_start(FAKE_WRITES, look_at_its_own_state);

    vmm_vcpu_request_resume(&fake->vcpu);
    wait_stopped(fake);
    assert_int_equal(fake->seen, 1);
    fake_free(fake);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_kick_leaves_the_guest_once_and_changes_no_state),
        cmocka_unit_test(only_the_kick_and_faults_reach_the_thread),
        cmocka_unit_test(the_thread_is_named_after_its_vcpu),
        cmocka_unit_test(another_kick_signal_can_be_chosen),
        cmocka_unit_test(a_kick_needs_no_room_for_pending_signals),
        cmocka_unit_test(a_kick_signal_that_has_a_handler_is_refused),
        cmocka_unit_test(a_kick_signal_that_cannot_be_caught_is_refused),
        cmocka_unit_test(waiting_for_a_running_vcpu_times_out),
        cmocka_unit_test(a_vcpu_thread_cannot_wait_for_itself),
        cmocka_unit_test(state_of_a_running_vcpu_is_refused),
        cmocka_unit_test(a_handler_may_look_at_its_own_vcpu),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
