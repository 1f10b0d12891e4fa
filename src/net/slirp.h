/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* User-mode networking: its state, shared by what feeds libslirp and what
 * waits for its sockets. */
#ifndef NET_SLIRP_H
#define NET_SLIRP_H

#include <poll.h>
#include <pthread.h>

#include <vmm/net.h>

#include "net/frames.h"
#include "net/slirp_library.h"

#define SLIRP_TIMERS 4
/* A guest has so many sockets at a time. */
#define SLIRP_SOCKETS_MAX 400u

struct slirp_timer {
    SlirpTimerCb fire; /* NULL: it is free */
    void *opaque;
    int64_t at_ms; /* INT64_MAX: not set */
};

struct slirp_sockets {
    struct pollfd *list;
    unsigned count, room;
};

struct slirp_fd {
    short events;  /* that the epoll waits for; 0: none */
    unsigned turn; /* the last one that wanted it */
    bool counted;  /* in opened */
};

struct slirp {
    struct vmm_net net;
    struct slirp_library library;
    SlirpCb callbacks; /* libslirp has no copy */
    struct vmm_net_events events;

    pthread_mutex_t lock; /* all that follows, and every call of libslirp */
    Slirp *stack;
    bool open, running;
    bool wants_frames;
    struct frames frames; /* for the guest */
    uint8_t input[VMM_NET_FRAME_MAX];
    unsigned opened; /* sockets of the guest's */

    /* The sockets of libslirp are watched by an epoll of their own, and that
     * by the loop: so they come and go with the lock held. */
    int epoll;
    struct vmm_watch *watch;
    struct vmm_timer *timer;
    bool resting;                /* the guest has enough frames: sockets wait */
    struct slirp_sockets wanted; /* what libslirp waits for */
    struct slirp_sockets former; /* what it waited for before */
    struct slirp_fd *fds;        /* by number: what the epoll has */
    unsigned fd_count;
    unsigned turn; /* of updates */
    struct slirp_timer timers[SLIRP_TIMERS];
};

/* slirp_sockets.c.  Lock held, but for open and close. */
int slirp_sockets_init(struct slirp *slirp, struct vmm_error *err);
int slirp_sockets_open(struct slirp *slirp, struct vmm_loop *loop,
                       struct vmm_error *err);
void slirp_sockets_close(struct slirp *slirp);
void slirp_sockets_fini(struct slirp *slirp);
/* libslirp did something: wait for what it waits for now. */
void slirp_sockets_update(struct slirp *slirp);
/* The callbacks of libslirp about sockets and time. */
void slirp_sockets_callbacks(SlirpCb *callbacks);

#endif
