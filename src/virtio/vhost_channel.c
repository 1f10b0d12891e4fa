/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* What a back end asks of us: that the configuration be read anew. */
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/arith.h"
#include "virtio/vhost_user.h"

/* ---- answers: on the loop's thread, without the lock ----------------------
 */

/*
 * At once, before anything is asked in turn: the back end may wait for it, and
 * serve nobody meanwhile.
 */
static void answer(const struct vhost_channel *channel, bool done)
{
    const struct {
        struct vhost_header header;
        uint32_t status[2]; /* a number of 64 bits, not aligned */
    } reply = {{channel->message.header.request, VHOST_VERSION | VHOST_REPLY,
                sizeof(reply.status)},
               {!done, 0}};

    if (channel->message.header.flags & VHOST_NEED_REPLY)
        send(channel->fd, &reply, sizeof(reply), MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void config_changed(struct vhost_user *vhost)
{
    struct vmm_error err = {0};

    vmm_virtio_enter(&vhost->virtio);
    if (!vhost->why.code) {
        if (vhost_read_config(vhost, &err))
            vhost_fail(vhost, &err);
        else
            vmm_virtio_config_changed(&vhost->virtio);
    }
    vmm_virtio_leave(&vhost->virtio);
}

static void violated(struct vhost_user *vhost, const char *what)
{
    struct vmm_error err = {0};

    vmm_error_set(&err, EPROTO, "the daemon has sent %s", what);
    vmm_virtio_enter(&vhost->virtio);
    vhost_fail(vhost, &err);
    vmm_virtio_leave(&vhost->virtio);
    vmm_watch_modify(vhost->channel.watch, 0);
}

/* A whole message is there. */
static void serve(struct vhost_user *vhost)
{
    struct vhost_channel *channel = &vhost->channel;
    bool known = channel->message.header.request == VHOST_BACKEND_CONFIG_CHANGE;

    answer(channel, known);
    channel->got = 0;
    if (known)
        config_changed(vhost);
}

/* How many bytes the message that comes in has, as far as that is known. */
static size_t expected(const struct vhost_channel *channel)
{
    const struct vhost_header *header = &channel->message.header;

    return channel->got < sizeof(*header) ? sizeof(*header)
                                          : sizeof(*header) + header->size;
}

/* One message a call, so that a flood of them holds up nobody else. */
static void on_message(void *context, uint32_t events)
{
    struct vhost_user *vhost = context;
    struct vhost_channel *channel = &vhost->channel;
    const struct vhost_header *header = &channel->message.header;

    (void)events;
    while (channel->got < expected(channel)) {
        long count = vhost_receive_some(
            channel->fd, (uint8_t *)&channel->message + channel->got,
            expected(channel) - channel->got);

        if (count == -EAGAIN)
            return;
        if (count <= 0) { /* the connection's own end tells more */
            vmm_watch_modify(channel->watch, 0);
            return;
        }
        channel->got += (size_t)count;
        if (channel->got == sizeof(*header) &&
            (header->size > sizeof(channel->message.payload) ||
             (header->flags & VHOST_VERSION_MASK) != VHOST_VERSION)) {
            violated(vhost, "a request that is none");
            return;
        }
    }
    serve(vhost);
}

/* ---- life -----------------------------------------------------------------
 */

int vhost_channel_init(struct vhost_user *vhost, struct vmm_error *err)
{
    int fds[2];

    if (!(vhost->protocol & BIT(VHOST_PROTOCOL_F_BACKEND_REQ)))
        return 0;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
        return vmm_error_errno(err, "socketpair");
    vhost->channel.fd = fds[0];
    int rc = vhost_tell(&vhost->connection, VHOST_SET_BACKEND_REQ_FD, NULL, 0,
                        &fds[1], 1, err);
    close(fds[1]);
    if (rc)
        return rc;
    return vmm_loop_watch(vhost->virtio.loop, fds[0], EPOLLIN, on_message,
                          vhost, &vhost->channel.watch, err);
}

void vhost_channel_fini(struct vhost_user *vhost)
{
    if (vhost->channel.watch)
        vmm_watch_remove(vhost->channel.watch);
    vhost->channel.watch = NULL;
    if (vhost->channel.fd >= 0)
        close(vhost->channel.fd);
    vhost->channel.fd = -1;
}
