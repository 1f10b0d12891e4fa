/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* User-mode networking by libslirp: frames in and out, addresses, forwards. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "net/slirp.h"

/* From here on no socket is read for the guest, down to half of it. */
#define ENOUGH_BYTES (FRAMES_BYTES / 2)

#define ETHER_BYTES 14
#define TCP_SYN     0x02
#define TCP_ACK     0x10

static struct slirp *slirp_of(struct vmm_net *net)
{
    return (struct slirp *)net;
}

/* ---- frames for the guest -------------------------------------------------
 */

/* The sockets rest, or are watched again.  Lock held. */
static void rest(struct slirp *slirp, bool resting)
{
    if (slirp->resting == resting || !slirp->open)
        return;
    slirp->resting = resting;
    vmm_watch_modify(slirp->watch, resting ? 0 : EPOLLIN);
}

/* libslirp sends; lock held.  What does not fit is lost: TCP sends it again. */
static ssize_t on_frame(const void *bytes, size_t len, void *context)
{
    struct slirp *slirp = context;
    const struct iovec frame = {.iov_base = (void *)(uintptr_t)bytes,
                                .iov_len = len};

    if (!slirp->running)
        return (ssize_t)len;
    if (frames_put(&slirp->frames, &frame, 1) && slirp->wants_frames) {
        slirp->wants_frames = false;
        slirp->events.frames(slirp->events.context);
    }
    if (slirp->frames.used >= ENOUGH_BYTES)
        rest(slirp, true);
    return (ssize_t)len;
}

static size_t user_peek(struct vmm_net *net, const uint8_t **frame)
{
    struct slirp *slirp = slirp_of(net);

    pthread_mutex_lock(&slirp->lock);
    size_t len = frames_peek(&slirp->frames, frame);
    if (!len)
        slirp->wants_frames = true;
    pthread_mutex_unlock(&slirp->lock);
    return len;
}

static void user_take(struct vmm_net *net)
{
    struct slirp *slirp = slirp_of(net);

    pthread_mutex_lock(&slirp->lock);
    frames_take(&slirp->frames);
    if (slirp->frames.used < ENOUGH_BYTES / 2)
        rest(slirp, false);
    pthread_mutex_unlock(&slirp->lock);
}

/* ---- the guest's frames ---------------------------------------------------
 */

/* May a frame make libslirp open a socket?  All that is no part of a TCP
 * connection, for libslirp alone knows what else it has seen. */
static bool may_open(const uint8_t *frame, size_t len)
{
    const uint8_t *ip = frame + ETHER_BYTES;

    if (len < ETHER_BYTES + 20 || frame[12] != 0x08 || frame[13] != 0)
        return false; /* no IPv4 */
    size_t header = 4u * (ip[0] & 15);
    if (ip[9] != IPPROTO_TCP || len < ETHER_BYTES + header + 14)
        return true;
    return (ip[header + 13] & (TCP_SYN | TCP_ACK)) == TCP_SYN;
}

static int user_send(struct vmm_net *net, const struct iovec *frame, int count)
{
    struct slirp *slirp = slirp_of(net);

    pthread_mutex_lock(&slirp->lock);
    if (iovec_bytes(frame, count) <= sizeof(slirp->input)) {
        size_t len = iovec_gather(frame, count, slirp->input);

        /* The process's fds are others' as well. */
        if (slirp->opened < SLIRP_SOCKETS_MAX || !may_open(slirp->input, len))
            slirp->library.input(slirp->stack, slirp->input, (int)len);
    }
    pthread_mutex_unlock(&slirp->lock);
    return 0;
}

static void user_flush(struct vmm_net *net)
{
    struct slirp *slirp = slirp_of(net);

    pthread_mutex_lock(&slirp->lock);
    slirp_sockets_update(slirp);
    pthread_mutex_unlock(&slirp->lock);
}

/* ---- life -----------------------------------------------------------------
 */

static int user_open(struct vmm_net *net, struct vmm_loop *loop,
                     const struct vmm_net_events *events, struct vmm_error *err)
{
    struct slirp *slirp = slirp_of(net);

    int rc = slirp_sockets_open(slirp, loop, err);
    if (rc)
        return rc;
    pthread_mutex_lock(&slirp->lock);
    slirp->events = *events;
    slirp->open = true;
    slirp_sockets_update(slirp);
    pthread_mutex_unlock(&slirp->lock);
    return 0;
}

static int user_start(struct vmm_net *net, unsigned offloads)
{
    struct slirp *slirp = slirp_of(net);

    (void)offloads;
    pthread_mutex_lock(&slirp->lock);
    slirp->running = true;
    pthread_mutex_unlock(&slirp->lock);
    return 0;
}

static void user_stop(struct vmm_net *net)
{
    struct slirp *slirp = slirp_of(net);

    pthread_mutex_lock(&slirp->lock);
    slirp->running = slirp->wants_frames = false;
    frames_clear(&slirp->frames);
    rest(slirp, false);
    pthread_mutex_unlock(&slirp->lock);
}

/* Closes the sockets, those that forward among them. */
static void stop_stack(struct slirp *slirp)
{
    if (slirp->stack)
        slirp->library.cleanup(slirp->stack);
    slirp->stack = NULL;
}

static void user_close(struct vmm_net *net)
{
    struct slirp *slirp = slirp_of(net);

    pthread_mutex_lock(&slirp->lock);
    slirp->open = false;
    pthread_mutex_unlock(&slirp->lock);
    slirp_sockets_close(slirp);
    pthread_mutex_lock(&slirp->lock);
    stop_stack(slirp);
    pthread_mutex_unlock(&slirp->lock);
}

static void user_destroy(struct vmm_net *net)
{
    struct slirp *slirp = slirp_of(net);

    stop_stack(slirp);
    slirp_library_close(&slirp->library);
    slirp_sockets_fini(slirp);
    frames_fini(&slirp->frames);
    pthread_mutex_destroy(&slirp->lock);
    free(slirp);
}

static const struct vmm_net_ops user_ops = {
    .name = "user network",
    .open = user_open,
    .start = user_start,
    .stop = user_stop,
    .send = user_send,
    .flush = user_flush,
    .peek = user_peek,
    .take = user_take,
    .close = user_close,
    .destroy = user_destroy,
};

/* ---- set-up ---------------------------------------------------------------
 */

/* A guest that misbehaves is no news. */
static void on_guest_error(const char *message, void *context)
{
    (void)message;
    (void)context;
}

static struct in_addr address(uint32_t host_order)
{
    return (struct in_addr){htonl(host_order)};
}

static int start_stack(struct slirp *slirp,
                       const struct vmm_net_user_config *config,
                       struct vmm_error *err)
{
    static const struct {
        uint32_t network, mask, host, guest, dns;
    } at = {0x0a000200, 0xffffff00, 0x0a000202, 0x0a00020f, 0x0a000203};
    const SlirpConfig settings = {
        .version = 1,
        .restricted = config->restricted,
        .in_enabled = true,
        .vnetwork = address(at.network),
        .vnetmask = address(at.mask),
        .vhost = address(at.host),
        .vdhcp_start = address(at.guest),
        .vnameserver = address(at.dns),
        .if_mtu = config->mtu,
        .if_mru = config->mtu,
    };

    slirp->stack = slirp->library.new(&settings, &slirp->callbacks, slirp);
    if (!slirp->stack)
        return vmm_error_set(err, EINVAL, "user network: libslirp refuses");
    return 0;
}

static int add_forward(struct slirp *slirp,
                       const struct vmm_net_forward *forward,
                       struct vmm_error *err)
{
    char text[INET_ADDRSTRLEN];

    errno = 0;
    if (slirp->library.forward(slirp->stack, forward->udp, forward->host,
                               forward->host_port, forward->guest,
                               forward->guest_port) == 0)
        return 0;
    if (!errno)
        errno = EINVAL;
    inet_ntop(AF_INET, &forward->host, text, sizeof(text));
    return vmm_error_errno(err, "user network: cannot forward %s port %u of %s",
                           forward->udp ? "udp" : "tcp", forward->host_port,
                           text);
}

static int set_up(struct slirp *slirp, const struct vmm_net_user_config *config,
                  struct vmm_error *err)
{
    int rc = slirp_library_open(&slirp->library, err);

    if (rc == 0)
        rc = slirp_sockets_init(slirp, err);
    if (rc == 0 && frames_init(&slirp->frames))
        rc = vmm_error_set(err, ENOMEM, "user network: out of memory");
    if (rc == 0)
        rc = start_stack(slirp, config, err);
    for (unsigned i = 0; i < config->forward_count && rc == 0; i++)
        rc = add_forward(slirp, &config->forwards[i], err);
    return rc;
}

int vmm_net_user_new(const struct vmm_net_user_config *config,
                     struct vmm_net **net, struct vmm_error *err)
{
    vmm_error_clear(err);
    *net = NULL;
    struct slirp *slirp = calloc(1, sizeof(*slirp));
    if (!slirp)
        return vmm_error_set(err, ENOMEM, "user network: out of memory");
    slirp->net.ops = &user_ops;
    slirp->epoll = -1;
    pthread_mutex_init(&slirp->lock, NULL);
    slirp_sockets_callbacks(&slirp->callbacks);
    slirp->callbacks.send_packet = on_frame;
    slirp->callbacks.guest_error = on_guest_error;
    int rc = set_up(slirp, config, err);
    if (rc) {
        user_destroy(&slirp->net);
        return rc;
    }
    *net = &slirp->net;
    return 0;
}
