/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Removals while the loop calls on its thread. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "asleep.h"
#include "loop_fixture.h"

struct slow {
    sem_t entered;
    pid_t remover;
    atomic_bool left;
};

/* Runs until the remover waits. */
static void slow_call(void *context)
{
    struct slow *s = context;

    sem_post(&s->entered);
    await_asleep(s->remover, PATIENCE);
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

/* Has its own timer set and cancelled once that is removed. */
struct rearmed {
    struct slow slow;
    struct vmm_timer *timer;
    int set, cancelled;
};

static void set_when_removed(void *context)
{
    struct rearmed *r = context;

    slow_call(&r->slow);
    r->set = vmm_timer_set(r->timer, 0, 0);
    r->cancelled = vmm_timer_cancel(r->timer);
}

static void a_callback_does_not_set_its_removed_timer(void **state)
{
    struct fixture *f = *state;
    struct rearmed r = {.slow.remover = gettid()};
    struct timed others[3] = {{0}};

    sem_init(&r.slow.entered, 0, 0);
    assert_int_equal(
        vmm_loop_timer(f->loop, set_when_removed, &r, &r.timer, &f->err), 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(vmm_loop_timer(f->loop, fire, &others[i],
                                        &others[i].timer, &f->err),
                         0);
    assert_int_equal(vmm_loop_start_thread(f->loop, "slow", &f->err), 0);
    vmm_timer_set(r.timer, 0, 0);
    while (sem_trywait(&r.slow.entered) < 0)
        sched_yield();
    vmm_timer_remove(r.timer);
    vmm_loop_stop_thread(f->loop);
    assert_int_equal(r.set, -ENOENT);
    assert_int_equal(r.cancelled, 0);

    for (int i = 0; i < 3; i++)
        assert_int_equal(vmm_timer_set(others[i].timer, 0, 0), 0);
    while (others[0].calls + others[1].calls + others[2].calls < 3)
        assert_true(vmm_loop_step(f->loop, PATIENCE) > 0);
    sem_destroy(&r.slow.entered);
}

static void set_after_removal(void *context)
{
    struct rearmed *r = context;

    vmm_timer_remove(r->timer);
    r->set = vmm_timer_set(r->timer, 0, 0);
}

static void nor_one_that_it_removed_itself(void **state)
{
    struct fixture *f = *state;
    struct rearmed r = {.set = 0};

    assert_int_equal(
        vmm_loop_timer(f->loop, set_after_removal, &r, &r.timer, &f->err), 0);
    vmm_timer_set(r.timer, 0, 0);
    assert_int_equal(vmm_loop_step(f->loop, PATIENCE), 1);
    assert_int_equal(r.set, -ENOENT);
    assert_int_equal(vmm_loop_step(f->loop, 0), 0);
}

/* Has its own watch modified once that is removed. */
struct modified {
    struct slow slow;
    struct vmm_watch *watch;
    int ret;
};

static void modify_when_removed(void *context, uint32_t events)
{
    struct modified *m = context;

    (void)events;
    slow_call(&m->slow);
    m->ret = vmm_watch_modify(m->watch, EPOLLIN);
}

static void a_callback_does_not_modify_its_removed_watch(void **state)
{
    struct fixture *f = *state;
    struct modified m = {.slow.remover = gettid()};
    int fds[2];

    sem_init(&m.slow.entered, 0, 0);
    assert_int_equal(pipe(fds), 0);
    assert_int_equal(write(fds[1], "x", 1), 1);
    assert_int_equal(vmm_loop_watch(f->loop, fds[0], EPOLLIN,
                                    modify_when_removed, &m, &m.watch, &f->err),
                     0);
    assert_int_equal(vmm_loop_start_thread(f->loop, "slow", &f->err), 0);
    while (sem_trywait(&m.slow.entered) < 0)
        sched_yield();
    vmm_watch_remove(m.watch);
    vmm_loop_stop_thread(f->loop);
    assert_int_equal(m.ret, -ENOENT);
    /* Epoll does not know the fd any more. */
    assert_int_equal(
        epoll_ctl(vmm_loop_fd(f->loop), EPOLL_CTL_DEL, fds[0], NULL), -1);
    assert_int_equal(errno, ENOENT);
    sem_destroy(&m.slow.entered);
    close(fds[0]);
    close(fds[1]);
}

/* What a callback finds after its removal would be freed memory. */
struct mortal {
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

/* The next number that an fd gets: whether others were closed shows there. */
static int next_fd(void)
{
    int fd = dup(STDERR_FILENO);

    close(fd);
    return fd;
}

static void never(void *context, int exit_code, int signal)
{
    (void)context;
    fail_msg("exit code %d, signal %d", exit_code, signal);
}

static void a_free_removes_what_is_left(void **state)
{
    struct fixture *f = *state;
    struct mortal m = {.alive = true};
    struct vmm_watch *watch;
    struct timed t = {0};
    struct vmm_wakeup *wakeup;
    struct vmm_child *child;
    struct vmm_loop *loop;
    pid_t pid = fork();
    int fds[2], unused;

    if (pid == 0)
        for (;;)
            pause();
    assert_int_equal(pipe(fds), 0);
    unused = next_fd();
    assert_int_equal(vmm_loop_new(&loop, &f->err), 0);
    assert_int_equal(
        vmm_loop_watch(loop, fds[0], EPOLLIN, check_alive, &m, &watch, &f->err),
        0);
    assert_int_equal(vmm_loop_timer(loop, fire, &t, &t.timer, &f->err), 0);
    assert_int_equal(vmm_loop_wakeup(loop, fire, &t, &wakeup, &f->err), 0);
    assert_int_equal(vmm_loop_start_thread(loop, "left", &f->err), 0);
    assert_int_equal(vmm_loop_child(loop, pid, never, NULL, &child, &f->err),
                     0);
    vmm_loop_free(loop); /* memory lost would be the sanitizer's to find */
    assert_int_equal(next_fd(), unused);
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    close(fds[0]);
    close(fds[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_remove_waits_for_the_callback_to_return),
        TEST(a_callback_does_not_set_its_removed_timer),
        TEST(nor_one_that_it_removed_itself),
        TEST(a_callback_does_not_modify_its_removed_watch),
        TEST(threads_add_and_remove_while_the_loop_calls),
        TEST(a_free_removes_what_is_left),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
