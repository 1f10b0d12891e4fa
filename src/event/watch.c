/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Watches on fds, and the wake-up that other threads send through one. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "event/loop.h"

struct vmm_watch {
    struct vmm_loop *loop;
    int fd;
    uint32_t serial;
    uint32_t events; /* 0: paused, not in the epoll set */
    bool always;     /* a regular file: epoll refuses it, it is always ready */
    int poll_fd;     /* what epoll watches: fd, or a set eventfd if always */
    void (*ready)(void *context, uint32_t events);
    void (*finish)(void *context);
    void *context;
};

/* ---- the epoll set ------------------------------------------------------ */

static int control(struct vmm_watch *watch, int operation, uint32_t events)
{
    struct epoll_event event = {
        .events = watch->always ? EPOLLIN : events,
        .data.u64 = (uint64_t)watch->serial << 32 | (uint32_t)watch->fd,
    };

    if (epoll_ctl(watch->loop->epoll_fd, operation, watch->poll_fd, &event) < 0)
        return -errno;
    return 0;
}

/* Whether there is anything epoll should report. */
static bool wanted(const struct vmm_watch *watch, uint32_t events)
{
    return watch->always ? events & (EPOLLIN | EPOLLOUT) : events != 0;
}

/* Epoll reports EPOLLHUP and EPOLLERR even when no event is asked for, so
 * that a paused watch has to leave the set. */
static int set_events(struct vmm_watch *watch, uint32_t events)
{
    bool in = wanted(watch, watch->events);
    int ret = 0;

    if (events == watch->events)
        return 0;
    if (wanted(watch, events))
        ret = control(watch, in ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, events);
    else if (in)
        ret = control(watch, EPOLL_CTL_DEL, 0);
    if (ret == 0)
        watch->events = events;
    return ret;
}

/* Stand in for an fd that epoll refuses. */
static int set_always(struct vmm_watch *watch)
{
    watch->poll_fd = eventfd(1, EFD_CLOEXEC);
    if (watch->poll_fd < 0)
        return -errno;
    watch->always = true;
    return 0;
}

/* Entering the set tells whether epoll takes the fd, so a paused watch has to
 * enter it once too. */
static int enter(struct vmm_watch *watch, uint32_t events)
{
    int ret = set_events(watch, events ? events : EPOLLIN);

    if (ret == -EPERM) {
        ret = set_always(watch);
        if (ret == 0)
            ret = set_events(watch, events);
    } else if (ret == 0 && !events) {
        ret = set_events(watch, 0);
    }
    return ret;
}

/* ---- the table ---------------------------------------------------------- */

static int make_room(struct vmm_loop *loop, int fd)
{
    size_t len = loop->watches_len ? loop->watches_len : 32;
    struct vmm_watch **watches;

    if ((size_t)fd < loop->watches_len)
        return 0;
    while (len <= (size_t)fd)
        len *= 2;
    watches = realloc(loop->watches, len * sizeof(struct vmm_watch *));
    if (!watches)
        return -ENOMEM;
    memset(watches + loop->watches_len, 0,
           (len - loop->watches_len) * sizeof(struct vmm_watch *));
    loop->watches = watches;
    loop->watches_len = len;
    return 0;
}

/* With the lock.  handle is set before the first callback can come. */
static int add(struct vmm_loop *loop, struct vmm_watch *watch, uint32_t events,
               struct vmm_watch **handle)
{
    int ret = make_room(loop, watch->fd);

    if (ret < 0)
        return ret;
    if (loop->watches[watch->fd])
        return -EEXIST;
    watch->serial = ++loop->last_serial;
    ret = enter(watch, events);
    if (ret < 0)
        return ret;
    loop->watches[watch->fd] = watch;
    *handle = watch;
    return 0;
}

int vmm_loop_watch_owned(struct vmm_loop *loop, int fd, uint32_t events,
                         void (*ready)(void *context, uint32_t events),
                         void (*finish)(void *context), void *context,
                         struct vmm_watch **watch, struct vmm_error *err)
{
    struct vmm_watch *new;
    int ret;

    vmm_error_clear(err);
    if (fd < 0)
        return vmm_error_set(err, EBADF, "cannot watch fd %d", fd);
    new = calloc(1, sizeof(*new));
    if (!new)
        return vmm_error_set(err, ENOMEM, "no memory to watch fd %d", fd);
    *new = (struct vmm_watch){.loop = loop,
                              .fd = fd,
                              .poll_fd = fd,
                              .ready = ready,
                              .context = context};
    pthread_mutex_lock(&loop->lock);
    ret = add(loop, new, events, watch);
    if (ret == 0)
        new->finish = finish;
    pthread_mutex_unlock(&loop->lock);
    if (ret < 0) {
        vmm_watch_free(new);
        return vmm_error_set(err, -ret, "cannot watch fd %d: %s", fd,
                             ret == -EEXIST ? "it is watched already"
                                            : strerror(-ret));
    }
    return 0;
}

int vmm_loop_watch(struct vmm_loop *loop, int fd, uint32_t events,
                   void (*ready)(void *context, uint32_t events), void *context,
                   struct vmm_watch **watch, struct vmm_error *err)
{
    return vmm_loop_watch_owned(loop, fd, events, ready, NULL, context, watch,
                                err);
}

int vmm_watch_modify(struct vmm_watch *watch, uint32_t events)
{
    struct vmm_loop *loop = watch->loop;
    int ret = -ENOENT; /* its callback, after it was removed */

    pthread_mutex_lock(&loop->lock);
    if (loop->watches[watch->fd] == watch)
        ret = set_events(watch, events);
    pthread_mutex_unlock(&loop->lock);
    return ret;
}

void vmm_watch_free(struct vmm_watch *watch)
{
    if (watch->always)
        close(watch->poll_fd);
    if (watch->finish)
        watch->finish(watch->context);
    free(watch);
}

void vmm_watch_remove(struct vmm_watch *watch)
{
    struct vmm_loop *loop;
    bool idle;

    if (!watch)
        return;
    loop = watch->loop;
    pthread_mutex_lock(&loop->lock);
    /* Its fd may have been closed, and be another's by now. */
    if (loop->watches[watch->fd] == watch) {
        set_events(watch, 0);
        loop->watches[watch->fd] = NULL;
    }
    idle = vmm_loop_await_call(loop, watch);
    pthread_mutex_unlock(&loop->lock);
    if (idle)
        vmm_watch_free(watch);
}

int vmm_watch_dispatch(struct vmm_loop *loop, uint64_t id, uint32_t events)
{
    struct vmm_watch *watch = loop->watches[(uint32_t)id];

    if (!watch || watch->serial != id >> 32)
        return 0;
    if (watch->always)
        events = EPOLLIN | EPOLLOUT;
    /* It may have been modified since epoll reported. */
    events &= watch->events ? watch->events | EPOLLERR | EPOLLHUP : 0;
    if (!events)
        return 0;

    vmm_loop_begin_call(loop, watch);
    watch->ready(watch->context, events);
    if (vmm_loop_end_call(loop)) {
        pthread_mutex_unlock(&loop->lock);
        vmm_watch_free(watch);
        pthread_mutex_lock(&loop->lock);
    }
    return 1;
}

/* ---- wake-ups ----------------------------------------------------------- */

struct vmm_wakeup {
    int fd;
    struct vmm_watch *watch;
    void (*woken)(void *context);
    void *context;
};

static void wakeup_ready(void *context, uint32_t events)
{
    struct vmm_wakeup *wakeup = context;
    eventfd_t signals;

    (void)events;
    if (eventfd_read(wakeup->fd, &signals) == 0)
        wakeup->woken(wakeup->context);
}

static void wakeup_finish(void *context)
{
    struct vmm_wakeup *wakeup = context;

    close(wakeup->fd);
    free(wakeup);
}

int vmm_loop_wakeup(struct vmm_loop *loop, void (*woken)(void *context),
                    void *context, struct vmm_wakeup **wakeup,
                    struct vmm_error *err)
{
    struct vmm_wakeup *new;
    int ret;

    vmm_error_clear(err);
    new = calloc(1, sizeof(*new));
    if (!new)
        return vmm_error_set(err, ENOMEM, "no memory for a wake-up");
    new->woken = woken;
    new->context = context;
    new->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (new->fd < 0) {
        ret = vmm_error_errno(err, "cannot create an event fd");
        free(new);
        return ret;
    }
    ret = vmm_loop_watch_owned(loop, new->fd, EPOLLIN, wakeup_ready,
                               wakeup_finish, new, &new->watch, err);
    if (ret < 0) {
        wakeup_finish(new);
        return ret;
    }
    *wakeup = new;
    return 0;
}

void vmm_wakeup_signal(struct vmm_wakeup *wakeup)
{
    eventfd_write(wakeup->fd, 1);
}

void vmm_wakeup_remove(struct vmm_wakeup *wakeup)
{
    if (wakeup)
        vmm_watch_remove(wakeup->watch);
}
