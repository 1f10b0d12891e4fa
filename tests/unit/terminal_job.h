/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* A shell on a pseudo-terminal, and jobs whose leavings it looks at. */
#ifndef TESTS_UNIT_TERMINAL_JOB_H
#define TESTS_UNIT_TERMINAL_JOB_H

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/terminal.h"

/*
 * This process is the shell of a session on a pseudo-terminal: main() forks
 * it.  Each test starts a job, in a process group of its own in the foreground,
 * which tells its progress by letters on a pipe.
 */
#define DEADLINE_MS 10000

static int master_fd, slave_fd;

struct job {
    pid_t pid;
    int progress; /* read letters here */
};

/* ---- the job's side -------------------------------------------------- */

static struct vmm_terminal terminal;
static int progress_fd;

static void tell(char letter)
{
    if (write(progress_fd, &letter, 1) != 1)
        _exit(99);
}

static void handler(int number, siginfo_t *info, void *context)
{
    (void)context;
    vmm_terminal_on_signal(&terminal, number, info);
    if (number == SIGCONT)
        tell('C');
}

static void restore_at_exit(void)
{
    vmm_terminal_restore(&terminal);
}

static void init_raw(void)
{
    if (vmm_terminal_init(&terminal, 0, handler, NULL) < 0 ||
        vmm_terminal_raw(&terminal, NULL) < 0)
        _exit(98);
    tell('R');
}

/* What a program does: run until a signal asks to end, then end. */
static void serve(void)
{
    struct pollfd fd = {vmm_terminal_signal_fd(&terminal), POLLIN, 0};

    while (poll(&fd, 1, -1) < 0 && errno == EINTR)
        continue;
}

static void end_in_order(void)
{
    int number = vmm_terminal_take_signal(&terminal);

    vmm_terminal_fini(&terminal);
    _exit(number ? 128 + number : 0);
}

static void job_serves(void)
{
    init_raw();
    serve();
    end_in_order();
}

/* ---- the shell's side ------------------------------------------------ */

static void set_foreground(pid_t group)
{
    tcsetpgrp(slave_fd, group);
}

/* The test library catches faults; a program starts with nothing caught. */
static void default_signals(void)
{
    for (int number = 1; number < SIGSYS + 1; number++)
        signal(number, SIG_DFL);
}

static struct job start(void (*body)(void))
{
    const struct rlimit no_core = {0, 0};
    struct job job;
    int fds[2];

    assert_int_equal(pipe(fds), 0);
    job.progress = fds[0];
    job.pid = fork();
    assert_true(job.pid >= 0);
    if (job.pid == 0) {
        setpgid(0, 0);
        set_foreground(getpid());
        default_signals();
        setrlimit(RLIMIT_CORE, &no_core);
        dup2(slave_fd, 0);
        close(fds[0]);
        progress_fd = fds[1];
        body();
        _exit(97);
    }
    setpgid(job.pid, job.pid);
    close(fds[1]);
    return job;
}

/* The next letter of the job, 0 when it has ended, '?' when it is late. */
static char progress(const struct job *job)
{
    struct pollfd fd = {job->progress, POLLIN, 0};
    char letter = 0;

    if (poll(&fd, 1, DEADLINE_MS) != 1)
        return '?';
    return read(job->progress, &letter, 1) == 1 ? letter : 0;
}

/* Wait for the end; a job that does not end is killed, which is seen. */
static int end_of(struct job *job)
{
    int status = 0;

    while (progress(job) != 0) {
        struct pollfd fd = {job->progress, POLLIN, 0};

        if (poll(&fd, 1, DEADLINE_MS) != 1)
            kill(job->pid, SIGKILL);
    }
    assert_int_equal(waitpid(job->pid, &status, 0), job->pid);
    close(job->progress);
    set_foreground(getpgrp());
    return status;
}

static struct termios mode_now(void)
{
    struct termios mode;

    memset(&mode, 0, sizeof(mode));
    assert_int_equal(tcgetattr(slave_fd, &mode), 0);
    return mode;
}

static void assert_raw(void)
{
    struct termios mode = mode_now();

    assert_int_equal(mode.c_lflag & (ICANON | ECHO | ISIG | IEXTEN), 0);
    assert_int_equal(mode.c_iflag & (ICRNL | IXON | ISTRIP), 0);
    assert_int_equal(mode.c_oflag & OPOST, OPOST);
}

static void assert_mode(const struct termios *expected)
{
    struct termios mode = mode_now();

    assert_int_equal(mode.c_iflag, expected->c_iflag);
    assert_int_equal(mode.c_oflag, expected->c_oflag);
    assert_int_equal(mode.c_cflag, expected->c_cflag);
    assert_int_equal(mode.c_lflag, expected->c_lflag);
    assert_memory_equal(&mode, expected, sizeof(mode));
}

static void assert_exit(int status, int code)
{
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), code);
}

/* Run tests in a session of our own, whose terminal is the pseudo-terminal. */
static int be_shell(int (*run_group)(void))
{
    setsid();
    slave_fd = open(ptsname(master_fd), O_RDWR);
    if (slave_fd < 0 || tcgetpgrp(slave_fd) != getpgrp()) {
        fprintf(stderr, "no controlling terminal: %s\n", strerror(errno));
        return 1;
    }
    signal(SIGTTOU, SIG_IGN);
    return run_group();
}

static int in_session(int (*run_group)(void))
{
    int status = 1;
    pid_t shell;

    master_fd = posix_openpt(O_RDWR | O_NOCTTY);
    if (master_fd < 0 || grantpt(master_fd) < 0 || unlockpt(master_fd) < 0) {
        fprintf(stderr, "no pseudo-terminal: %s\n", strerror(errno));
        return 1;
    }
    shell = fork();
    if (shell == 0)
        exit(be_shell(run_group));
    waitpid(shell, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

#endif
