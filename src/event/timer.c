/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Timers: a binary heap by deadline in front of one timerfd. */
#include <errno.h>
#include <stdlib.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "event/loop.h"

/* The index of a timer that was removed while its callback runs. */
#define REMOVED SIZE_MAX

struct vmm_timer {
    struct vmm_loop *loop;
    size_t index; /* in the heap, or REMOVED */
    uint64_t deadline_ns;
    uint64_t period_ns;
    void (*fire)(void *context);
    void *context;
};

uint64_t vmm_now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

uint64_t vmm_deadline_ns(uint64_t delay_ns)
{
    uint64_t deadline;

    if (__builtin_add_overflow(vmm_now_ns(), delay_ns, &deadline))
        return VMM_NEVER;
    return deadline;
}

/* ---- the heap: no timer is due before its parent, (index - 1) / 2 ------- */

static void place(struct vmm_loop *loop, struct vmm_timer *timer, size_t index)
{
    loop->heap[index] = timer;
    timer->index = index;
}

static void sift_up(struct vmm_loop *loop, struct vmm_timer *timer)
{
    size_t index = timer->index;

    while (index) {
        struct vmm_timer *parent = loop->heap[(index - 1) / 2];

        if (parent->deadline_ns <= timer->deadline_ns)
            break;
        place(loop, parent, index);
        index = (index - 1) / 2;
    }
    place(loop, timer, index);
}

static void sift_down(struct vmm_loop *loop, struct vmm_timer *timer)
{
    size_t index = timer->index;
    size_t child;

    while ((child = 2 * index + 1) < loop->heap_len) {
        if (child + 1 < loop->heap_len &&
            loop->heap[child + 1]->deadline_ns < loop->heap[child]->deadline_ns)
            child++;
        if (timer->deadline_ns <= loop->heap[child]->deadline_ns)
            break;
        place(loop, loop->heap[child], index);
        index = child;
    }
    place(loop, timer, index);
}

static void move(struct vmm_timer *timer, uint64_t deadline_ns)
{
    timer->deadline_ns = deadline_ns;
    sift_up(timer->loop, timer);
    sift_down(timer->loop, timer);
}

/* ---- the timerfd -------------------------------------------------------- */

/* Have timer_fd expire with the first timer.  It is left alone when it would
 * expire earlier: deadlines that keep moving away cost no system call. */
static int arm(struct vmm_loop *loop)
{
    uint64_t first = loop->heap_len ? loop->heap[0]->deadline_ns : VMM_NEVER;
    struct itimerspec when = {
        .it_value = {.tv_sec = (time_t)(first / 1000000000),
                     .tv_nsec = (long)(first % 1000000000)},
    };

    if (first >= loop->armed_ns)
        return 0;
    if (timerfd_settime(loop->timer_fd, TFD_TIMER_ABSTIME, &when, NULL) < 0)
        return -errno;
    loop->armed_ns = first;
    return 0;
}

/* A periodic timer that is late fires once and keeps its phase. */
static void schedule_next(struct vmm_timer *timer, uint64_t now)
{
    uint64_t late = now - timer->deadline_ns;
    uint64_t next = VMM_NEVER;

    if (timer->period_ns)
        next = now + (timer->period_ns - late % timer->period_ns);
    move(timer, next < now ? VMM_NEVER : next);
}

static void fire(struct vmm_loop *loop, struct vmm_timer *timer)
{
    vmm_loop_begin_call(loop, timer);
    timer->fire(timer->context);
    if (vmm_loop_end_call(loop))
        free(timer);
}

int vmm_timers_fire(struct vmm_loop *loop)
{
    uint64_t now = vmm_now_ns();
    uint64_t expirations;
    int calls = 0;

    if (read(loop->timer_fd, &expirations, sizeof(expirations)) < 0)
        return 0; /* set again since epoll reported */
    loop->armed_ns = VMM_NEVER;
    while (loop->heap_len && loop->heap[0]->deadline_ns <= now) {
        struct vmm_timer *timer = loop->heap[0];

        schedule_next(timer, now);
        fire(loop, timer);
        calls++;
    }
    arm(loop);
    return calls;
}

/* ---- timers ------------------------------------------------------------- */

static int add(struct vmm_loop *loop, struct vmm_timer *timer,
               struct vmm_timer **handle)
{
    size_t room = loop->heap_room ? 2 * loop->heap_room : 16;
    struct vmm_timer **heap = loop->heap;

    if (loop->heap_len == loop->heap_room) {
        heap = realloc(heap, room * sizeof(struct vmm_timer *));
        if (!heap)
            return -ENOMEM;
        loop->heap = heap;
        loop->heap_room = room;
    }
    place(loop, timer, loop->heap_len++);
    *handle = timer;
    return 0;
}

int vmm_loop_timer(struct vmm_loop *loop, void (*fire_call)(void *context),
                   void *context, struct vmm_timer **timer,
                   struct vmm_error *err)
{
    struct vmm_timer *new;
    int ret = -ENOMEM;

    vmm_error_clear(err);
    new = calloc(1, sizeof(*new));
    if (new) {
        *new = (struct vmm_timer){.loop = loop,
                                  .deadline_ns = VMM_NEVER,
                                  .fire = fire_call,
                                  .context = context};
        pthread_mutex_lock(&loop->lock);
        ret = add(loop, new, timer);
        pthread_mutex_unlock(&loop->lock);
    }
    if (ret < 0) {
        free(new);
        return vmm_error_set(err, -ret, "no memory for a timer");
    }
    return 0;
}

int vmm_timer_set(struct vmm_timer *timer, uint64_t delay_ns,
                  uint64_t period_ns)
{
    struct vmm_loop *loop = timer->loop;
    int ret = -ENOENT;

    pthread_mutex_lock(&loop->lock);
    if (timer->index != REMOVED) {
        timer->period_ns = period_ns;
        move(timer, vmm_deadline_ns(delay_ns));
        ret = arm(loop);
    }
    pthread_mutex_unlock(&loop->lock);
    return ret;
}

int vmm_timer_cancel(struct vmm_timer *timer)
{
    pthread_mutex_lock(&timer->loop->lock);
    if (timer->index != REMOVED)
        move(timer, VMM_NEVER);
    pthread_mutex_unlock(&timer->loop->lock);
    return 0;
}

void vmm_timer_remove(struct vmm_timer *timer)
{
    struct vmm_loop *loop;
    struct vmm_timer *last;
    bool idle;

    if (!timer)
        return;
    loop = timer->loop;
    pthread_mutex_lock(&loop->lock);
    last = loop->heap[--loop->heap_len];
    if (last != timer) {
        place(loop, last, timer->index);
        move(last, last->deadline_ns);
    }
    timer->index = REMOVED; /* its callback may yet set it */
    idle = vmm_loop_await_call(loop, timer);
    pthread_mutex_unlock(&loop->lock);
    if (idle)
        free(timer);
}
