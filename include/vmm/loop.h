/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* An event loop over epoll: fds, timers, child processes, and wake-ups from
 * other threads. */
#ifndef VMM_LOOP_H
#define VMM_LOOP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <vmm/error.h>
#include <vmm/export.h>

struct vmm_loop;

VMM_API int vmm_loop_new(struct vmm_loop **loop, struct vmm_error *err);
/* Whatever watch, timer, wake-up or child is left is removed (the handles die
 * with it).  A running thread is stopped first.  Not from one of its callbacks.
 */
VMM_API void vmm_loop_free(struct vmm_loop *loop);
/* The epoll fd: readable when vmm_loop_step has something to do, so that
 * another loop can host this one. */
VMM_API int vmm_loop_fd(const struct vmm_loop *loop);

/*
 * Handle what is ready; wait up to timeout_ns for the first (0: do not wait,
 * < 0: for ever).  Returns the number of callbacks made, 0 after the timeout,
 * or -errno: -EINTR when a signal cut the wait short, -EBUSY when the loop is
 * being stepped already (from one of its callbacks, or by its own thread), or
 * what has ended that thread.
 */
VMM_API int vmm_loop_step(struct vmm_loop *loop, int64_t timeout_ns);

/*
 * Run the loop on a thread of its own (all signals blocked) / stop and join.
 * Stopped from one of its own callbacks, the thread ends after that callback
 * and is joined by the next stop or free.
 * _in_thread: the caller is that thread, or is inside vmm_loop_step.
 */
VMM_API int vmm_loop_start_thread(struct vmm_loop *loop, const char *name,
                                  struct vmm_error *err);
VMM_API void vmm_loop_stop_thread(struct vmm_loop *loop);
VMM_API bool vmm_loop_in_thread(struct vmm_loop *loop);
/*
 * The loop's own thread goes on after -EINTR.  Any other error of a step would
 * come again, so it ends the thread: on_error is called, on that thread, as the
 * last thing it does; it may not free the loop.  To be set before the thread is
 * started; without it, the loop just falls silent.
 */
VMM_API void vmm_loop_on_error(struct vmm_loop *loop,
                               void (*on_error)(void *context,
                                                const struct vmm_error *err),
                               void *context);

/*
 * Watches, timers, wake-ups and children may be added, changed and removed from
 * any thread, also in callbacks.  After a remove returns, the callback is not
 * running and will not be called (unless the caller is that callback): so do
 * not hold a lock across a remove that the callback waits for.
 * A handle is stored before its first callback can come.  A callback may use
 * its own handle until it returns, even where it, or another thread meanwhile,
 * removed it: to set or modify it then does nothing but return -ENOENT, to
 * cancel it nothing at all.
 */

/*
 * Call ready when fd is.  events: EPOLLIN, EPOLLOUT, ...; 0 pauses the watch:
 * not even EPOLLHUP and EPOLLERR, otherwise always included, are reported.
 * The callback gets EPOLL* as found, as long as they hold.  A file that epoll
 * refuses (a regular file, /dev/null) counts as ready at all times.  An fd can
 * be watched once per loop (-EEXIST); remove the watch before closing the fd.
 */
struct vmm_watch;
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
/* Fire once delay_ns from now (then every period_ns when not 0; periods
 * missed are not made up for).  A timer set already is set anew. */
VMM_API int vmm_timer_set(struct vmm_timer *timer, uint64_t delay_ns,
                          uint64_t period_ns);
VMM_API int vmm_timer_cancel(struct vmm_timer *timer);
VMM_API void vmm_timer_remove(struct vmm_timer *timer);

/*
 * A wake-up: woken is called on the loop's thread after a signal from any
 * thread (or a signal handler).  Signals before that call are one.
 */
struct vmm_wakeup;
VMM_API int vmm_loop_wakeup(struct vmm_loop *loop, void (*woken)(void *context),
                            void *context, struct vmm_wakeup **wakeup,
                            struct vmm_error *err);
VMM_API void vmm_wakeup_signal(struct vmm_wakeup *wakeup);
VMM_API void vmm_wakeup_remove(struct vmm_wakeup *wakeup);

/*
 * A child process of this one: on_exit is called once, after the child has
 * ended and been reaped.  exit_code: 0 to 255, or -1 when a signal ended it,
 * then signal is its number, else 0; -1 and 0: somebody else has reaped it.
 * -ECHILD when pid is not a child.  Removing the handle leaves a child that
 * still runs alone, to be waited for by the caller.
 */
struct vmm_child;
VMM_API int
vmm_loop_child(struct vmm_loop *loop, pid_t pid,
               void (*on_exit)(void *context, int exit_code, int signal),
               void *context, struct vmm_child **child, struct vmm_error *err);
/* Send a signal; -ESRCH once the child has ended and been reaped. */
VMM_API int vmm_child_kill(struct vmm_child *child, int signal);
VMM_API void vmm_child_remove(struct vmm_child *child);

/* CLOCK_MONOTONIC in nanoseconds. */
VMM_API uint64_t vmm_now_ns(void);

#endif
