/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* The event loop: watches, steps, its thread. */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>

#include "loop_fixture.h"

/* ---- watches ------------------------------------------------------------ */

struct watched {
    struct vmm_watch *watch;
    struct vmm_watch *other; /* to remove in the callback */
    int fd;
    int calls;
    uint32_t events;
};

static void note(void *context, uint32_t events)
{
    struct watched *w = context;

    w->calls++;
    w->events = events;
}

static void a_readable_fd_is_called_as_long_as_it_is_readable(void **state)
{
    struct fixture *f = *state;
    struct watched w = {0};
    int fds[2];
    char byte;

    assert_int_equal(pipe(fds), 0);
    assert_int_equal(
        vmm_loop_watch(f->loop, fds[0], EPOLLIN, note, &w, &w.watch, &f->err),
        0);
    assert_int_equal(vmm_loop_step(f->loop, 0), 0);
    assert_int_equal(write(fds[1], "x", 1), 1);
    assert_int_equal(vmm_loop_step(f->loop, PATIENCE), 1);
    assert_int_equal(vmm_loop_step(f->loop, PATIENCE), 1);
    assert_int_equal(w.events, EPOLLIN);
    assert_int_equal(read(fds[0], &byte, 1), 1);
    assert_int_equal(vmm_loop_step(f->loop, 0), 0);
    assert_int_equal(w.calls, 2);
    vmm_watch_remove(w.watch);
    close(fds[0]);
    close(fds[1]);
}

static void a_paused_watch_reports_not_even_a_hang_up(void **state)
{
    struct fixture *f = *state;
    struct watched w = {0};
    int fds[2];

    assert_int_equal(pipe(fds), 0);
    assert_int_equal(
        vmm_loop_watch(f->loop, fds[0], 0, note, &w, &w.watch, &f->err), 0);
    close(fds[1]);
    assert_int_equal(vmm_loop_step(f->loop, 0), 0);
    assert_int_equal(vmm_watch_modify(w.watch, EPOLLIN), 0);
    assert_int_equal(vmm_loop_step(f->loop, PATIENCE), 1);
    assert_int_equal(w.events, EPOLLHUP);
    vmm_watch_remove(w.watch);
    close(fds[0]);
}

static void a_regular_file_is_always_ready(void **state)
{
    struct fixture *f = *state;
    struct watched w = {0};
    FILE *file = tmpfile();

    assert_non_null(file);
    assert_int_equal(vmm_loop_watch(f->loop, fileno(file), EPOLLIN, note, &w,
                                    &w.watch, &f->err),
                     0);
    assert_int_equal(vmm_loop_step(f->loop, PATIENCE), 1);
    assert_int_equal(w.events, EPOLLIN);
    assert_int_equal(vmm_watch_modify(w.watch, 0), 0);
    assert_int_equal(vmm_loop_step(f->loop, 0), 0);
    assert_int_equal(vmm_watch_modify(w.watch, EPOLLOUT), 0);
    assert_int_equal(vmm_loop_step(f->loop, PATIENCE), 1);
    assert_int_equal(w.events, EPOLLOUT);
    vmm_watch_remove(w.watch);
    assert_int_equal(vmm_loop_step(f->loop, 0), 0);
    fclose(file);
}

static void an_fd_is_watched_once(void **state)
{
    struct fixture *f = *state;
    struct watched w = {0};
    struct vmm_watch *second = NULL;
    int fds[2];

    assert_int_equal(pipe(fds), 0);
    assert_int_equal(
        vmm_loop_watch(f->loop, fds[0], EPOLLIN, note, &w, &w.watch, &f->err),
        0);
    assert_int_equal(
        vmm_loop_watch(f->loop, fds[0], EPOLLIN, note, &w, &second, &f->err),
        -EEXIST);
    assert_non_null(strstr(f->err.text, "it is watched already"));
    assert_int_equal(
        vmm_loop_watch(f->loop, -1, EPOLLIN, note, &w, &second, &f->err),
        -EBADF);
    assert_string_equal(f->err.text, "cannot watch fd -1");
    vmm_watch_remove(w.watch);
    close(fds[0]);
    close(fds[1]);
}

static void remove_other(void *context, uint32_t events)
{
    struct watched *w = context;

    note(context, events);
    vmm_watch_remove(w->watch);
    vmm_watch_remove(w->other);
    w->watch = w->other = NULL;
}

/* Two watches are ready at once; whichever is called removes both. */
static void a_callback_removes_itself_and_one_that_is_pending(void **state)
{
    struct fixture *f = *state;
    struct watched w[2] = {{0}, {0}};
    int fds[2][2];

    for (int i = 0; i < 2; i++) {
        assert_int_equal(pipe(fds[i]), 0);
        assert_int_equal(write(fds[i][1], "x", 1), 1);
        assert_int_equal(vmm_loop_watch(f->loop, fds[i][0], EPOLLIN,
                                        remove_other, &w[i], &w[i].watch,
                                        &f->err),
                         0);
    }
    w[0].other = w[1].watch;
    w[1].other = w[0].watch;
    assert_int_equal(vmm_loop_step(f->loop, PATIENCE), 1);
    assert_int_equal(w[0].calls + w[1].calls, 1);
    assert_int_equal(vmm_loop_step(f->loop, 0), 0);
    for (int i = 0; i < 2; i++) {
        close(fds[i][0]);
        close(fds[i][1]);
    }
}

struct pair {
    struct watched w[2];
};

static void pause_both(void *context, uint32_t events)
{
    struct pair *pair = context;

    for (int i = 0; i < 2; i++) {
        note(&pair->w[i], events);
        assert_int_equal(vmm_watch_modify(pair->w[i].watch, 0), 0);
    }
}

/* Both hang up at once. */
static void
a_watch_paused_while_its_event_is_pending_is_not_called(void **state)
{
    struct fixture *f = *state;
    struct pair pair = {0};
    int fds[2][2];

    for (int i = 0; i < 2; i++) {
        assert_int_equal(pipe(fds[i]), 0);
        close(fds[i][1]);
        assert_int_equal(vmm_loop_watch(f->loop, fds[i][0], EPOLLIN, pause_both,
                                        &pair, &pair.w[i].watch, &f->err),
                         0);
    }
    assert_int_equal(vmm_loop_step(f->loop, PATIENCE), 1);
    assert_int_equal(vmm_loop_step(f->loop, 0), 0);
    for (int i = 0; i < 2; i++) {
        vmm_watch_remove(pair.w[i].watch);
        close(fds[i][0]);
    }
}

struct replaced {
    struct fixture *f;
    struct watched w[2];
    int fds[2][2];
};

/* Empty both pipes, and watch them anew with another callback. */
static void replace_both(void *context, uint32_t events)
{
    struct replaced *r = context;
    char byte;

    (void)events;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(read(r->fds[i][0], &byte, 1), 1);
        vmm_watch_remove(r->w[i].watch);
        vmm_loop_watch(r->f->loop, r->fds[i][0], EPOLLIN, note, &r->w[i],
                       &r->w[i].watch, &r->f->err);
    }
}

static void a_watch_gets_no_event_of_its_predecessor_on_that_fd(void **state)
{
    struct replaced r = {.f = *state};

    for (int i = 0; i < 2; i++) {
        assert_int_equal(pipe(r.fds[i]), 0);
        assert_int_equal(write(r.fds[i][1], "x", 1), 1);
        assert_int_equal(vmm_loop_watch(r.f->loop, r.fds[i][0], EPOLLIN,
                                        replace_both, &r, &r.w[i].watch,
                                        &r.f->err),
                         0);
    }
    assert_int_equal(vmm_loop_step(r.f->loop, PATIENCE), 1);
    assert_int_equal(r.w[0].calls + r.w[1].calls, 0);
    for (int i = 0; i < 2; i++) {
        vmm_watch_remove(r.w[i].watch);
        close(r.fds[i][0]);
        close(r.fds[i][1]);
    }
}

/* ---- steps and threads -------------------------------------------------- */

static void the_loops_fd_is_readable_when_there_is_something_to_do(void **state)
{
    struct fixture *f = *state;
    struct pollfd fd = {.fd = vmm_loop_fd(f->loop), .events = POLLIN};
    struct timed t = {0};

    assert_int_equal(vmm_loop_timer(f->loop, fire, &t, &t.timer, &f->err), 0);
    assert_int_equal(poll(&fd, 1, 0), 0);
    vmm_timer_set(t.timer, 1 * MS, 0);
    assert_int_equal(poll(&fd, 1, 10000), 1);
    assert_int_equal(vmm_loop_step(f->loop, 0), 1);
    assert_int_equal(poll(&fd, 1, 0), 0);
}

struct nested {
    struct vmm_loop *loop;
    int ret;
    bool in_thread;
};

static void step_again(void *context)
{
    struct nested *n = context;

    n->ret = vmm_loop_step(n->loop, 0);
    n->in_thread = vmm_loop_in_thread(n->loop);
}

static void a_step_within_a_callback_is_refused(void **state)
{
    struct fixture *f = *state;
    struct nested n = {.loop = f->loop};
    struct vmm_wakeup *wakeup;

    assert_int_equal(vmm_loop_wakeup(f->loop, step_again, &n, &wakeup, &f->err),
                     0);
    vmm_wakeup_signal(wakeup);
    vmm_wakeup_signal(wakeup);
    assert_int_equal(vmm_loop_step(f->loop, PATIENCE), 1);
    assert_int_equal(n.ret, -EBUSY);
    assert_true(n.in_thread);
    assert_false(vmm_loop_in_thread(f->loop));
    assert_int_equal(vmm_loop_step(f->loop, 0), 0);
}

static void on_signal(int number)
{
    (void)number;
}

static void a_signal_ends_a_step(void **state)
{
    struct fixture *f = *state;
    struct sigaction action = {.sa_handler = on_signal}, old;
    struct itimerspec when = {.it_value = {.tv_nsec = 2 * MS},
                              .it_interval = {.tv_nsec = 2 * MS}};
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL,
                             .sigev_signo = SIGUSR1};
    timer_t timer;

    sigaction(SIGUSR1, &action, &old);
    assert_int_equal(timer_create(CLOCK_MONOTONIC, &event, &timer), 0);
    assert_int_equal(timer_settime(timer, 0, &when, NULL), 0);
    assert_int_equal(vmm_loop_step(f->loop, -1), -EINTR);
    timer_delete(timer);
    sigaction(SIGUSR1, &old, NULL);
}

struct threaded {
    struct vmm_loop *loop;
    sem_t called;
    bool in_thread;
    sigset_t blocked;
    char name[16];
};

static void look_around(void *context)
{
    struct threaded *t = context;

    t->in_thread = vmm_loop_in_thread(t->loop);
    pthread_sigmask(SIG_BLOCK, NULL, &t->blocked);
    pthread_getname_np(pthread_self(), t->name, sizeof(t->name));
    sem_post(&t->called);
}

static void its_thread_blocks_all_signals_and_is_named(void **state)
{
    struct fixture *f = *state;
    struct threaded t = {.loop = f->loop};
    struct vmm_wakeup *wakeup;

    sem_init(&t.called, 0, 0);
    assert_int_equal(
        vmm_loop_wakeup(f->loop, look_around, &t, &wakeup, &f->err), 0);
    assert_int_equal(
        vmm_loop_start_thread(f->loop, "a-name-that-is-too-long", &f->err), 0);
    assert_int_equal(vmm_loop_start_thread(f->loop, "again", &f->err), -EBUSY);
    assert_string_equal(f->err.text, "the loop runs already");
    assert_int_equal(vmm_loop_step(f->loop, 0), -EBUSY);
    assert_false(vmm_loop_in_thread(f->loop));

    vmm_wakeup_signal(wakeup);
    await(&t.called);
    assert_true(t.in_thread);
    assert_int_equal(sigismember(&t.blocked, SIGPIPE), 1);
    assert_int_equal(sigismember(&t.blocked, SIGINT), 1);
    assert_string_equal(t.name, "a-name-that-is-");

    vmm_loop_stop_thread(f->loop);
    vmm_wakeup_signal(wakeup);
    assert_int_equal(vmm_loop_step(f->loop, PATIENCE), 1);
    assert_int_equal(vmm_loop_start_thread(f->loop, "anew", &f->err), 0);
    sem_destroy(&t.called);
}

static void stop_own_thread(void *context)
{
    struct threaded *t = context;

    vmm_loop_stop_thread(t->loop);
    sem_post(&t->called);
}

static void a_callback_can_stop_its_own_thread(void **state)
{
    struct fixture *f = *state;
    struct threaded t = {.loop = f->loop};
    struct vmm_wakeup *wakeup;

    sem_init(&t.called, 0, 0);
    assert_int_equal(
        vmm_loop_wakeup(f->loop, stop_own_thread, &t, &wakeup, &f->err), 0);
    assert_int_equal(vmm_loop_start_thread(f->loop, "stops", &f->err), 0);
    vmm_wakeup_signal(wakeup);
    await(&t.called);
    vmm_loop_stop_thread(f->loop);
    assert_int_equal(vmm_loop_step(f->loop, 0), 0);
    sem_destroy(&t.called);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_readable_fd_is_called_as_long_as_it_is_readable),
        TEST(a_paused_watch_reports_not_even_a_hang_up),
        TEST(a_regular_file_is_always_ready),
        TEST(an_fd_is_watched_once),
        TEST(a_callback_removes_itself_and_one_that_is_pending),
        TEST(a_watch_paused_while_its_event_is_pending_is_not_called),
        TEST(a_watch_gets_no_event_of_its_predecessor_on_that_fd),
        TEST(the_loops_fd_is_readable_when_there_is_something_to_do),
        TEST(a_step_within_a_callback_is_refused),
        TEST(a_signal_ends_a_step),
        TEST(its_thread_blocks_all_signals_and_is_named),
        TEST(a_callback_can_stop_its_own_thread),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
