/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* The terminal is left as it was found, whichever way the program ends. */
#include "terminal_job.h"

/* ---- ways out -------------------------------------------------------- */

static void job_ends(void)
{
    init_raw();
    vmm_terminal_fini(&terminal);
    _exit(0);
}

static void restored_by_fini(void **state)
{
    struct termios found = mode_now();
    struct job job = start(job_ends);

    (void)state;
    assert_exit(end_of(&job), 0);
    assert_mode(&found);
}

static void job_exits(void)
{
    atexit(restore_at_exit);
    init_raw();
    exit(5);
}

static void restored_at_exit(void **state)
{
    struct termios found = mode_now();
    struct job job = start(job_exits);

    (void)state;
    assert_exit(end_of(&job), 5);
    assert_mode(&found);
}

static void signals_that_ask_end_in_order(void **state)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
    struct termios found = mode_now();

    (void)state;
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        struct job job = start(job_serves);

        assert_int_equal(progress(&job), 'R');
        assert_raw();
        kill(job.pid, numbers[i]);
        assert_exit(end_of(&job), 128 + numbers[i]);
        assert_mode(&found);
    }
}

static void job_ignores_requests(void)
{
    init_raw();
    for (;;)
        pause();
}

static void second_request_kills(void **state)
{
    struct termios found = mode_now();
    struct job job = start(job_ignores_requests);
    int status;

    (void)state;
    assert_int_equal(progress(&job), 'R');
    kill(job.pid, SIGINT);
    kill(job.pid, SIGTERM);
    status = end_of(&job);
    assert_true(WIFSIGNALED(status));
    assert_true(WTERMSIG(status) == SIGTERM || WTERMSIG(status) == SIGINT);
    assert_mode(&found);
}

static void request_nobody_takes_kills(void **state)
{
    struct termios found = mode_now();
    struct job job = start(job_ignores_requests);
    int status;

    (void)state;
    assert_int_equal(progress(&job), 'R');
    kill(job.pid, SIGINT);
    status = end_of(&job);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGINT);
    assert_mode(&found);
}

static void fatal_signals_restore_and_kill(void **state)
{
    static const int numbers[] = {SIGSEGV, SIGBUS,  SIGABRT, SIGFPE,
                                  SIGILL,  SIGTRAP, SIGSYS,  SIGXCPU,
                                  SIGXFSZ, SIGUSR1, SIGUSR2, SIGALRM};
    struct termios found = mode_now();

    (void)state;
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        struct job job = start(job_serves);
        int status;

        assert_int_equal(progress(&job), 'R');
        kill(job.pid, numbers[i]);
        status = end_of(&job);
#ifndef __SANITIZE_ADDRESS__ /* it turns faults into an exit */
        assert_true(WIFSIGNALED(status));
        assert_int_equal(WTERMSIG(status), numbers[i]);
#endif
        assert_int_not_equal(status, 0);
        assert_mode(&found);
    }
}

static void job_faults(void)
{
    volatile char *page =
        mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    init_raw();
    page[0] = 1;
}

static void job_aborts(void)
{
    init_raw();
    abort();
}

/* Deep enough for any stack; the frame is used after the call. */
static int overflow(unsigned int depth)
{
    volatile char frame[4096];

    frame[0] = (char)depth;
    return depth == 0 ? 0 : overflow(depth - 1) + frame[0];
}

static void job_overflows(void)
{
    init_raw();
    _exit(overflow(1u << 30) & 1);
}

static void own_faults_restore_and_kill(void **state)
{
    static const struct {
        void (*body)(void);
        int number;
    } faults[] = {
        {job_faults, SIGSEGV}, {job_aborts, SIGABRT}, {job_overflows, SIGSEGV}};
    struct termios found = mode_now();

    (void)state;
    for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
        struct job job = start(faults[i].body);
        int status = end_of(&job);

#ifndef __SANITIZE_ADDRESS__
        assert_true(WIFSIGNALED(status));
        assert_int_equal(WTERMSIG(status), faults[i].number);
#endif
        assert_int_not_equal(status, 0);
        assert_mode(&found);
    }
}

/* ---- at any moment --------------------------------------------------- */

static void job_goes_round(void)
{
    signal(SIGTERM, SIG_DFL);
    tell('B');
    for (;;) {
        init_raw();
        vmm_terminal_restore(&terminal);
        if (vmm_terminal_take_signal(&terminal))
            end_in_order();
        vmm_terminal_fini(&terminal);
    }
}

static void request_at_any_moment_leaves_it_sane(void **state)
{
    struct termios found = mode_now();
    unsigned int seed = 1;

    (void)state;
    for (int round = 0; round < 300; round++) {
        struct timespec delay = {0, rand_r(&seed) % 400000};
        struct job job = start(job_goes_round);
        int number = round % 2 ? SIGTERM : SIGINT;
        int status;

        assert_int_equal(progress(&job), 'B');
        nanosleep(&delay, NULL);
        kill(job.pid, number);
        status = end_of(&job);
        assert_true(WIFSIGNALED(status) ? WTERMSIG(status) == number
                                        : WEXITSTATUS(status) == 128 + number);
        assert_mode(&found);
    }
}

static int run_group(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(restored_by_fini),
        cmocka_unit_test(restored_at_exit),
        cmocka_unit_test(signals_that_ask_end_in_order),
        cmocka_unit_test(second_request_kills),
        cmocka_unit_test(request_nobody_takes_kills),
        cmocka_unit_test(fatal_signals_restore_and_kill),
        cmocka_unit_test(own_faults_restore_and_kill),
        cmocka_unit_test(request_at_any_moment_leaves_it_sane),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
    return in_session(run_group);
}
