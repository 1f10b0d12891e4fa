/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* The inside of a loop, shared by its watches and timers. */
#ifndef EVENT_LOOP_H
#define EVENT_LOOP_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vmm/loop.h>

#define VMM_NEVER UINT64_MAX

struct vmm_loop {
    int epoll_fd;
    int timer_fd; /* expires with the first timer of the heap, or earlier */
    pthread_mutex_t lock; /* guards all below; never held in a callback */

    bool stepping;
    pthread_t stepper; /* valid while stepping */
    bool threaded;
    bool stop;
    pthread_t thread;
    struct vmm_wakeup *stop_wakeup;
    int failed; /* -errno: what ended the thread */
    void (*on_error)(void *context, const struct vmm_error *err);
    void *on_error_context;

    const void *calling;      /* the source whose callback runs */
    bool caller_removed;      /* it removed itself: freed when it returns */
    pthread_cond_t call_done; /* a callback has returned */

    /* Watches by fd.  An epoll event carries the fd and the watch's serial
     * number, so that an event fetched before a removal finds nothing. */
    struct vmm_watch **watches;
    size_t watches_len;
    uint32_t last_serial;

    /* Every timer, the first to fire first; unset ones are due never. */
    struct vmm_timer **heap;
    size_t heap_len;
    size_t heap_room;
    uint64_t armed_ns; /* what timer_fd is set to */
};

/* Bracket a callback: the lock is dropped in between.  _end_call returns true
 * when the source removed itself meanwhile: the caller frees it. */
void vmm_loop_begin_call(struct vmm_loop *loop, const void *source);
bool vmm_loop_end_call(struct vmm_loop *loop);
/* With the lock, after the source was unlinked: wait until its callback does
 * not run.  Returns false when the caller is that callback: do not free. */
bool vmm_loop_await_call(struct vmm_loop *loop, const void *source);

/* With the lock: make the callback an epoll event is for.  Returns the number
 * of callbacks made. */
int vmm_watch_dispatch(struct vmm_loop *loop, uint64_t id, uint32_t events);
void vmm_watch_free(struct vmm_watch *watch);
/* A watch that calls finish when it is freed, however that comes about. */
int vmm_loop_watch_owned(struct vmm_loop *loop, int fd, uint32_t events,
                         void (*ready)(void *context, uint32_t events),
                         void (*finish)(void *context), void *context,
                         struct vmm_watch **watch, struct vmm_error *err);

/* With the lock: fire what is due.  Returns the number of callbacks made. */
int vmm_timers_fire(struct vmm_loop *loop);

/* now + delay, or VMM_NEVER when that is too far. */
uint64_t vmm_deadline_ns(uint64_t delay_ns);

#endif
