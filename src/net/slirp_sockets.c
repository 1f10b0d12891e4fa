/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* The sockets and timers of libslirp, waited for on the VM's loop. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/arith.h"
#include "net/slirp.h"

#define NS_PER_MS UINT64_C(1000000)
#define IDLE_MS   UINT32_MAX /* libslirp waits for nothing */

/* ---- what libslirp waits for ----------------------------------------------
 */

/* One more socket; NULL: out of memory. */
static struct pollfd *append(struct slirp_sockets *sockets)
{
    if (sockets->count == sockets->room) {
        unsigned room = sockets->room ? 2 * sockets->room : 16;
        void *list = realloc(sockets->list, room * sizeof(*sockets->list));

        if (!list)
            return NULL;
        sockets->list = list;
        sockets->room = room;
    }
    return &sockets->list[sockets->count++];
}

static short to_poll(int events)
{
    return (short)((events & SLIRP_POLL_IN ? POLLIN : 0) |
                   (events & SLIRP_POLL_OUT ? POLLOUT : 0) |
                   (events & SLIRP_POLL_PRI ? POLLPRI : 0));
}

static int from_poll(short events)
{
    return (events & POLLIN ? SLIRP_POLL_IN : 0) |
           (events & POLLOUT ? SLIRP_POLL_OUT : 0) |
           (events & POLLPRI ? SLIRP_POLL_PRI : 0) |
           (events & POLLERR ? SLIRP_POLL_ERR : 0) |
           (events & POLLHUP ? SLIRP_POLL_HUP : 0);
}

static int add_socket(int fd, int events, void *context)
{
    struct slirp *slirp = context;
    struct pollfd *socket = append(&slirp->wanted);

    if (!socket)
        return -1;
    *socket = (struct pollfd){.fd = fd, .events = to_poll(events)};
    return (int)(slirp->wanted.count - 1);
}

static int found_events(int index, void *context)
{
    struct slirp *slirp = context;

    if (index < 0 || (unsigned)index >= slirp->wanted.count)
        return 0;
    return from_poll(slirp->wanted.list[index].revents);
}

/* Ask libslirp what it waits for; returns for how long. */
static uint32_t fill(struct slirp *slirp)
{
    uint32_t timeout_ms = IDLE_MS;

    slirp->wanted.count = 0;
    slirp->library.fill(slirp->stack, &timeout_ms, add_socket, slirp);
    return timeout_ms;
}

/* ---- the epoll ------------------------------------------------------------
 */

/* What is known of an fd; NULL: out of memory. */
static struct slirp_fd *known(struct slirp *slirp, int fd)
{
    unsigned number = (unsigned)fd;

    if (number >= slirp->fd_count) {
        unsigned count = 2 * number + 16;
        struct slirp_fd *fds = realloc(slirp->fds, count * sizeof(*fds));

        if (!fds)
            return NULL;
        memset(fds + slirp->fd_count, 0,
               (count - slirp->fd_count) * sizeof(*fds));
        slirp->fds = fds;
        slirp->fd_count = count;
    }
    return &slirp->fds[number];
}

/* EPOLLIN and its like are POLLIN and its like. */
static void watch_socket(struct slirp *slirp, const struct pollfd *socket)
{
    struct epoll_event event = {.events = (uint32_t)socket->events};
    struct slirp_fd *fd = known(slirp, socket->fd);

    if (!fd)
        return;
    fd->turn = slirp->turn;
    if (fd->events != socket->events &&
        epoll_ctl(slirp->epoll, fd->events ? EPOLL_CTL_MOD : EPOLL_CTL_ADD,
                  socket->fd, &event) == 0)
        fd->events = socket->events;
}

static void forget(struct slirp *slirp, int number)
{
    struct slirp_fd *fd = known(slirp, number);

    if (!fd || !fd->events)
        return;
    epoll_ctl(slirp->epoll, EPOLL_CTL_DEL, number, NULL);
    fd->events = 0;
}

/* libslirp has opened a socket for the guest; the next update watches it. */
static void on_new(int number, void *context)
{
    struct slirp *slirp = context;
    struct slirp_fd *fd = known(slirp, number);

    if (!fd || fd->counted)
        return;
    fd->counted = true;
    slirp->opened++;
}

/* Before libslirp closes one, which it may have opened for a forward. */
static void on_closing(int number, void *context)
{
    struct slirp *slirp = context;
    struct slirp_fd *fd = known(slirp, number);

    forget(slirp, number);
    if (!fd || !fd->counted)
        return;
    fd->counted = false;
    slirp->opened--;
}

/* ---- time -----------------------------------------------------------------
 */

static int64_t now_ms(void)
{
    return (int64_t)(vmm_now_ns() / NS_PER_MS);
}

static int64_t clock_ns(void *context)
{
    (void)context;
    return (int64_t)vmm_now_ns();
}

static void *timer_new(SlirpTimerCb fire, void *opaque, void *context)
{
    struct slirp *slirp = context;

    for (unsigned i = 0; i < SLIRP_TIMERS; i++)
        if (!slirp->timers[i].fire) {
            slirp->timers[i] = (struct slirp_timer){fire, opaque, INT64_MAX};
            return &slirp->timers[i];
        }
    return NULL;
}

static void timer_free(void *timer, void *context)
{
    (void)context;
    if (timer)
        ((struct slirp_timer *)timer)->fire = NULL;
}

static void timer_set(void *timer, int64_t at_ms, void *context)
{
    (void)context;
    if (timer)
        ((struct slirp_timer *)timer)->at_ms = at_ms;
}

static void fire_timers(struct slirp *slirp)
{
    int64_t now = now_ms();

    for (unsigned i = 0; i < SLIRP_TIMERS; i++) {
        struct slirp_timer *timer = &slirp->timers[i];

        if (timer->fire && timer->at_ms <= now) {
            timer->at_ms = INT64_MAX;
            timer->fire(timer->opaque);
        }
    }
}

/* libslirp wants to be called after timeout_ms, or for a timer before. */
static void set_timer(struct slirp *slirp, uint32_t timeout_ms)
{
    uint64_t wait = timeout_ms;
    int64_t now = now_ms();

    for (unsigned i = 0; i < SLIRP_TIMERS; i++) {
        const struct slirp_timer *timer = &slirp->timers[i];

        if (timer->fire && timer->at_ms != INT64_MAX)
            wait = min_u64(
                wait, timer->at_ms > now ? (uint64_t)(timer->at_ms - now) : 0);
    }
    if (wait == IDLE_MS)
        vmm_timer_cancel(slirp->timer);
    else
        vmm_timer_set(slirp->timer, (wait ? wait : 1) * NS_PER_MS, 0);
}

/* ---- turns ----------------------------------------------------------------
 */

void slirp_sockets_update(struct slirp *slirp)
{
    if (!slirp->open)
        return;
    struct slirp_sockets former = slirp->former;
    slirp->former = slirp->wanted;
    slirp->wanted = former;
    uint32_t timeout_ms = fill(slirp);
    slirp->turn++;
    for (unsigned i = 0; i < slirp->wanted.count; i++)
        watch_socket(slirp, &slirp->wanted.list[i]);
    for (unsigned i = 0; i < slirp->former.count; i++) {
        int fd = slirp->former.list[i].fd;

        if (known(slirp, fd) && known(slirp, fd)->turn != slirp->turn)
            forget(slirp, fd);
    }
    set_timer(slirp, timeout_ms);
}

static void turn(struct slirp *slirp)
{
    pthread_mutex_lock(&slirp->lock);
    if (slirp->open) {
        fire_timers(slirp);
        /* A guest that takes no frames gets none: its peers wait. */
        if (slirp->resting ||
            poll(slirp->wanted.list, slirp->wanted.count, 0) < 0)
            for (unsigned i = 0; i < slirp->wanted.count; i++)
                slirp->wanted.list[i].revents = 0;
        slirp->library.poll(slirp->stack, 0, found_events, slirp);
        slirp_sockets_update(slirp);
    }
    pthread_mutex_unlock(&slirp->lock);
}

static void on_ready(void *context, uint32_t events)
{
    (void)events;
    turn(context);
}

static void on_time(void *context)
{
    turn(context);
}

/* More may be read: on some thread, lock held, in a call of ours; what made
 * that updates. */
static void on_notify(void *context)
{
    (void)context;
}

void slirp_sockets_callbacks(SlirpCb *callbacks)
{
    callbacks->clock_get_ns = clock_ns;
    callbacks->timer_new = timer_new;
    callbacks->timer_free = timer_free;
    callbacks->timer_mod = timer_set;
    callbacks->register_poll_fd = on_new;
    callbacks->unregister_poll_fd = on_closing;
    callbacks->notify = on_notify;
}

/* ---- life -----------------------------------------------------------------
 */

int slirp_sockets_init(struct slirp *slirp, struct vmm_error *err)
{
    slirp->epoll = epoll_create1(EPOLL_CLOEXEC);
    return slirp->epoll < 0 ? vmm_error_errno(err, "user network: epoll") : 0;
}

int slirp_sockets_open(struct slirp *slirp, struct vmm_loop *loop,
                       struct vmm_error *err)
{
    int rc = vmm_loop_timer(loop, on_time, slirp, &slirp->timer, err);

    if (rc == 0)
        rc = vmm_loop_watch(loop, slirp->epoll, EPOLLIN, on_ready, slirp,
                            &slirp->watch, err);
    if (rc) {
        vmm_timer_remove(slirp->timer);
        slirp->timer = NULL;
    }
    return rc;
}

void slirp_sockets_close(struct slirp *slirp)
{
    vmm_watch_remove(slirp->watch);
    vmm_timer_remove(slirp->timer);
    slirp->watch = NULL;
    slirp->timer = NULL;
}

void slirp_sockets_fini(struct slirp *slirp)
{
    if (slirp->epoll >= 0)
        close(slirp->epoll);
    free(slirp->wanted.list);
    free(slirp->former.list);
    free(slirp->fds);
}
