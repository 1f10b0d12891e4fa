/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* The socket device's packets from the guest: whose they are, and what they
 * say. */
#include <stdio.h>
#include <sys/socket.h>

#include "virtio/vsock.h"

/* A packet, copied once. */
struct packet {
    struct virtio_vsock_hdr hdr;
    const struct vmm_chain *chain;
};

/* ---- no connection --------------------------------------------------------
 */

/* There is room: it is asked before a packet is taken. */
static void reply_with_reset(struct vsock *vsock,
                             const struct virtio_vsock_hdr *hdr)
{
    unsigned slot =
        (vsock->first_reply + vsock->reply_count) % VSOCK_REPLIES_MAX;

    if (hdr->op == VIRTIO_VSOCK_OP_RST)
        return; /* else two devices could go on for ever */
    vsock->replies[slot] = (struct vsock_reply){hdr->dst_cid, hdr->dst_port,
                                                hdr->src_port, hdr->type};
    vsock->reply_count++;
}

static void open_for_guest(struct vsock *vsock,
                           const struct virtio_vsock_hdr *hdr)
{
    int fd = vsock_dial(vsock, hdr->dst_port);
    struct vsock_conn *conn =
        fd < 0 ? NULL : vsock_conn_new(vsock, fd, VSOCK_OPEN);

    if (!conn) {
        reply_with_reset(vsock, hdr);
        return;
    }
    conn->guest_buffer = hdr->buf_alloc;
    vsock_enter_table(conn, hdr->dst_port, hdr->src_port);
    vsock_watch(conn);
    vsock_owe(conn, VSOCK_OWED_RESPONSE);
}

/* ---- credit ---------------------------------------------------------------
 */

/*
 * What the guest has taken out of its buffer, and how large that is; false when
 * it has taken what it was never sent.  Packets of its threads may overtake
 * each other, so that a count is behind the last one: that is nothing new.
 */
static bool note_credit(struct vsock_conn *conn,
                        const struct virtio_vsock_hdr *hdr)
{
    uint32_t in_flight = conn->sent - conn->guest_forwarded;
    uint32_t taken = hdr->fwd_cnt - conn->guest_forwarded;

    if (taken > in_flight && taken <= INT32_MAX)
        return false;
    if (taken <= in_flight)
        conn->guest_forwarded = hdr->fwd_cnt;
    conn->guest_buffer = hdr->buf_alloc;
    if (vsock_credit(conn)) {
        conn->credit_asked = false;
        vsock_make_ready(conn);
    }
    return true;
}

/* ---- operations -----------------------------------------------------------
 */

/* The guest accepts what the host has asked for. */
static void on_response(struct vsock_conn *conn)
{
    char line[32];
    int len = snprintf(line, sizeof(line), "OK %u\n", conn->host_port);

    if (send(conn->fd, line, (size_t)len, MSG_DONTWAIT | MSG_NOSIGNAL) != len) {
        vsock_abort(conn);
        return;
    }
    conn->state = VSOCK_OPEN;
    vsock_watch(conn);
}

static void on_data(struct vsock_conn *conn, const struct packet *packet)
{
    uint32_t len = packet->hdr.len;

    if (conn->guest_shut & VIRTIO_VSOCK_SHUTDOWN_SEND ||
        len > VMM_VSOCK_BUFFER_BYTES - vsock_kept(conn) ||
        !vsock_forward(conn, packet->chain, len)) {
        vsock_abort(conn);
        return;
    }
    vsock_flush(conn);
}

static void on_shutdown(struct vsock_conn *conn, uint32_t flags)
{
    conn->guest_shut |= flags & VSOCK_SHUT_BOTH;
    if (conn->guest_shut & VIRTIO_VSOCK_SHUTDOWN_RCV && !conn->eof) {
        conn->eof = true;
        shutdown(conn->fd, SHUT_RD);
    }
    vsock_flush(conn);
}

/* A reset that follows an orderly end, which the host was too slow for, costs
 * none of the bytes that came before. */
static void on_reset(struct vsock_conn *conn)
{
    if (conn->state != VSOCK_OPEN || conn->guest_shut != VSOCK_SHUT_BOTH ||
        !vsock_kept(conn)) {
        vsock_bury(conn);
        return;
    }
    vsock_leave_table(conn);
    vsock_make_unready(conn);
    conn->state = VSOCK_LINGER;
    conn->deadline_ns = 0;
    vsock_watch(conn);
}

static void on_open_packet(struct vsock_conn *conn, const struct packet *packet)
{
    switch (packet->hdr.op) {
    case VIRTIO_VSOCK_OP_RW:
        on_data(conn, packet);
        break;
    case VIRTIO_VSOCK_OP_SHUTDOWN:
        on_shutdown(conn, packet->hdr.flags);
        break;
    case VIRTIO_VSOCK_OP_CREDIT_UPDATE:
        break; /* noted already */
    case VIRTIO_VSOCK_OP_CREDIT_REQUEST:
        vsock_owe(conn, VSOCK_OWED_CREDIT);
        break;
    default:
        vsock_abort(conn);
    }
}

/* ---- all of them ----------------------------------------------------------
 */

static void for_conn(struct vsock_conn *conn, const struct packet *packet)
{
    uint64_t payload = packet->chain->readable_bytes - sizeof(packet->hdr);

    if (packet->hdr.op == VIRTIO_VSOCK_OP_RST)
        on_reset(conn);
    else if (conn->state == VSOCK_OVER)
        return; /* the guest does not know yet */
    else if (packet->hdr.len > payload || !note_credit(conn, &packet->hdr))
        vsock_abort(conn);
    else if (conn->state == VSOCK_OPEN)
        on_open_packet(conn, packet);
    else if (packet->hdr.op == VIRTIO_VSOCK_OP_RESPONSE &&
             !(conn->owed & VSOCK_OWED_REQUEST))
        on_response(conn);
    else
        vsock_abort(conn);
}

void vsock_receive(struct vsock *vsock, const struct vmm_chain *chain)
{
    struct packet packet = {.chain = chain};
    const struct virtio_vsock_hdr *hdr = &packet.hdr;

    /* Whoever says that it is somebody else gets no answer (5.10.6.4). */
    if (vmm_chain_read(chain, 0, &packet.hdr, sizeof(packet.hdr)) ||
        hdr->src_cid != vsock->cid)
        return;
    if (hdr->dst_cid != VSOCK_HOST_CID ||
        hdr->type != VIRTIO_VSOCK_TYPE_STREAM) {
        reply_with_reset(vsock, hdr);
        return;
    }
    struct vsock_conn *conn = vsock_find(vsock, hdr->dst_port, hdr->src_port);
    if (conn)
        for_conn(conn, &packet);
    else if (hdr->op == VIRTIO_VSOCK_OP_REQUEST)
        open_for_guest(vsock, hdr);
    else
        reply_with_reset(vsock, hdr);
}
