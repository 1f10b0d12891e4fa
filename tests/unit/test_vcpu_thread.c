/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* The vCPU thread's state machine, on a fake vCPU: no KVM, so that it also
 * runs under the thread sanitizer and on hosts without /dev/kvm. */
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
};

struct fake {
    struct vmm_vcpu vcpu;
    struct kvm_run *run;
    enum fake_guest guest;

    atomic_uint entries;    /* KVM_RUN calls */
    atomic_uint halts;      /* of them, those that went to sleep */
    atomic_uint exits;      /* on_exit calls */
    atomic_uint errors;     /* on_error calls */
    atomic_uint finishes;   /* on_finished calls */
    atomic_uint oddities;   /* callbacks that got what they should not */
    atomic_bool incomplete; /* an access waits for its completion */
    unsigned pieces;        /* more accesses that completion brings */
    bool halt_next;         /* FAKE_MIXES */
    struct vmm_error error; /* what on_error was told */

    pthread_mutex_t lock;
    pthread_cond_t counted; /* one of the counters has grown */

    /* Called by on_exit; what it returns, on_exit does. */
    int (*handler)(struct fake *fake);
    unsigned long seen; /* for handlers */
};

static struct fake *fake_of(struct vmm_vcpu *vcpu)
{
    return vcpu->enter_context;
}

static void count(struct fake *fake, atomic_uint *counter)
{
    pthread_mutex_lock(&fake->lock);
    atomic_fetch_add(counter, 1);
    pthread_cond_broadcast(&fake->counted);
    pthread_mutex_unlock(&fake->lock);
}

static bool kicked(const struct fake *fake)
{
    return __atomic_load_n(&fake->run->immediate_exit, __ATOMIC_SEQ_CST);
}

/* As KVM does: a signal is noticed whether it comes before or during sleep. */
static int fake_halt(struct fake *fake)
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

static int fake_write(struct fake *fake)
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

static int fake_enter(struct vmm_vcpu *vcpu)
{
    struct fake *fake = fake_of(vcpu);

    count(fake, &fake->entries);
    if (atomic_exchange(&fake->incomplete, false) && fake->pieces > 0) {
        fake->pieces--;
        return fake_write(fake);
    }
    if (kicked(fake))
        return -EINTR;
    switch (fake->guest) {
    case FAKE_HALTS:
        return fake_halt(fake);
    case FAKE_MIXES:
        fake->halt_next = !fake->halt_next;
        return fake->halt_next ? fake_write(fake) : fake_halt(fake);
    case FAKE_FAILS:
        return -EFAULT;
    case FAKE_WRITES:
    default:
        return fake_write(fake);
    }
}

static int on_exit_of_fake(void *context, struct vmm_vcpu *vcpu,
                           struct vmm_exit *exit)
{
    struct fake *fake = context;

    if (vcpu != &fake->vcpu || exit->type != VMM_EXIT_PIO_WRITE)
        count(fake, &fake->oddities);
    count(fake, &fake->exits);
    return fake->handler ? fake->handler(fake) : 0;
}

static void on_error_of_fake(void *context, struct vmm_vcpu *vcpu,
                             const struct vmm_error *err)
{
    struct fake *fake = context;

    (void)vcpu;
    fake->error = *err;
    count(fake, &fake->errors);
}

static void on_finished_of_fake(void *context, struct vmm_vcpu *vcpu)
{
    struct fake *fake = context;

    if (!vmm_vcpu_is_self(vcpu) ||
        vmm_vcpu_thread_state(vcpu) != VMM_VCPU_FINISHED)
        count(fake, &fake->oddities);
    count(fake, &fake->finishes);
}

static struct fake *fake_new(enum fake_guest guest)
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

static int fake_try_start(struct fake *fake, int kick_signal,
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

static struct fake *fake_start(enum fake_guest guest,
                               int (*handler)(struct fake *fake))
{
    struct vmm_error err;
    struct fake *fake = fake_new(guest);

    fake->handler = handler;
    if (fake_try_start(fake, 0, &err) < 0)
        fail_msg("start: %s", err.text);
    return fake;
}

static void fake_free(struct fake *fake)
{
    assert_int_equal(vmm_vcpu_join(&fake->vcpu), 0);
    assert_int_equal(atomic_load(&fake->oddities), 0);
    vmm_vcpu_fini(&fake->vcpu);
    pthread_cond_destroy(&fake->counted);
    pthread_mutex_destroy(&fake->lock);
    free(fake->run);
    free(fake);
}

static void assert_state(struct fake *fake, enum vmm_vcpu_thread_state state)
{
    assert_int_equal(vmm_vcpu_thread_state(&fake->vcpu), state);
}

static void wait_stopped(struct fake *fake)
{
    assert_int_equal(vmm_vcpu_wait_stopped(&fake->vcpu, DEADLINE_NS), 0);
}

static void wait_until_more(struct fake *fake, atomic_uint *counter,
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

/* ---- starting ------------------------------------------------------------ */

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

static int finish(struct fake *fake)
{
    (void)fake;
    return 1;
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

/* ---- ending ---------------------------------------------------------------
 */

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

/* ---- pausing --------------------------------------------------------------
 */

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

/* ---- kicks and signals ----------------------------------------------------
 */

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
    if (sigismember(&mask, SIGRTMIN))
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

/* ---- waiting and looking ---------------------------------------------------
 */

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

/* ---- one run at a time ----------------------------------------------------
 */

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

static void
completion_that_brings_an_access_gives_it_to_the_next_run(void **state)
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

/* ---- all at once ----------------------------------------------------------
 */

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
        cmocka_unit_test(a_kick_leaves_the_guest_once_and_changes_no_state),
        cmocka_unit_test(only_the_kick_and_faults_reach_the_thread),
        cmocka_unit_test(the_thread_is_named_after_its_vcpu),
        cmocka_unit_test(another_kick_signal_can_be_chosen),
        cmocka_unit_test(a_kick_signal_that_has_a_handler_is_refused),
        cmocka_unit_test(a_kick_signal_that_cannot_be_caught_is_refused),
        cmocka_unit_test(waiting_for_a_running_vcpu_times_out),
        cmocka_unit_test(a_vcpu_thread_cannot_wait_for_itself),
        cmocka_unit_test(state_of_a_running_vcpu_is_refused),
        cmocka_unit_test(a_handler_may_look_at_its_own_vcpu),
        cmocka_unit_test(a_vcpu_without_a_thread_runs_once),
        cmocka_unit_test(
            completion_that_brings_an_access_gives_it_to_the_next_run),
        cmocka_unit_test(a_kick_cuts_the_next_single_run_short),
        cmocka_unit_test(a_kick_survives_the_completion_of_io),
        cmocka_unit_test(a_paused_vcpu_may_be_run_once_by_another_thread),
        cmocka_unit_test(requests_from_many_threads_leave_a_vcpu_that_obeys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
