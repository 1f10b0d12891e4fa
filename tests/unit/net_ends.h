/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Ports of a link that tests send frames from and take frames at; each frame
 * begins with a number. */
#ifndef NET_ENDS_H
#define NET_ENDS_H

#include <string.h>

#include <vmm/net.h>

/* A port, opened, and what it was told. */
struct end {
    struct vmm_net *net;
    unsigned frames, room; /* atomic */
};

static void on_frames(void *context)
{
    __atomic_add_fetch(&((struct end *)context)->frames, 1, __ATOMIC_SEQ_CST);
}

static void on_room(void *context)
{
    __atomic_add_fetch(&((struct end *)context)->room, 1, __ATOMIC_SEQ_CST);
}

static inline void open_end(struct end *end, struct vmm_link *link,
                            struct vmm_loop *loop)
{
    const struct vmm_net_events events = {on_frames, on_room, end};
    struct vmm_error err;

    *end = (struct end){0};
    if (vmm_link_port(link, &end->net, &err) ||
        end->net->ops->open(end->net, loop, &events, &err) ||
        end->net->ops->start(end->net, 0))
        fail_msg("%s", err.text);
}

static inline void close_end(struct end *end)
{
    if (!end->net)
        return;
    end->net->ops->stop(end->net);
    end->net->ops->close(end->net);
    vmm_net_free(end->net);
    end->net = NULL;
}

static inline int send_one(struct end *end, uint32_t number, size_t len)
{
    static uint8_t rest[VMM_NET_FRAME_MAX];
    const struct iovec frame[] = {
        {&number, sizeof(number)}, {NULL, 0}, {rest, len - sizeof(number)}};

    return end->net->ops->send(end->net, frame, 3);
}

/* Take the next frame: its number and length. */
static inline bool take(struct end *end, uint32_t *number, size_t *len)
{
    const uint8_t *frame;

    *len = end->net->ops->peek(end->net, &frame);
    if (!*len)
        return false;
    memcpy(number, frame, sizeof(*number));
    end->net->ops->take(end->net);
    return true;
}

#endif
