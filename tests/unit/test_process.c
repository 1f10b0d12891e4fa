/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Helper processes: their file, their last words, their end. */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include <vmm/process.h>

#define SECOND INT64_C(1000000000)

static struct vmm_process *start(const char *script, int fd)
{
    const char *argv[] = {"sh", "-c", script, NULL};
    struct vmm_process *process;
    struct vmm_error err;

    if (vmm_process_start(argv, fd, &process, &err))
        fail_msg("%s", err.text);
    return process;
}

/* What is said of a process with no file of interest, once it has ended. */
static void assert_words(const char *script, const char *words)
{
    struct vmm_process *process = start(script, 0);
    char text[512];

    assert_int_equal(vmm_process_wait(process, 10 * SECOND), 0);
    vmm_process_describe(process, text, sizeof(text));
    assert_string_equal(text, words);
    vmm_process_end(process, SECOND);
}

static void it_has_the_file_that_it_was_given_and_no_other(void **state)
{
    char bytes[64] = {0};
    int fds[2];

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    struct vmm_process *process =
        start("read line <&3; for f in /proc/self/fd/*; do test -e $f && "
              "n=$n${f##*/}; "
              "done; echo $line $n >&3",
              fds[1]);
    close(fds[1]);
    assert_int_equal(write(fds[0], "hello\n", 6), 6);
    assert_true(read(fds[0], bytes, sizeof(bytes) - 1) > 0);
    assert_string_equal(bytes, "hello 0123\n");
    vmm_process_end(process, 10 * SECOND);
    close(fds[0]);
}

static void a_caller_without_stdin_may_start_it_too(void **state)
{
    char bytes[8] = {0};
    int fds[2], saved = dup(0);

    (void)state;
    close(0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    assert_int_equal(fds[0], 0);
    struct vmm_process *process = start("echo hello >&3; echo bye", fds[0]);
    assert_int_equal(read(fds[1], bytes, sizeof(bytes)), 6);
    assert_memory_equal(bytes, "hello\n", 6);
    assert_int_equal(vmm_process_wait(process, 10 * SECOND), 0);
    char text[512];
    vmm_process_describe(process, text, sizeof(text));
    assert_string_equal(text, "ended with exit code 0: bye");
    vmm_process_end(process, SECOND);
    close(fds[1]);
    dup2(saved, 0);
    close(saved);
}

static void its_end_is_told_with_its_last_line(void **state)
{
    (void)state;
    assert_words("echo first >&2; echo 'no such thing' >&2; exit 3",
                 "ended with exit code 3: no such thing");
    assert_words("echo to stdout, without a line end | tr -d '\\n'",
                 "ended with exit code 0: to stdout, without a line end");
    assert_words("exit 1", "ended with exit code 1");
    assert_words("kill -9 $$", "was ended by signal 9");
}

static void control_characters_of_its_last_line_are_not_told(void **state)
{
    (void)state;
    assert_words("printf 'a\\033[31mb\\tc\\n'",
                 "ended with exit code 0: a [31mb c");
}

static void of_a_long_line_the_end_is_told(void **state)
{
    struct vmm_process *process = start(
        "i=0; while [ $i -lt 400 ]; do printf x; i=$((i+1)); done; echo end",
        0);
    char text[512];

    (void)state;
    assert_int_equal(vmm_process_wait(process, 10 * SECOND), 0);
    vmm_process_describe(process, text, sizeof(text));
    assert_non_null(strstr(text, ": ...xxx"));
    assert_string_equal(text + strlen(text) - 6, "xxxend");
    assert_true(strlen(text) < 300);
    vmm_process_end(process, SECOND);
}

static void one_that_writes_without_end_does_not_fill_memory(void **state)
{
    char text[512];

    (void)state;
    /* dd's own words at the end do not fit any more. */
    struct vmm_process *process =
        start("dd if=/dev/zero bs=4096 count=64; test $? != 0 && exit 7", 0);
    assert_int_equal(vmm_process_wait(process, 10 * SECOND), 0);
    vmm_process_describe(process, text, sizeof(text));
    assert_memory_equal(text, "ended with exit code 7", 22);
    vmm_process_end(process, SECOND);
}

static void while_it_runs_nobody_says_that_it_has_ended(void **state)
{
    char text[512];
    int fds[2];

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    struct vmm_process *process = start("read x <&3; exit 4", fds[1]);
    close(fds[1]);
    assert_int_equal(vmm_process_wait(process, 0), -ETIMEDOUT);
    assert_int_equal(vmm_process_wait(process, SECOND / 100), -ETIMEDOUT);
    vmm_process_describe(process, text, sizeof(text));
    assert_string_equal(text, "is still running");
    close(fds[0]);
    assert_int_equal(vmm_process_wait(process, -1), 0);
    vmm_process_describe(process, text, sizeof(text));
    assert_string_equal(text, "ended with exit code 4");
    vmm_process_end(process, SECOND);
}

static void one_that_ignores_the_request_to_end_is_killed(void **state)
{
    int fds[2];
    char byte;

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    struct vmm_process *process =
        start("trap '' TERM; echo >&3; while :; do read x <&3; done", fds[1]);
    close(fds[1]);
    assert_int_equal(read(fds[0], &byte, 1), 1);
    vmm_process_end(process, SECOND / 100);
    /* It is gone: nobody has the other end. */
    assert_int_equal(read(fds[0], &byte, 1), 0);
    close(fds[0]);
}

static void with_it_its_children_are_killed(void **state)
{
    int fds[2];
    char byte;

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    struct vmm_process *process =
        start("trap '' TERM; { echo >&3; while :; do sleep 1; done; } & wait",
              fds[1]);
    close(fds[1]);
    assert_int_equal(read(fds[0], &byte, 1), 1);
    vmm_process_end(process, SECOND / 100);
    alarm(60); /* a child that is left has the other end */
    assert_int_equal(read(fds[0], &byte, 1), 0);
    alarm(0);
    close(fds[0]);
}

static void a_program_that_there_is_not_is_an_error(void **state)
{
    const char *argv[] = {"/nowhere/daemon", NULL};
    struct vmm_process *process;
    struct vmm_error err;

    (void)state;
    assert_int_equal(vmm_process_start(argv, 0, &process, &err), -ENOENT);
    assert_null(process);
    assert_string_equal(err.text, "cannot run /nowhere/daemon: No such file "
                                  "or directory");
    vmm_process_end(NULL, 0);
}

/* A caller's blocked and ignored signals are not its. */
static void it_can_be_ended_by_signals_that_its_caller_blocks(void **state)
{
    struct vmm_process *process;
    sigset_t all, old;

    (void)state;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &old);
    process = start("kill -TERM $$; exit 5", 0);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    assert_int_equal(vmm_process_wait(process, 10 * SECOND), 0);
    char text[512];
    vmm_process_describe(process, text, sizeof(text));
    assert_string_equal(text, "was ended by signal 15");
    vmm_process_end(process, SECOND);
}

/* Ctrl-C goes to all of a terminal's foreground group. */
static void signals_of_its_callers_group_do_not_reach_it(void **state)
{
    char bytes[16] = {0};
    int fds[2];

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    struct vmm_process *process =
        start("read pid x x x group x </proc/self/stat; echo $group >&3; "
              "read x <&3",
              fds[1]);
    close(fds[1]);
    assert_true(read(fds[0], bytes, sizeof(bytes) - 1) > 0);
    assert_int_not_equal(strtol(bytes, NULL, 10), getpgrp());
    close(fds[0]);
    vmm_process_end(process, 10 * SECOND);
}

static void on_signal(int number)
{
    (void)number;
}

/* It writes what it has to before it ends, while signals come to its caller. */
static void signals_to_its_caller_do_not_shorten_its_grace(void **state)
{
    struct sigaction old, action = {.sa_handler = on_signal};
    char bytes[16] = {0};
    int fds[2];

    (void)state;
    sigaction(SIGUSR1, &action, &old);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    struct vmm_process *process =
        start("save() { for i in 1 2 3 4 5 6 7 8 9; do kill -USR1 $PPID; "
              "sleep 0.01; done; echo saved >&3; exit 0; }; "
              "trap save TERM; echo ready >&3; while :; do sleep 0.01; done",
              fds[1]);
    close(fds[1]);
    assert_int_equal(read(fds[0], bytes, 6), 6);
    vmm_process_end(process, 10 * SECOND);
    assert_int_equal(read(fds[0], bytes, sizeof(bytes)), 6);
    assert_memory_equal(bytes, "saved\n", 6);
    close(fds[0]);
    sigaction(SIGUSR1, &old, NULL);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_has_the_file_that_it_was_given_and_no_other),
        cmocka_unit_test(a_caller_without_stdin_may_start_it_too),
        cmocka_unit_test(its_end_is_told_with_its_last_line),
        cmocka_unit_test(control_characters_of_its_last_line_are_not_told),
        cmocka_unit_test(of_a_long_line_the_end_is_told),
        cmocka_unit_test(one_that_writes_without_end_does_not_fill_memory),
        cmocka_unit_test(while_it_runs_nobody_says_that_it_has_ended),
        cmocka_unit_test(one_that_ignores_the_request_to_end_is_killed),
        cmocka_unit_test(with_it_its_children_are_killed),
        cmocka_unit_test(a_program_that_there_is_not_is_an_error),
        cmocka_unit_test(it_can_be_ended_by_signals_that_its_caller_blocks),
        cmocka_unit_test(signals_of_its_callers_group_do_not_reach_it),
        cmocka_unit_test(signals_to_its_caller_do_not_shorten_its_grace),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
