/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Stopping, continuing, the keys, and the streams' flags of the terminal. */
#include <sys/ioctl.h>

#include "terminal_job.h"

/* ---- job control ----------------------------------------------------- */

static void wait_stopped(const struct job *job)
{
    int status;

    assert_int_equal(waitpid(job->pid, &status, WUNTRACED), job->pid);
    assert_true(WIFSTOPPED(status));
    set_foreground(getpgrp());
}

static void resume(const struct job *job, bool foreground)
{
    if (foreground)
        set_foreground(job->pid);
    kill(job->pid, SIGCONT);
    assert_int_equal(progress(job), 'C');
}

static void stop_restores_and_continue_is_raw_again(void **state)
{
    struct termios found = mode_now();
    struct job job = start(job_serves);

    (void)state;
    assert_int_equal(progress(&job), 'R');
    for (int round = 0; round < 3; round++) {
        kill(job.pid, SIGTSTP);
        wait_stopped(&job);
        assert_mode(&found);
        resume(&job, true);
        assert_raw();
    }
    kill(job.pid, SIGTERM);
    assert_exit(end_of(&job), 143);
    assert_mode(&found);
}

static void continue_in_background_waits_for_foreground(void **state)
{
    struct termios found = mode_now();
    struct job job = start(job_serves);

    (void)state;
    assert_int_equal(progress(&job), 'R');
    kill(job.pid, SIGTSTP);
    wait_stopped(&job);
    resume(&job, false);
    assert_mode(&found);
    resume(&job, true);
    assert_raw();
    kill(job.pid, SIGTERM);
    assert_exit(end_of(&job), 143);
    assert_mode(&found);
}

static void settings_made_while_stopped_stay(void **state)
{
    struct termios found = mode_now(), changed = found;
    struct job job = start(job_serves);

    (void)state;
    assert_int_equal(progress(&job), 'R');
    kill(job.pid, SIGTSTP);
    wait_stopped(&job);
    changed.c_lflag ^= ECHOE;
    changed.c_cc[VINTR] = 7;
    assert_int_equal(tcsetattr(slave_fd, TCSANOW, &changed), 0);
    resume(&job, true);
    kill(job.pid, SIGTERM);
    assert_exit(end_of(&job), 143);
    assert_mode(&changed);
    assert_int_equal(tcsetattr(slave_fd, TCSANOW, &found), 0);
}

static void uncatchable_stop_is_raw_again(void **state)
{
    struct termios found = mode_now();
    struct job job = start(job_serves);

    (void)state;
    assert_int_equal(progress(&job), 'R');
    kill(job.pid, SIGSTOP);
    wait_stopped(&job);
    assert_int_equal(tcsetattr(slave_fd, TCSANOW, &found), 0);
    resume(&job, true);
    assert_raw();
    kill(job.pid, SIGTERM);
    assert_exit(end_of(&job), 143);
    assert_mode(&found);
}

/* ---- what else is kept ----------------------------------------------- */

static void job_ignored_hangup(void)
{
    signal(SIGHUP, SIG_IGN);
    job_serves();
}

static void ignored_signals_stay_ignored(void **state)
{
    struct job job = start(job_ignored_hangup);

    (void)state;
    assert_int_equal(progress(&job), 'R');
    kill(job.pid, SIGHUP);
    kill(job.pid, SIGTERM);
    assert_exit(end_of(&job), 128 + SIGTERM);
}

static void job_nonblocking(void)
{
    if (vmm_terminal_init(&terminal, 0, handler, NULL) < 0)
        _exit(98);
    fcntl(0, F_SETFL, fcntl(0, F_GETFL) | O_NONBLOCK);
    tell('N');
    serve();
    end_in_order();
}

static void nonblocking_streams_are_restored(void **state)
{
    static const int numbers[] = {SIGTERM, SIGABRT};
    int found = fcntl(slave_fd, F_GETFL);

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct job job = start(job_nonblocking);

        assert_int_equal(progress(&job), 'N');
        assert_int_equal(fcntl(slave_fd, F_GETFL), found | O_NONBLOCK);
        kill(job.pid, numbers[i]);
        end_of(&job);
        assert_int_equal(fcntl(slave_fd, F_GETFL), found);
    }
}

static void stop_makes_streams_blocking_until_continued(void **state)
{
    int found = fcntl(slave_fd, F_GETFL);
    struct job job = start(job_nonblocking);

    (void)state;
    assert_int_equal(progress(&job), 'N');
    kill(job.pid, SIGTSTP);
    wait_stopped(&job);
    assert_int_equal(fcntl(slave_fd, F_GETFL), found);
    resume(&job, true);
    kill(job.pid, SIGTERM);
    assert_exit(end_of(&job), 143);
    assert_int_equal(fcntl(slave_fd, F_GETFL), found);
}

static void job_without_terminal(void)
{
    int fds[2];

    if (pipe(fds) < 0 || dup2(fds[0], 0) < 0)
        _exit(96);
    init_raw();
    if (vmm_terminal_is_tty(&terminal))
        _exit(95);
    serve();
    end_in_order();
}

static void signals_work_without_a_terminal(void **state)
{
    struct termios found = mode_now();
    struct job job = start(job_without_terminal);

    (void)state;
    assert_int_equal(progress(&job), 'R');
    assert_mode(&found);
    kill(job.pid, SIGINT);
    assert_exit(end_of(&job), 130);
}

static void job_writes_to_a_closed_pipe(void)
{
    int fds[2];

    init_raw();
    if (pipe(fds) < 0)
        _exit(96);
    close(fds[0]);
    if (write(fds[1], "x", 1) != -1 || errno != EPIPE)
        _exit(94);
    end_in_order();
}

static void closed_pipe_is_an_error_not_the_end(void **state)
{
    struct job job = start(job_writes_to_a_closed_pipe);

    (void)state;
    assert_exit(end_of(&job), 0);
}

static void job_has_a_child_that_exits(void)
{
    pid_t child;

    atexit(restore_at_exit);
    init_raw();
    child = fork();
    if (child == 0)
        exit(0);
    waitpid(child, NULL, 0);
    tell('W');
    serve();
    end_in_order();
}

static void child_of_the_job_restores_nothing(void **state)
{
    struct termios found = mode_now();
    struct job job = start(job_has_a_child_that_exits);

    (void)state;
    assert_int_equal(progress(&job), 'R');
    assert_int_equal(progress(&job), 'W');
    assert_raw();
    kill(job.pid, SIGTERM);
    assert_exit(end_of(&job), 143);
    assert_mode(&found);
}

/* Keys that a terminal usually keeps for itself: ^C ^Z ^\ ^S ^Q ^D ^V CR. */
static const char KEYS[8] = {3, 26, 28, 19, 17, 4, 22, 13};

static void job_reads_keys(void)
{
    char keys[sizeof(KEYS)];

    init_raw();
    for (size_t got = 0; got < sizeof(keys); got++) {
        if (read(0, keys + got, 1) != 1)
            _exit(93);
        tell(keys[got]);
    }
    end_in_order();
}

static void raw_hands_every_key_to_the_guest(void **state)
{
    struct job job = start(job_reads_keys);

    (void)state;
    assert_int_equal(progress(&job), 'R');
    assert_int_equal(write(master_fd, KEYS, sizeof(KEYS)), sizeof(KEYS));
    for (size_t i = 0; i < sizeof(KEYS); i++)
        assert_int_equal(progress(&job), KEYS[i]);
    assert_exit(end_of(&job), 0);
}

static void job_asked_before_raw(void)
{
    if (vmm_terminal_init(&terminal, 0, handler, NULL) < 0)
        _exit(98);
    raise(SIGINT);
    if (vmm_terminal_raw(&terminal, NULL) < 0)
        _exit(92);
    tell('R');
    serve();
    tell('S');
    _exit(130);
}

static void raw_after_a_request_to_end_does_nothing(void **state)
{
    struct termios found = mode_now();
    struct job job = start(job_asked_before_raw);

    (void)state;
    assert_int_equal(progress(&job), 'R');
    assert_mode(&found);
    assert_exit(end_of(&job), 130);
    assert_mode(&found);
}

/* ---- notices ------------------------------------------------------------ */

static void job_catches(void)
{
    struct pollfd fd;
    int notices = 0;

    init_raw();
    vmm_terminal_catch(&terminal, true);
    fd = (struct pollfd){vmm_terminal_notice_fd(&terminal), POLLIN, 0};
    if (vmm_terminal_edit(&terminal, NULL) < 0)
        _exit(98);
    tell('E');
    for (const char *expected = "IW"; *expected; expected++) {
        while (poll(&fd, 1, -1) < 0 && errno == EINTR)
            continue;
        notices = vmm_terminal_take_notices(&terminal);
        tell(notices == VMM_TERMINAL_INTERRUPT ? 'I'
             : notices == VMM_TERMINAL_RESIZE  ? 'W'
                                               : '?');
    }
    vmm_terminal_catch(&terminal, false);
    tell('D');
    serve();
    end_in_order();
}

static void what_is_caught_does_not_end_it(void **state)
{
    const struct winsize size = {.ws_row = 7, .ws_col = 9};
    struct termios found = mode_now();
    struct job job = start(job_catches);

    (void)state;
    assert_int_equal(progress(&job), 'R');
    assert_int_equal(progress(&job), 'E');
    assert_true(mode_now().c_lflag & ISIG);
    assert_false(mode_now().c_lflag & (ICANON | ECHO));
    assert_int_equal(write(master_fd, "\3", 1), 1); /* Ctrl-C */
    assert_int_equal(progress(&job), 'I');
    assert_int_equal(ioctl(master_fd, TIOCSWINSZ, &size), 0);
    assert_int_equal(progress(&job), 'W');
    assert_int_equal(progress(&job), 'D');
    kill(job.pid, SIGINT);
    assert_exit(end_of(&job), 128 + SIGINT);
    assert_mode(&found);
}

static int run_group(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stop_restores_and_continue_is_raw_again),
        cmocka_unit_test(continue_in_background_waits_for_foreground),
        cmocka_unit_test(settings_made_while_stopped_stay),
        cmocka_unit_test(uncatchable_stop_is_raw_again),
        cmocka_unit_test(what_is_caught_does_not_end_it),
        cmocka_unit_test(ignored_signals_stay_ignored),
        cmocka_unit_test(nonblocking_streams_are_restored),
        cmocka_unit_test(stop_makes_streams_blocking_until_continued),
        cmocka_unit_test(signals_work_without_a_terminal),
        cmocka_unit_test(closed_pipe_is_an_error_not_the_end),
        cmocka_unit_test(child_of_the_job_restores_nothing),
        cmocka_unit_test(raw_hands_every_key_to_the_guest),
        cmocka_unit_test(raw_after_a_request_to_end_does_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
    return in_session(run_group);
}
