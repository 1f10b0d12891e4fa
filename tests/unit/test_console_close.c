/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* A console is freed while the loop's thread is in one of its callbacks. */
#include <semaphore.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>

#include "asleep.h"
#include "console_fixture.h"

static sem_t entered;
static pid_t closer;

static int set_up_thread(void **state)
{
    struct fixture *f;
    int ret = set_up(state);

    f = *state;
    sem_init(&entered, 0, 0);
    closer = gettid();
    return ret ? ret : vmm_loop_start_thread(f->loop, "io", &f->err);
}

static int tear_down_thread(void **state)
{
    sem_destroy(&entered);
    return tear_down(state);
}

#define TEST_THREAD(name)                                                      \
    cmocka_unit_test_setup_teardown(name, set_up_thread, tear_down_thread)

/* Sleeps only to await the callback that has entered. */
static void free_console(struct fixture *f)
{
    while (sem_trywait(&entered) < 0)
        sched_yield();
    vmm_console_free(f->console);
    f->console = NULL;
}

static void outlast_the_closer(void)
{
    sem_post(&entered);
    await_asleep(closer, PATIENCE);
}

/* The one that the library calls: the console is freed during it. */
int accept4(int fd, struct sockaddr *address, socklen_t *len, int flags)
{
    int client = (int)syscall(SYS_accept4, fd, address, len, flags);

    if (client >= 0)
        outlast_the_closer();
    return client;
}

static void a_client_that_comes_too_late_is_turned_away(void **state)
{
    struct fixture *f = *state;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char directory[] = "/tmp/console-XXXXXX";
    int client = socket(AF_UNIX, SOCK_STREAM, 0);
    char byte;

    assert_non_null(mkdtemp(directory));
    snprintf(address.sun_path, sizeof(address.sun_path), "%s/s", directory);
    assert_int_equal(
        vmm_console_attach_unix(f->console, address.sun_path, &f->err), 0);
    assert_int_equal(
        connect(client, (struct sockaddr *)&address, sizeof(address)), 0);
    free_console(f);
    assert_int_equal(read(client, &byte, 1), 0);
    assert_int_equal(rmdir(directory), 0); /* the socket has gone */
    close(client);
}

static void input_ended(void *context)
{
    outlast_the_closer();
    ++*(int *)context;
}

/* Which has removed its watch, so that this cannot be waited for. */
static void a_free_waits_for_the_report_of_an_end(void **state)
{
    struct fixture *f = *state;
    int fds[2], ended = 0;

    assert_int_equal(pipe(fds), 0);
    close(fds[1]);
    attach(f, (struct vmm_console_stream){.in_fd = fds[0],
                                          .out_fd = -1,
                                          .owns = true,
                                          .escape = -1,
                                          .on_input_end = input_ended,
                                          .context = &ended});
    free_console(f);
    assert_int_equal(ended, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_THREAD(a_client_that_comes_too_late_is_turned_away),
        TEST_THREAD(a_free_waits_for_the_report_of_an_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
