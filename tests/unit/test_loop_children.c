/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Child processes: how they ended. */
#include <errno.h>
#include <signal.h>
#include <sys/wait.h>

#include "loop_fixture.h"

struct process {
    struct vmm_child *child;
    int exits;
    int exit_code;
    int signal;
};

static void note_exit(void *context, int exit_code, int signal)
{
    struct process *process = context;

    process->exits++;
    process->exit_code = exit_code;
    process->signal = signal;
}

static void note_exit_and_remove(void *context, int exit_code, int signal)
{
    struct process *process = context;

    note_exit(context, exit_code, signal);
    vmm_child_remove(process->child);
}

/* A child that ends with exit_code, or waits to be killed if that is -1. */
static pid_t start(int exit_code)
{
    pid_t pid = fork();

    if (pid == 0) {
        while (exit_code < 0)
            pause();
        _exit(exit_code);
    }
    assert_true(pid > 0);
    return pid;
}

static void watch_child(struct fixture *f, struct process *process, pid_t pid)
{
    if (vmm_loop_child(f->loop, pid, note_exit_and_remove, process,
                       &process->child, &f->err))
        fail_msg("vmm_loop_child: %s", f->err.text);
}

static void a_childs_end_is_told_with_its_exit_code(void **state)
{
    struct fixture *f = *state;
    struct process p[3] = {{0}};
    int codes[3] = {0, 7, 255};
    int calls = 0;

    for (int i = 0; i < 3; i++)
        watch_child(f, &p[i], start(codes[i]));
    while (calls < 3) {
        int called = vmm_loop_step(f->loop, PATIENCE);

        assert_true(called > 0);
        calls += called;
    }
    for (int i = 0; i < 3; i++) {
        assert_int_equal(p[i].exits, 1);
        assert_int_equal(p[i].exit_code, codes[i]);
        assert_int_equal(p[i].signal, 0);
    }
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    assert_int_equal(errno, ECHILD);
}

static void a_child_that_has_ended_before_is_told_too(void **state)
{
    struct fixture *f = *state;
    struct process p = {0};
    pid_t pid = start(7);
    siginfo_t info;

    assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
    watch_child(f, &p, pid);
    assert_int_equal(vmm_loop_step(f->loop, PATIENCE), 1);
    assert_int_equal(p.exit_code, 7);
}

static void a_killed_child_is_told_with_its_signal(void **state)
{
    struct fixture *f = *state;
    struct process p = {0};

    assert_int_equal(
        vmm_loop_child(f->loop, start(-1), note_exit, &p, &p.child, &f->err),
        0);
    assert_int_equal(vmm_loop_step(f->loop, 0), 0);
    assert_int_equal(vmm_child_kill(p.child, SIGKILL), 0);
    assert_int_equal(vmm_loop_step(f->loop, PATIENCE), 1);
    assert_int_equal(p.exit_code, -1);
    assert_int_equal(p.signal, SIGKILL);
    assert_int_equal(vmm_loop_step(f->loop, 0), 0);
    assert_int_equal(vmm_child_kill(p.child, SIGKILL), -ESRCH);
    vmm_child_remove(p.child);
}

static void a_removed_child_goes_on_and_can_be_waited_for(void **state)
{
    struct fixture *f = *state;
    struct process p = {0};
    pid_t pid = start(-1);
    int status;

    watch_child(f, &p, pid);
    vmm_child_remove(p.child);
    assert_int_equal(kill(pid, SIGTERM), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(vmm_loop_step(f->loop, 0), 0);
    assert_int_equal(p.exits, 0);
}

static void a_child_reaped_elsewhere_has_no_exit_code(void **state)
{
    struct fixture *f = *state;
    struct process p = {0};
    pid_t pid = start(0);

    watch_child(f, &p, pid);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_int_equal(vmm_loop_step(f->loop, PATIENCE), 1);
    assert_int_equal(p.exit_code, -1);
    assert_int_equal(p.signal, 0);
}

static void a_process_that_is_no_child_is_refused(void **state)
{
    struct fixture *f = *state;
    struct process p = {0};
    char expected[80];
    pid_t pid = start(0);

    assert_int_equal(
        vmm_loop_child(f->loop, getpid(), note_exit, &p, &p.child, &f->err),
        -ECHILD);
    snprintf(expected, sizeof(expected), "process %d is no child of this one",
             (int)getpid());
    assert_string_equal(f->err.text, expected);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_int_equal(
        vmm_loop_child(f->loop, pid, note_exit, &p, &p.child, &f->err), -ESRCH);
    snprintf(expected, sizeof(expected),
             "cannot watch process %d: No such process", (int)pid);
    assert_string_equal(f->err.text, expected);
    assert_null(p.child);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_childs_end_is_told_with_its_exit_code),
        TEST(a_child_that_has_ended_before_is_told_too),
        TEST(a_killed_child_is_told_with_its_signal),
        TEST(a_removed_child_goes_on_and_can_be_waited_for),
        TEST(a_child_reaped_elsewhere_has_no_exit_code),
        TEST(a_process_that_is_no_child_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
