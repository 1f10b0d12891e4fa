/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* The loop itself: wait, call, and who may do so on which thread. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "event/loop.h"

/* The epoll data of timer_fd; a watch's holds an fd, so is never this. */
#define TIMER_ID UINT64_MAX

static int open_fds(struct vmm_loop *loop, struct vmm_error *err)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = TIMER_ID};

    loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (loop->epoll_fd < 0)
        return vmm_error_errno(err, "cannot create an epoll fd");
    loop->timer_fd =
        timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    if (loop->timer_fd < 0)
        return vmm_error_errno(err, "cannot create a timer fd");
    if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, loop->timer_fd, &event) < 0)
        return vmm_error_errno(err, "cannot watch the timer fd");
    return 0;
}

static void destroy(struct vmm_loop *loop)
{
    if (loop->timer_fd >= 0)
        close(loop->timer_fd);
    if (loop->epoll_fd >= 0)
        close(loop->epoll_fd);
    pthread_cond_destroy(&loop->call_done);
    pthread_mutex_destroy(&loop->lock);
    free(loop->watches);
    free(loop->heap);
    free(loop);
}

int vmm_loop_new(struct vmm_loop **loop, struct vmm_error *err)
{
    struct vmm_loop *new;
    int ret;

    vmm_error_clear(err);
    new = calloc(1, sizeof(*new));
    if (!new)
        return vmm_error_set(err, ENOMEM, "no memory for an event loop");
    new->epoll_fd = new->timer_fd = -1;
    new->armed_ns = VMM_NEVER;
    pthread_mutex_init(&new->lock, NULL);
    pthread_cond_init(&new->call_done, NULL);
    ret = open_fds(new, err);
    if (ret < 0) {
        destroy(new);
        return ret;
    }
    *loop = new;
    return 0;
}

void vmm_loop_free(struct vmm_loop *loop)
{
    if (!loop)
        return;
    vmm_loop_stop_thread(loop);
    for (size_t fd = 0; fd < loop->watches_len; fd++)
        if (loop->watches[fd])
            vmm_watch_remove(loop->watches[fd]);
    while (loop->heap_len)
        vmm_timer_remove(loop->heap[loop->heap_len - 1]);
    destroy(loop);
}

int vmm_loop_fd(const struct vmm_loop *loop)
{
    return loop->epoll_fd;
}

/* ---- callbacks ---------------------------------------------------------- */

void vmm_loop_begin_call(struct vmm_loop *loop, const void *source)
{
    loop->calling = source;
    pthread_mutex_unlock(&loop->lock);
}

bool vmm_loop_end_call(struct vmm_loop *loop)
{
    bool removed;

    pthread_mutex_lock(&loop->lock);
    removed = loop->caller_removed;
    loop->caller_removed = false;
    loop->calling = NULL;
    pthread_cond_broadcast(&loop->call_done);
    return removed;
}

bool vmm_loop_await_call(struct vmm_loop *loop, const void *source)
{
    if (loop->calling != source)
        return true;
    if (pthread_equal(loop->stepper, pthread_self())) {
        loop->caller_removed = true;
        return false;
    }
    while (loop->calling == source)
        pthread_cond_wait(&loop->call_done, &loop->lock);
    return true;
}

/* ---- steps -------------------------------------------------------------- */

static int begin_step(struct vmm_loop *loop)
{
    int ret;

    pthread_mutex_lock(&loop->lock);
    ret = loop->failed ? loop->failed : -EBUSY;
    if (!loop->stepping &&
        (!loop->threaded || pthread_equal(loop->thread, pthread_self()))) {
        loop->stepping = true;
        loop->stepper = pthread_self();
        ret = 0;
    }
    pthread_mutex_unlock(&loop->lock);
    return ret;
}

static void end_step(struct vmm_loop *loop)
{
    pthread_mutex_lock(&loop->lock);
    loop->stepping = false;
    pthread_mutex_unlock(&loop->lock);
}

/* Wait once, call once for each event. */
static int one_round(struct vmm_loop *loop, uint64_t deadline)
{
    struct epoll_event events[64];
    struct timespec wait = {0, 0};
    uint64_t now = vmm_now_ns();
    int count, calls = 0;

    if (deadline > now) {
        wait.tv_sec = (time_t)((deadline - now) / 1000000000);
        wait.tv_nsec = (long)((deadline - now) % 1000000000);
    }
    count = epoll_pwait2(loop->epoll_fd, events, 64,
                         deadline == VMM_NEVER ? NULL : &wait, NULL);
    if (count < 0)
        return -errno;

    pthread_mutex_lock(&loop->lock);
    for (int i = 0; i < count; i++) {
        if (events[i].data.u64 == TIMER_ID)
            calls += vmm_timers_fire(loop);
        else
            calls +=
                vmm_watch_dispatch(loop, events[i].data.u64, events[i].events);
    }
    pthread_mutex_unlock(&loop->lock);
    return calls;
}

int vmm_loop_step(struct vmm_loop *loop, int64_t timeout_ns)
{
    uint64_t deadline =
        timeout_ns < 0 ? VMM_NEVER : vmm_deadline_ns((uint64_t)timeout_ns);
    int calls = begin_step(loop);

    if (calls < 0)
        return calls;
    /* A round may end with nothing called: a timer was cancelled, a watch
     * removed, after the kernel had reported it. */
    do
        calls = one_round(loop, deadline);
    while (calls == 0 && vmm_now_ns() < deadline);
    end_step(loop);
    return calls;
}

/* ---- the loop's own thread ---------------------------------------------- */

static bool stopping(struct vmm_loop *loop)
{
    bool stop;

    pthread_mutex_lock(&loop->lock);
    stop = loop->stop;
    pthread_mutex_unlock(&loop->lock);
    return stop;
}

void vmm_loop_on_error(struct vmm_loop *loop,
                       void (*on_error)(void *context,
                                        const struct vmm_error *err),
                       void *context)
{
    pthread_mutex_lock(&loop->lock);
    loop->on_error = on_error;
    loop->on_error_context = context;
    pthread_mutex_unlock(&loop->lock);
}

/* The thread's last deed: say why it ends. */
static void report_failure(struct vmm_loop *loop, int code)
{
    void (*on_error)(void *context, const struct vmm_error *err);
    struct vmm_error err;
    void *context;

    pthread_mutex_lock(&loop->lock);
    loop->failed = -code;
    on_error = loop->on_error;
    context = loop->on_error_context;
    pthread_mutex_unlock(&loop->lock);
    vmm_error_clear(&err);
    vmm_error_set(&err, code, "the event loop cannot wait any more: %s",
                  strerror(code));
    if (on_error)
        on_error(context, &err);
}

/* The signals are blocked, but a debugger that attaches ends a wait too. */
static void *run(void *context)
{
    struct vmm_loop *loop = context;
    int calls = 0;

    while (!stopping(loop) && (calls >= 0 || calls == -EINTR))
        calls = vmm_loop_step(loop, -1);
    if (calls < 0 && calls != -EINTR)
        report_failure(loop, -calls);
    return NULL;
}

/* A callback ends the wait; the thread then sees that it should stop. */
static void woken_to_stop(void *context)
{
    (void)context;
}

/* With all signals blocked in the new thread.  Returns an errno value. */
static int create_thread(struct vmm_loop *loop)
{
    sigset_t all, old;
    int code;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    code = pthread_create(&loop->thread, NULL, run, loop);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return code;
}

int vmm_loop_start_thread(struct vmm_loop *loop, const char *name,
                          struct vmm_error *err)
{
    char short_name[16]; /* the kernel's limit */
    int code = EBUSY;
    int ret;

    vmm_error_clear(err);
    if (!loop->stop_wakeup) {
        ret =
            vmm_loop_wakeup(loop, woken_to_stop, NULL, &loop->stop_wakeup, err);
        if (ret < 0)
            return ret;
    }
    pthread_mutex_lock(&loop->lock);
    if (!loop->threaded && !loop->stepping) {
        loop->stop = false;
        loop->failed = 0;
        code = create_thread(loop);
        loop->threaded = code == 0;
    }
    pthread_mutex_unlock(&loop->lock);
    if (code == EBUSY)
        return vmm_error_set(err, EBUSY, "the loop runs already");
    if (code)
        return vmm_error_set(err, code, "cannot start thread %s", name);

    snprintf(short_name, sizeof(short_name), "%s", name);
    pthread_setname_np(loop->thread, short_name);
    return 0;
}

void vmm_loop_stop_thread(struct vmm_loop *loop)
{
    bool join;

    pthread_mutex_lock(&loop->lock);
    loop->stop = true;
    join = loop->threaded && !pthread_equal(loop->thread, pthread_self());
    pthread_mutex_unlock(&loop->lock);
    if (!join)
        return;
    vmm_wakeup_signal(loop->stop_wakeup);
    pthread_join(loop->thread, NULL);
    vmm_wakeup_remove(loop->stop_wakeup);
    loop->stop_wakeup = NULL;
    pthread_mutex_lock(&loop->lock);
    loop->threaded = false;
    pthread_mutex_unlock(&loop->lock);
}

bool vmm_loop_in_thread(struct vmm_loop *loop)
{
    pthread_t self = pthread_self();
    bool in;

    pthread_mutex_lock(&loop->lock);
    in = (loop->threaded && pthread_equal(loop->thread, self)) ||
         (loop->stepping && pthread_equal(loop->stepper, self));
    pthread_mutex_unlock(&loop->lock);
    return in;
}
