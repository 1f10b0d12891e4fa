/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* The socket device's insides: connections, and who moves their bytes. */
#ifndef VMM_VIRTIO_VSOCK_DEVICE_H
#define VMM_VIRTIO_VSOCK_DEVICE_H

#include <linux/virtio_vsock.h>
#include <sys/queue.h>

#include <vmm/virtio_vsock.h>

#include "base/ring.h"
#include "base/unix_socket.h"

#define VSOCK_HOST_CID    2
#define VSOCK_BUCKET_BITS 9
#define VSOCK_REPLIES_MAX 64
#define VSOCK_LINE_MAX    32 /* of "CONNECT <port>\n" */
#define VSOCK_BUDGET      64 /* packets a turn, each way */

enum { VSOCK_RX, VSOCK_TX, VSOCK_EVENT, VSOCK_QUEUES };

/*
 *   the host connects            the guest requests
 *     HANDSHAKE                        |
 *         | "CONNECT 52\n"             |
 *     REQUESTED --- response ------> OPEN --- reset, by us ---> OVER
 *                                      |                          | RST sent
 *      reset by the guest, bytes left  v                          v
 *      that the host has not read: LINGER -- all read --------> BURIED
 */
enum vsock_state {
    VSOCK_HANDSHAKE, /* the host's line is not whole: not in the table */
    VSOCK_REQUESTED,
    VSOCK_OPEN,
    VSOCK_OVER,   /* the guest has still to get its reset */
    VSOCK_LINGER, /* not in the table any more */
    VSOCK_BURIED, /* to be freed on the loop's thread */
};

/* Packets that the guest is owed; what it is owed of shutdowns is computed. */
enum {
    VSOCK_OWED_REQUEST = 1,
    VSOCK_OWED_RESPONSE = 2,
    VSOCK_OWED_RESET = 4,
    VSOCK_OWED_CREDIT = 8,      /* an update */
    VSOCK_OWED_CREDIT_ASK = 16, /* a request */
};

#define VSOCK_SHUT_BOTH (VIRTIO_VSOCK_SHUTDOWN_RCV | VIRTIO_VSOCK_SHUTDOWN_SEND)

struct vsock_conn {
    struct vsock *vsock;
    LIST_ENTRY(vsock_conn) all; /* in vsock.all or vsock.buried */
    LIST_ENTRY(vsock_conn) bucket;
    TAILQ_ENTRY(vsock_conn) ready;
    bool in_table, is_ready;
    enum vsock_state state;
    uint32_t host_port, guest_port;

    int fd;
    struct vmm_watch *watch;
    uint32_t events; /* the watch's */
    char line[VSOCK_LINE_MAX];
    unsigned line_len;

    unsigned owed;
    bool readable;        /* the fd may have bytes: not watched for them */
    bool gone;            /* the host's end is closed, or as good as */
    bool eof;             /* no more bytes for the guest will come */
    bool deaf;            /* the host takes no more of the guest's bytes */
    bool write_closed;    /* ours of the fd */
    uint32_t guest_shut;  /* what the guest has said, VIRTIO_VSOCK_SHUTDOWN_* */
    uint32_t told_shut;   /* what the guest was told */
    uint64_t deadline_ns; /* to acknowledge that; 0: none */

    /* From the guest: the ring is made when the host does not read at once.
     * Counters wrap (section 5.10.6.3). */
    struct vmm_ring ring;
    uint32_t received, forwarded; /* in the ring: the difference */
    uint32_t forwarded_told;
    /* To the guest. */
    uint32_t sent;
    uint32_t guest_forwarded, guest_buffer; /* as the guest says */
    bool credit_asked;                      /* since there was none */
};

/* A reset for a packet that belongs to no connection. */
struct vsock_reply {
    uint64_t src_cid;
    uint32_t src_port, dst_port;
    uint16_t type;
};

LIST_HEAD(vsock_list, vsock_conn);

struct vsock {
    struct vmm_virtio virtio;
    uint64_t cid;
    uint64_t close_ns;
    struct vmm_unix_listener listener;
    struct vmm_watch *listener_watch;
    uint32_t listener_events;
    struct vmm_wakeup *reaper;
    struct vmm_timer *timer; /* for deadlines, and to accept again */
    bool timer_set, out_of_fds;

    struct vsock_list table[1 << VSOCK_BUCKET_BITS];
    struct vsock_list all, buried;
    unsigned count; /* of both */
    uint32_t next_port;
    TAILQ_HEAD(vsock_ready, vsock_conn) ready; /* something for the guest */

    struct vsock_reply replies[VSOCK_REPLIES_MAX]; /* a FIFO */
    unsigned first_reply, reply_count;
    bool tx_waits;           /* for room in there */
    struct vmm_chain *spare; /* a buffer of the guest, not used yet */
    bool event_owed;         /* a transport reset */
};

/* ---- vsock_conn.c: the connections; all with the lock held unless it says
 * otherwise ---- */

struct vsock_conn *vsock_find(struct vsock *vsock, uint32_t host_port,
                              uint32_t guest_port);
/* A connection over fd, which it owns (closed on failure); NULL: too many, or
 * no memory.  Its watch does not wake anybody before vsock_watch. */
struct vsock_conn *vsock_conn_new(struct vsock *vsock, int fd,
                                  enum vsock_state state);
/* A port for a host program that connects to the guest's. */
uint32_t vsock_free_port(struct vsock *vsock, uint32_t guest_port);
/* Its ports are known: packets find it. */
void vsock_enter_table(struct vsock_conn *conn, uint32_t host_port,
                       uint32_t guest_port);
void vsock_leave_table(struct vsock_conn *conn);
/* Is done with: nothing happens to it any more; it is freed later. */
void vsock_bury(struct vsock_conn *conn);
/* Is over: the host's end is closed now, the guest gets a reset. */
void vsock_abort(struct vsock_conn *conn);
/* Free what is buried: on the loop's thread or once its sources are gone;
 * without the lock. */
void vsock_reap(void *vsock);
/* Have the watch wake for what is waited for, no more. */
void vsock_watch(struct vsock_conn *conn);
void vsock_watch_listener(struct vsock *vsock);
void vsock_set_deadline(struct vsock_conn *conn);
/* The timer: without the lock. */
void vsock_on_time(void *vsock);

/* ---- vsock_host.c: the unix sockets ---- */

/* Callbacks of watches: without the lock. */
void vsock_on_connect(void *vsock, uint32_t events);
void vsock_on_host(void *conn, uint32_t events);
/* Connect to who listens for the guest's port; an fd, or -errno. */
int vsock_dial(struct vsock *vsock, uint32_t port);
/* Pass on what is in the ring, and what the guest has shut down. */
void vsock_flush(struct vsock_conn *conn);
/* The bytes of a packet: len of them at offset 44.  False: they are no RAM, or
 * there is no memory to keep them. */
bool vsock_forward(struct vsock_conn *conn, const struct vmm_chain *chain,
                   uint32_t len);

/* ---- vsock_receive.c: packets from the guest ---- */

void vsock_receive(struct vsock *vsock, const struct vmm_chain *chain);

/* ---- vsock_send.c: packets to the guest ---- */

/* How much of the guest's buffer is free. */
uint32_t vsock_credit(const struct vsock_conn *conn);
bool vsock_has_packet(const struct vsock_conn *conn);
void vsock_owe(struct vsock_conn *conn, unsigned what);
/* It may have something for the guest: see to it in the next vsock_pump. */
void vsock_make_ready(struct vsock_conn *conn);
void vsock_make_unready(struct vsock_conn *conn);
/* Fill the guest's buffers with what there is for it. */
void vsock_pump(struct vsock *vsock);

static inline uint32_t vsock_kept(const struct vsock_conn *conn)
{
    return conn->received - conn->forwarded;
}

#endif
