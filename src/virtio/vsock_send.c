/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* The socket device's packets to the guest: who comes next, and with what. */
#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/arith.h"
#include "virtio/device.h"
#include "virtio/vsock.h"

#define HEADER_BYTES sizeof(struct virtio_vsock_hdr)
#define DATA_MAX     65536
#define PIECES_MAX   32
/* More on the way than this is not useful, and counters stay comparable. */
#define IN_FLIGHT_MAX (UINT32_C(1) << 30)

/* ---- what a connection has for the guest ----------------------------------
 */

uint32_t vsock_credit(const struct vsock_conn *conn)
{
    uint32_t in_flight = conn->sent - conn->guest_forwarded;
    uint32_t limit = (uint32_t)min_u64(conn->guest_buffer, IN_FLIGHT_MAX);

    return in_flight < limit ? limit - in_flight : 0;
}

static bool has_data(const struct vsock_conn *conn)
{
    return conn->readable && !conn->eof && vsock_credit(conn);
}

/* What is shut down that the guest does not know: all that was to be sent
 * before has been. */
static uint32_t shutdown_owed(const struct vsock_conn *conn)
{
    uint32_t shut = 0;

    if (conn->guest_shut == VSOCK_SHUT_BOTH)
        return 0; /* it gets a reset, which says all */
    if (conn->eof)
        shut |= VIRTIO_VSOCK_SHUTDOWN_SEND;
    if (conn->deaf)
        shut |= VIRTIO_VSOCK_SHUTDOWN_RCV;
    return shut & ~conn->told_shut;
}

bool vsock_has_packet(const struct vsock_conn *conn)
{
    return conn->owed || (conn->state == VSOCK_OPEN &&
                          (has_data(conn) || shutdown_owed(conn)));
}

void vsock_make_ready(struct vsock_conn *conn)
{
    if (conn->is_ready || conn->state == VSOCK_BURIED)
        return;
    /* Bytes wait, and may not go: once, the guest is asked for news. */
    if (conn->state == VSOCK_OPEN && conn->readable && !conn->eof &&
        !vsock_credit(conn) && !conn->credit_asked) {
        conn->credit_asked = true;
        conn->owed |= VSOCK_OWED_CREDIT_ASK;
    }
    if (!vsock_has_packet(conn))
        return;
    TAILQ_INSERT_TAIL(&conn->vsock->ready, conn, ready);
    conn->is_ready = true;
}

void vsock_make_unready(struct vsock_conn *conn)
{
    if (conn->is_ready)
        TAILQ_REMOVE(&conn->vsock->ready, conn, ready);
    conn->is_ready = false;
}

void vsock_owe(struct vsock_conn *conn, unsigned what)
{
    conn->owed |= what;
    vsock_make_ready(conn);
}

/* ---- packets --------------------------------------------------------------
 */

/* The first of these that is owed. */
static const struct {
    unsigned owed;
    uint16_t op;
} owed_first[] = {{VSOCK_OWED_RESET, VIRTIO_VSOCK_OP_RST},
                  {VSOCK_OWED_REQUEST, VIRTIO_VSOCK_OP_REQUEST},
                  {VSOCK_OWED_RESPONSE, VIRTIO_VSOCK_OP_RESPONSE}},
  owed_last[] = {{VSOCK_OWED_CREDIT, VIRTIO_VSOCK_OP_CREDIT_UPDATE},
                 {VSOCK_OWED_CREDIT_ASK, VIRTIO_VSOCK_OP_CREDIT_REQUEST}};

#define PAY(table)                                                             \
    for (size_t i = 0; i < sizeof(table) / sizeof(*(table)); i++)              \
        if (conn->owed & (table)[i].owed) {                                    \
            conn->owed &= ~(table)[i].owed;                                    \
            return (table)[i].op;                                              \
        }

/* Read from the host into the guest's buffer: bytes, 0 at the end, or -errno:
 * -EFAULT when the buffer is no RAM. */
static ssize_t read_data(struct vsock_conn *conn, struct vmm_chain *chain)
{
    struct iovec pieces[PIECES_MAX];
    uint64_t room = min_u64(chain->writable_bytes - HEADER_BYTES, DATA_MAX);
    int count;

    room = min_u64(room, vsock_credit(conn));
    /* Of a buffer in many pieces, the first ones. */
    while ((count = vmm_chain_writable_iovec(chain, HEADER_BYTES, room, pieces,
                                             PIECES_MAX)) == -ENOBUFS)
        room /= 2;
    if (count < 0)
        return count;
    struct msghdr message = {.msg_iov = pieces, .msg_iovlen = (size_t)count};
    ssize_t got = recvmsg(conn->fd, &message, MSG_DONTWAIT);
    if (got < 0)
        return -errno;
    conn->readable = (uint64_t)got == room || conn->gone;
    return got;
}

/* The next packet's operation, its bytes in the buffer; 0: there is none;
 * -EFAULT: it does not go into this buffer. */
static int choose(struct vsock_conn *conn, struct vmm_chain *chain,
                  struct virtio_vsock_hdr *hdr)
{
    PAY(owed_first)
    if (conn->state == VSOCK_OPEN && has_data(conn)) {
        ssize_t got = read_data(conn, chain);

        if (got > 0) {
            hdr->len = (uint32_t)got;
            conn->sent += hdr->len;
            return VIRTIO_VSOCK_OP_RW;
        }
        if (got == -EFAULT)
            return -EFAULT;
        if (got == 0) {
            conn->eof = true;
        } else if (got == -EAGAIN) {
            conn->readable = false;
        } else { /* the host has closed it without reading all */
            vsock_abort(conn);
            conn->owed = 0;
            return VIRTIO_VSOCK_OP_RST;
        }
    }
    hdr->flags = conn->state == VSOCK_OPEN ? shutdown_owed(conn) : 0;
    if (hdr->flags) {
        hdr->flags |= conn->told_shut;
        conn->told_shut = hdr->flags;
        if (conn->told_shut == VSOCK_SHUT_BOTH)
            vsock_set_deadline(conn);
        return VIRTIO_VSOCK_OP_SHUTDOWN;
    }
    PAY(owed_last)
    return 0;
}

/* One packet of a connection.  True: the buffer is used. */
static bool send_packet(struct vsock_conn *conn, struct vmm_chain *chain)
{
    struct vsock *vsock = conn->vsock;
    struct virtio_vsock_hdr hdr = {
        .src_cid = VSOCK_HOST_CID,
        .dst_cid = vsock->cid,
        .src_port = conn->host_port,
        .dst_port = conn->guest_port,
        .type = VIRTIO_VSOCK_TYPE_STREAM,
        .buf_alloc = VMM_VSOCK_BUFFER_BYTES,
        .fwd_cnt = conn->forwarded,
    };
    int op = choose(conn, chain, &hdr);

    if (op == 0)
        return false;
    if (op == -EFAULT) {
        vmm_virtq_push(chain, 0);
        return true;
    }
    hdr.op = (uint16_t)op;
    conn->forwarded_told = conn->forwarded;
    /* It was written to before, so it is RAM. */
    (void)vmm_chain_write(chain, 0, &hdr, sizeof(hdr));
    vmm_virtq_push(chain, (uint32_t)sizeof(hdr) + hdr.len);
    if (op == VIRTIO_VSOCK_OP_RST)
        vsock_bury(conn);
    return true;
}

static void send_reply(struct vsock *vsock, struct vmm_chain *chain)
{
    const struct vsock_reply *reply = &vsock->replies[vsock->first_reply];
    const struct virtio_vsock_hdr hdr = {
        .src_cid = reply->src_cid,
        .dst_cid = vsock->cid,
        .src_port = reply->src_port,
        .dst_port = reply->dst_port,
        .type = reply->type,
        .op = VIRTIO_VSOCK_OP_RST,
    };

    vsock->first_reply = (vsock->first_reply + 1) % VSOCK_REPLIES_MAX;
    vsock->reply_count--;
    (void)vmm_chain_write(chain, 0, &hdr, sizeof(hdr));
    vmm_virtq_push(chain, sizeof(hdr));
}

/* ---- the pump -------------------------------------------------------------
 */

/* A buffer that a header can be written to, with room behind; others go back as
 * they are.  NULL: there is none now.  Each counts as a packet. */
static struct vmm_chain *take_buffer(struct vsock *vsock,
                                     struct vmm_virtq *ring, unsigned *budget)
{
    static const struct virtio_vsock_hdr nothing;
    struct vmm_chain *chain = vsock->spare;

    vsock->spare = NULL;
    while (!chain && *budget) {
        if (vmm_virtq_pop(ring, &chain) <= 0)
            return NULL;
        if (chain->writable_bytes > sizeof(nothing) &&
            vmm_chain_write(chain, 0, &nothing, sizeof(nothing)) == 0)
            break;
        vmm_virtq_push(chain, 0);
        chain = NULL;
        --*budget;
    }
    return chain;
}

/* The next one in turn has a packet sent.  True: the buffer is used. */
static bool serve_next(struct vsock *vsock, struct vmm_chain *chain)
{
    struct vsock_conn *conn = TAILQ_FIRST(&vsock->ready);

    if (vsock->reply_count) {
        send_reply(vsock, chain);
        return true;
    }
    bool used = send_packet(conn, chain);
    vsock_make_unready(conn);
    vsock_make_ready(conn); /* as the last one, if there is more */
    if (!conn->is_ready)
        vsock_watch(conn);
    return used;
}

static bool has_work(const struct vsock *vsock)
{
    return vsock->reply_count || !TAILQ_EMPTY(&vsock->ready);
}

static void fill_buffers(struct vsock *vsock, struct vmm_virtq *ring)
{
    unsigned budget = VSOCK_BUDGET;

    vmm_virtq_suppress(ring);
    while (budget && has_work(vsock)) {
        struct vmm_chain *chain = take_buffer(vsock, ring, &budget);

        if (chain && !serve_next(vsock, chain))
            vsock->spare = chain;
        else if (!chain && budget && !vmm_virtq_arm(ring))
            return; /* its notification goes on with this */
        if (budget)
            budget--;
    }
    if (has_work(vsock))
        vmm_virtio_kick(&vsock->virtio, VSOCK_RX);
}

void vsock_pump(struct vsock *vsock)
{
    struct vmm_virtio *virtio = &vsock->virtio;
    struct vmm_virtq *ring = vmm_virtio_queue(virtio, VSOCK_RX);

    if (!virtio->running || !ring ||
        virtio->status & VIRTIO_CONFIG_S_NEEDS_RESET)
        return;
    fill_buffers(vsock, ring);
    vmm_virtio_signal(virtio, VSOCK_RX);
    if (vmm_virtq_broken(ring))
        vmm_virtio_needs_reset(virtio);
    if (vsock->tx_waits && vsock->reply_count < VSOCK_REPLIES_MAX / 2) {
        vsock->tx_waits = false;
        vmm_virtio_kick(virtio, VSOCK_TX);
    }
}
