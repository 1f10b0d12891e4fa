/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* The event loop: watches, timers, wake-ups, steps, threads, removals. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include <vmm/loop.h>

#define MS       INT64_C(1000000)
#define PATIENCE (10000 * MS)

struct fixture {
    struct vmm_loop *loop;
    struct vmm_error err;
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    *state = f;
    return vmm_loop_new(&f->loop, &f->err);
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    vmm_loop_free(f->loop);
    free(f);
    return 0;
}

static void await(sem_t *sem)
{
    struct timespec deadline;

    clock_gettime(CLOCK_REALTIME, &deadline);
    deadline.tv_sec += 10;
    if (sem_timedwait(sem, &deadline) < 0)
        fail_msg("nothing happened within 10 s");
}

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

struct replaced {
    struct fixture *f;
    struct watched w[2];
    int fds[2][2];
};

/* Watch both fds anew with another callback. */
static void replace_both(void *context, uint32_t events)
{
    struct replaced *r = context;

    (void)events;
    for (int i = 0; i < 2; i++) {
        vmm_watch_remove(r->w[i].watch);
        vmm_loop_watch(r->f->loop, r->fds[i][0], EPOLLOUT, note, &r->w[i],
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

/* ---- timers ------------------------------------------------------------- */

struct timed {
    struct vmm_timer *timer;
    int calls;
    uint64_t fired_ns;
};

static void fire(void *context)
{
    struct timed *t = context;

    t->calls++;
    t->fired_ns = vmm_now_ns();
}

static void a_timer_fires_once_and_not_early(void **state)
{
    struct fixture *f = *state;
    struct timed t = {0};
    uint64_t start;

    assert_int_equal(vmm_loop_timer(f->loop, fire, &t, &t.timer, &f->err), 0);
    assert_int_equal(vmm_loop_step(f->loop, 0), 0);
    start = vmm_now_ns();
    assert_int_equal(vmm_timer_set(t.timer, 2 * MS, 0), 0);
    assert_int_equal(vmm_loop_step(f->loop, PATIENCE), 1);
    assert_true(t.fired_ns - start >= 2 * MS);
    assert_int_equal(vmm_loop_step(f->loop, 4 * MS), 0);
    assert_int_equal(t.calls, 1);
    vmm_timer_remove(t.timer);
}

static void a_periodic_timer_goes_on_until_cancelled(void **state)
{
    struct fixture *f = *state;
    struct timed t = {0};

    assert_int_equal(vmm_loop_timer(f->loop, fire, &t, &t.timer, &f->err), 0);
    assert_int_equal(vmm_timer_set(t.timer, 0, 1 * MS), 0);
    for (int i = 1; i <= 3; i++) {
        assert_int_equal(vmm_loop_step(f->loop, PATIENCE), 1);
        assert_int_equal(t.calls, i);
    }
    assert_int_equal(vmm_timer_cancel(t.timer), 0);
    assert_int_equal(vmm_loop_step(f->loop, 3 * MS), 0);
    assert_int_equal(t.calls, 3);
}

#define MANY 500

struct ranked {
    struct vmm_timer *timer;
    struct ranks *ranks;
    uint64_t earliest_ns, latest_ns; /* its deadline lies between */
    int calls;
};

struct ranks {
    struct ranked timers[MANY];
    struct ranked *fired[MANY];
    int fired_len;
};

static void fire_ranked(void *context)
{
    struct ranked *timer = context;

    if (!timer->calls++)
        timer->ranks->fired[timer->ranks->fired_len++] = timer;
}

static void set_ranked(struct ranked *timer, uint64_t delay_ns)
{
    timer->earliest_ns = vmm_now_ns() + delay_ns;
    assert_int_equal(vmm_timer_set(timer->timer, delay_ns, 0), 0);
    timer->latest_ns = vmm_now_ns() + delay_ns;
}

/* Whatever the order in which they were set; all are moved once, a fifth is
 * removed. */
static void five_hundred_timers_fire_by_deadline(void **state)
{
    static struct ranks ranks;
    struct fixture *f = *state;
    uint64_t passed_ns = 0;

    for (int i = 0; i < MANY; i++) {
        struct ranked *timer = &ranks.timers[i];

        timer->ranks = &ranks;
        assert_int_equal(
            vmm_loop_timer(f->loop, fire_ranked, timer, &timer->timer, &f->err),
            0);
        set_ranked(timer, PATIENCE);
    }
    for (int i = 0; i < MANY; i++)
        set_ranked(&ranks.timers[i], 20000u * (uint64_t)(i * 7 % MANY));
    for (int i = 0; i < MANY; i += 5)
        vmm_timer_remove(ranks.timers[i].timer);
    while (ranks.fired_len < MANY - MANY / 5)
        assert_true(vmm_loop_step(f->loop, PATIENCE) > 0);
    for (int i = 0; i < ranks.fired_len; i++) {
        struct ranked *timer = ranks.fired[i];

        assert_int_equal(timer->calls, 1);
        assert_true(passed_ns <= timer->latest_ns);
        if (timer->earliest_ns > passed_ns)
            passed_ns = timer->earliest_ns;
    }
    assert_int_equal(vmm_loop_step(f->loop, 1 * MS), 0);
}

static void remove_timers(void *context)
{
    struct timed *t = context;

    t[0].calls++;
    vmm_timer_remove(t[0].timer);
    vmm_timer_remove(t[1].timer);
}

static void a_timer_removes_itself_and_one_that_is_due(void **state)
{
    struct fixture *f = *state;
    struct timed t[2] = {{0}, {0}};

    assert_int_equal(
        vmm_loop_timer(f->loop, remove_timers, t, &t[0].timer, &f->err), 0);
    assert_int_equal(vmm_loop_timer(f->loop, fire, &t[1], &t[1].timer, &f->err),
                     0);
    vmm_timer_set(t[0].timer, 0, 1);
    vmm_timer_set(t[1].timer, 1, 0);
    assert_int_equal(vmm_loop_step(f->loop, PATIENCE), 1);
    assert_int_equal(t[0].calls, 1);
    assert_int_equal(vmm_loop_step(f->loop, 1 * MS), 0);
    assert_int_equal(t[1].calls, 0);
}

static void a_delay_too_long_to_count_means_never(void **state)
{
    struct fixture *f = *state;
    struct timed t = {0};

    assert_int_equal(vmm_loop_timer(f->loop, fire, &t, &t.timer, &f->err), 0);
    assert_int_equal(vmm_timer_set(t.timer, UINT64_MAX, UINT64_MAX), 0);
    assert_int_equal(vmm_loop_step(f->loop, 1 * MS), 0);
    assert_int_equal(vmm_timer_set(t.timer, 0, UINT64_MAX), 0);
    assert_int_equal(vmm_loop_step(f->loop, PATIENCE), 1);
    assert_int_equal(vmm_loop_step(f->loop, 1 * MS), 0);
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

/* ---- removal from another thread ---------------------------------------- */

struct slow {
    sem_t entered;
    pid_t remover;
    atomic_bool left;
};

static bool is_asleep(pid_t thread)
{
    char path[64], state = 0;
    FILE *file;

    snprintf(path, sizeof(path), "/proc/self/task/%d/stat", thread);
    file = fopen(path, "r");
    if (file && fscanf(file, "%*d (%*[^)]) %c", &state) != 1)
        state = 0;
    if (file)
        fclose(file);
    return state == 'S';
}

/* Runs until the remover waits. */
static void slow_call(void *context)
{
    struct slow *s = context;
    uint64_t deadline = vmm_now_ns() + PATIENCE;

    sem_post(&s->entered);
    while (!is_asleep(s->remover) && vmm_now_ns() < deadline)
        sched_yield();
    atomic_store(&s->left, true);
}

static void a_remove_waits_for_the_callback_to_return(void **state)
{
    struct fixture *f = *state;
    struct slow s = {.remover = gettid(), .left = false};
    struct vmm_timer *timer;

    sem_init(&s.entered, 0, 0);
    assert_int_equal(vmm_loop_timer(f->loop, slow_call, &s, &timer, &f->err),
                     0);
    assert_int_equal(vmm_loop_start_thread(f->loop, "slow", &f->err), 0);
    vmm_timer_set(timer, 0, 0);
    while (sem_trywait(&s.entered) < 0)
        sched_yield();
    vmm_timer_remove(timer);
    assert_true(atomic_load(&s.left));
    sem_destroy(&s.entered);
}

/* What a callback finds after its removal would be freed memory. */
struct mortal {
    int fd;
    atomic_bool alive;
};

static void check_alive(void *context, uint32_t events)
{
    struct mortal *m = context;

    (void)events;
    if (!atomic_load(&m->alive))
        abort();
}

static void check_timer_alive(void *context)
{
    check_alive(context, 0);
}

static void *add_and_remove(void *context)
{
    struct fixture *f = context;
    int fds[2];

    if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds) < 0)
        abort();
    for (int i = 0; i < 2000; i++) {
        struct mortal *m = malloc(sizeof(*m));
        struct vmm_watch *watch;
        struct vmm_timer *timer;

        atomic_init(&m->alive, true);
        /* A socket is writable at once: the callback comes again and again. */
        if (vmm_loop_watch(f->loop, fds[0], EPOLLOUT, check_alive, m, &watch,
                           NULL) ||
            vmm_loop_timer(f->loop, check_timer_alive, m, &timer, NULL))
            abort();
        vmm_timer_set(timer, 0, (uint64_t)(i % 3) * 1000);
        vmm_watch_modify(watch, i % 2 ? 0 : EPOLLOUT);
        vmm_timer_remove(timer);
        vmm_watch_remove(watch);
        atomic_store(&m->alive, false);
        free(m);
    }
    close(fds[0]);
    close(fds[1]);
    return NULL;
}

static void threads_add_and_remove_while_the_loop_calls(void **state)
{
    struct fixture *f = *state;
    pthread_t threads[3];

    assert_int_equal(vmm_loop_start_thread(f->loop, "busy", &f->err), 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, add_and_remove, f),
                         0);
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
}

static void a_free_removes_what_is_left(void **state)
{
    struct fixture *f = *state;
    struct watched w = {0};
    struct timed t = {0};
    struct vmm_wakeup *wakeup;
    struct vmm_loop *loop;
    int fds[2];

    assert_int_equal(pipe(fds), 0);
    assert_int_equal(vmm_loop_new(&loop, &f->err), 0);
    assert_int_equal(
        vmm_loop_watch(loop, fds[0], EPOLLIN, note, &w, &w.watch, &f->err), 0);
    assert_int_equal(vmm_loop_timer(loop, fire, &t, &t.timer, &f->err), 0);
    assert_int_equal(vmm_loop_wakeup(loop, fire, &t, &wakeup, &f->err), 0);
    assert_int_equal(vmm_loop_start_thread(loop, "left", &f->err), 0);
    vmm_loop_free(loop); /* a leak would be the sanitizer's to find */
    close(fds[0]);
    close(fds[1]);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_readable_fd_is_called_as_long_as_it_is_readable),
        TEST(a_paused_watch_reports_not_even_a_hang_up),
        TEST(a_regular_file_is_always_ready),
        TEST(an_fd_is_watched_once),
        TEST(a_callback_removes_itself_and_one_that_is_pending),
        TEST(a_watch_gets_no_event_of_its_predecessor_on_that_fd),
        TEST(a_timer_fires_once_and_not_early),
        TEST(a_periodic_timer_goes_on_until_cancelled),
        TEST(five_hundred_timers_fire_by_deadline),
        TEST(a_timer_removes_itself_and_one_that_is_due),
        TEST(a_delay_too_long_to_count_means_never),
        TEST(the_loops_fd_is_readable_when_there_is_something_to_do),
        TEST(a_step_within_a_callback_is_refused),
        TEST(a_signal_ends_a_step),
        TEST(its_thread_blocks_all_signals_and_is_named),
        TEST(a_callback_can_stop_its_own_thread),
        TEST(a_remove_waits_for_the_callback_to_return),
        TEST(threads_add_and_remove_while_the_loop_calls),
        TEST(a_free_removes_what_is_left),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
