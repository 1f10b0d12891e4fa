/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Tap interfaces of the host: frames with headers, and the kernel's offloads.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <vmm/net.h>

struct tap {
    struct vmm_net net;
    char name[IFNAMSIZ];
    int fd;
    struct vmm_net_events events;
    struct vmm_watch *watch;
    bool comes_and_goes; /* a further queue: attached while it runs */
    uint32_t wanted;     /* what the device waits for: EPOLLIN, EPOLLOUT */
    size_t len;          /* of the frame that was read and not taken, or 0 */
    uint8_t frame[VMM_NET_HEADER_BYTES + VMM_NET_FRAME_MAX];
};

static struct tap *tap_of(const struct vmm_net *net)
{
    return (struct tap *)(uintptr_t)net;
}

/* ---- events ---------------------------------------------------------------
 */

/* Frames: whenever more of them have come, without a system call to ask for it.
 * Room is asked for when it is lacking, for there is news of it all the time.
 */
static int watch(struct tap *tap)
{
    return vmm_watch_modify(tap->watch,
                            EPOLLIN | EPOLLET | (tap->wanted & EPOLLOUT));
}

static void want(struct tap *tap, uint32_t event)
{
    tap->wanted |= event;
    watch(tap);
}

/* Each is told once. */
static void on_ready(void *context, uint32_t found)
{
    struct tap *tap = context;
    /* An interface that was deleted is an error of reads and of writes. */
    uint32_t ready = found & (EPOLLERR | EPOLLHUP) ? EPOLLIN | EPOLLOUT : found;

    ready &= tap->wanted;
    tap->wanted &= ~ready;
    watch(tap);
    if (ready & EPOLLIN)
        tap->events.frames(tap->events.context);
    if (ready & EPOLLOUT)
        tap->events.room(tap->events.context);
}

/* ---- frames ---------------------------------------------------------------
 */

static int tap_send(struct vmm_net *net, const struct iovec *frame, int count)
{
    struct tap *tap = tap_of(net);
    ssize_t written;

    do
        written = writev(tap->fd, frame, count);
    while (written < 0 && errno == EINTR);
    if (written >= 0 || errno != EAGAIN)
        return 0; /* an interface that is down drops, as a cable does */
    want(tap, EPOLLOUT);
    return -EAGAIN;
}

static size_t tap_peek(struct vmm_net *net, const uint8_t **frame)
{
    struct tap *tap = tap_of(net);

    *frame = tap->frame;
    if (tap->len)
        return tap->len;
    ssize_t got;
    do
        got = read(tap->fd, tap->frame, sizeof(tap->frame));
    while (got < 0 && errno == EINTR);
    if (got > VMM_NET_HEADER_BYTES)
        return tap->len = (size_t)got;
    if (got >= 0 || errno != EBADFD) /* it is gone */
        want(tap, EPOLLIN);
    return 0;
}

static void tap_take(struct vmm_net *net)
{
    tap_of(net)->len = 0;
}

/* ---- life -----------------------------------------------------------------
 */

static int tap_open(struct vmm_net *net, struct vmm_loop *loop,
                    const struct vmm_net_events *events, struct vmm_error *err)
{
    struct tap *tap = tap_of(net);

    tap->events = *events;
    return vmm_loop_watch(loop, tap->fd, EPOLLIN | EPOLLET, on_ready, tap,
                          &tap->watch, err);
}

/* The kernel spreads frames over the queues that are attached. */
static int attach_queue(struct tap *tap, bool on)
{
    struct ifreq request = {.ifr_flags =
                                on ? IFF_ATTACH_QUEUE : IFF_DETACH_QUEUE};

    if (!tap->comes_and_goes)
        return 0;
    return ioctl(tap->fd, TUNSETQUEUE, &request) ? -errno : 0;
}

static int tap_start(struct vmm_net *net, unsigned offloads)
{
    unsigned flags = 0;
    int rc = attach_queue(tap_of(net), true);

    if (rc)
        return rc;

    if (offloads & VMM_NET_CSUM) {
        flags |= TUN_F_CSUM;
        flags |= offloads & VMM_NET_TSO4 ? TUN_F_TSO4 : 0;
        flags |= offloads & VMM_NET_TSO6 ? TUN_F_TSO6 : 0;
        if (offloads & VMM_NET_ECN && offloads & (VMM_NET_TSO4 | VMM_NET_TSO6))
            flags |= TUN_F_TSO_ECN;
    }
    return ioctl(tap_of(net)->fd, TUNSETOFFLOAD, flags) ? -errno : 0;
}

static void tap_stop(struct vmm_net *net)
{
    struct tap *tap = tap_of(net);

    tap_take(net);
    attach_queue(tap, false);
}

static void tap_close(struct vmm_net *net)
{
    vmm_watch_remove(tap_of(net)->watch);
}

static void tap_destroy(struct vmm_net *net)
{
    close(tap_of(net)->fd);
    free(tap_of(net));
}

static const struct vmm_net_ops tap_ops = {
    .name = "tap",
    .open = tap_open,
    .start = tap_start,
    .stop = tap_stop,
    .send = tap_send,
    .peek = tap_peek,
    .take = tap_take,
    .close = tap_close,
    .destroy = tap_destroy,
};

static int attach(struct tap *tap, const char *name, bool one_of_many,
                  struct vmm_error *err)
{
    struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR};
    int header_bytes = VMM_NET_HEADER_BYTES;

    if (one_of_many)
        request.ifr_flags |= IFF_MULTI_QUEUE;
    memcpy(request.ifr_name, name, strlen(name)); /* shorter, as checked */
    if (ioctl(tap->fd, TUNSETIFF, &request)) {
        if (errno == EINVAL)
            return vmm_error_set(
                err, EINVAL, "tap %s: it is there, and %s", name,
                one_of_many ? "has one queue" : "is no tap of one queue");
        return vmm_error_errno(err, "tap %s", name);
    }
    memcpy(tap->name, request.ifr_name, IFNAMSIZ);
    if (ioctl(tap->fd, TUNSETVNETHDRSZ, &header_bytes) ||
        ioctl(tap->fd, TUNSETOFFLOAD, 0))
        return vmm_error_errno(err, "tap %s: headers", name);
    return 0;
}

/* The number-th queue of several, or the only one. */
static int queue_new(const char *name, unsigned number, bool one_of_many,
                     struct vmm_net **net, struct vmm_error *err)
{
    struct tap *tap = calloc(1, sizeof(*tap));

    if (!tap)
        return vmm_error_set(err, ENOMEM, "tap %s: out of memory", name);
    tap->net = (struct vmm_net){.ops = &tap_ops, .header = true};
    tap->fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    int rc = tap->fd < 0 ? vmm_error_errno(err, "tap %s: /dev/net/tun", name)
                         : attach(tap, name, one_of_many, err);
    tap->comes_and_goes = number > 0;
    if (rc == 0 && attach_queue(tap, false))
        rc = vmm_error_errno(err, "tap %s: queue %u", name, number);
    if (rc) {
        if (tap->fd >= 0)
            close(tap->fd);
        free(tap);
        return rc;
    }
    *net = &tap->net;
    return 0;
}

int vmm_net_tap_new(const char *name, unsigned queues, struct vmm_net **nets,
                    struct vmm_error *err)
{
    int rc = 0;

    vmm_error_clear(err);
    for (unsigned i = 0; i < queues; i++)
        nets[i] = NULL;
    if (name[0] == '\0' || strlen(name) >= IFNAMSIZ)
        return vmm_error_set(err, EINVAL,
                             "tap %s: a name has 1 to %d characters", name,
                             IFNAMSIZ - 1);
    if (queues < 1 || queues > VMM_NET_PAIRS_MAX)
        return vmm_error_set(err, EINVAL, "tap %s: %u queues, not 1 to %d",
                             name, queues, VMM_NET_PAIRS_MAX);
    for (unsigned i = 0; i < queues && rc == 0; i++)
        /* "%d" is a number by now. */
        rc = queue_new(i ? tap_of(nets[0])->name : name, i, queues > 1,
                       &nets[i], err);
    for (unsigned i = 0; i < queues && rc; i++) {
        vmm_net_free(nets[i]);
        nets[i] = NULL;
    }
    return rc;
}

const char *vmm_net_tap_name(const struct vmm_net *net)
{
    return net->ops == &tap_ops ? tap_of(net)->name : NULL;
}
