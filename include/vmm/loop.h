/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* An event loop over epoll: fds, timers, and wake-ups from other threads. */
#ifndef VMM_LOOP_H
#define VMM_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include <vmm/error.h>
#include <vmm/export.h>

struct vmm_loop;

VMM_API int vmm_loop_new(struct vmm_loop **loop, struct vmm_error *err);
/* Every watch and timer is removed.  A running thread is stopped first. */
VMM_API void vmm_loop_free(struct vmm_loop *loop);
/* The epoll fd: readable when vmm_loop_step has something to do. */
VMM_API int vmm_loop_fd(const struct vmm_loop *loop);

/* Handle what is ready; wait up to timeout_ns for the first (0: do not wait,
 * < 0: for ever).  Returns the number of callbacks made, or -errno. */
VMM_API int vmm_loop_step(struct vmm_loop *loop, int64_t timeout_ns);

/* Run the loop on a thread of its own (all signals blocked) / stop and join. */
VMM_API int vmm_loop_start_thread(struct vmm_loop *loop, const char *name,
                                  struct vmm_error *err);
VMM_API void vmm_loop_stop_thread(struct vmm_loop *loop);
VMM_API bool vmm_loop_in_thread(const struct vmm_loop *loop);

/*
 * Watches and timers may be added, changed and removed from any thread.
 * After a remove returns, the callback is not running and will not be called
 * (unless the caller is that callback).
 */
struct vmm_watch;
/* events: EPOLLIN | EPOLLOUT; the callback gets EPOLL* as found. */
VMM_API int vmm_loop_watch(struct vmm_loop *loop, int fd, uint32_t events,
                           void (*ready)(void *context, uint32_t events),
                           void *context, struct vmm_watch **watch,
                           struct vmm_error *err);
VMM_API int vmm_watch_modify(struct vmm_watch *watch, uint32_t events);
VMM_API void vmm_watch_remove(struct vmm_watch *watch);

struct vmm_timer;
VMM_API int vmm_loop_timer(struct vmm_loop *loop, void (*fire)(void *context),
                           void *context, struct vmm_timer **timer,
                           struct vmm_error *err);
/* Fire once delay_ns from now (then every period_ns when not 0). */
VMM_API int vmm_timer_set(struct vmm_timer *timer, uint64_t delay_ns,
                          uint64_t period_ns);
VMM_API int vmm_timer_cancel(struct vmm_timer *timer);
VMM_API void vmm_timer_remove(struct vmm_timer *timer);

/* CLOCK_MONOTONIC in nanoseconds. */
VMM_API uint64_t vmm_now_ns(void);

#endif
