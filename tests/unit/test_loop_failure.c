/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* The loop's own thread can wait no longer: who hears of it. */
#include <errno.h>
#include <fcntl.h>

#include "loop_fixture.h"

/* Put something that is no epoll fd in its place: the next wait fails. */
static void break_loop(void *context)
{
    struct fixture *f = context;
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

    dup2(null, vmm_loop_fd(f->loop));
    close(null);
}

struct heard {
    struct fixture *fixture;
    sem_t of_it;
    struct vmm_error err;
    bool in_thread;
    int calls;
};

static void hear(void *context, const struct vmm_error *err)
{
    struct heard *h = context;

    h->err = *err;
    h->in_thread = vmm_loop_in_thread(h->fixture->loop);
    h->calls++;
    sem_post(&h->of_it);
}

static void a_thread_that_cannot_wait_says_so_and_ends(void **state)
{
    struct fixture *f = *state;
    struct heard h = {.fixture = f};
    struct vmm_wakeup *wakeup;

    sem_init(&h.of_it, 0, 0);
    vmm_loop_on_error(f->loop, hear, &h);
    assert_int_equal(vmm_loop_wakeup(f->loop, break_loop, f, &wakeup, &f->err),
                     0);
    assert_int_equal(vmm_loop_start_thread(f->loop, "broken", &f->err), 0);
    vmm_wakeup_signal(wakeup);
    await(&h.of_it);
    /* What another thread asks of it fails as the wait did. */
    assert_int_equal(vmm_loop_step(f->loop, 0), -EINVAL);
    vmm_loop_stop_thread(f->loop);
    assert_int_equal(h.calls, 1);
    assert_true(h.in_thread);
    assert_int_equal(h.err.code, EINVAL);
    assert_string_equal(
        h.err.text, "the event loop cannot wait any more: Invalid argument");
    sem_destroy(&h.of_it);
}

static void a_thread_that_was_stopped_reports_nothing(void **state)
{
    struct fixture *f = *state;
    struct heard h = {.fixture = f};

    vmm_loop_on_error(f->loop, hear, &h);
    assert_int_equal(vmm_loop_start_thread(f->loop, "whole", &f->err), 0);
    vmm_loop_stop_thread(f->loop);
    assert_int_equal(h.calls, 0);
    assert_int_equal(vmm_loop_step(f->loop, 0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_thread_that_cannot_wait_says_so_and_ends),
        TEST(a_thread_that_was_stopped_reports_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
