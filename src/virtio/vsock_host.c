/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* The host's ends of the socket device's connections: unix sockets. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/arith.h"
#include "virtio/vsock.h"

#define ACCEPTS_MAX 16 /* a turn */
#define PIECES_MAX  32
/* How long to wait when there is no fd left for a connection. */
#define RETRY_NS UINT64_C(100000000)

/* ---- connections that the host makes --------------------------------------
 */

/* False: no more for now. */
static bool accept_one(struct vsock *vsock)
{
    int fd =
        accept4(vsock->listener.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    if (fd < 0 && (errno == EINTR || errno == ECONNABORTED))
        return true;
    if (fd < 0) {
        if (errno != EAGAIN) {
            vsock->out_of_fds = vsock->timer_set = true;
            vmm_timer_set(vsock->timer, RETRY_NS, 0);
        }
        return false;
    }
    struct vsock_conn *conn = vsock_conn_new(vsock, fd, VSOCK_HANDSHAKE);
    if (conn)
        vsock_watch(conn);
    return vsock->count < VMM_VSOCK_CONNECTIONS_MAX;
}

void vsock_on_connect(void *context, uint32_t events)
{
    struct vsock *vsock = context;

    (void)events;
    vmm_virtio_enter(&vsock->virtio);
    for (int i = 0; vsock->virtio.running && i < ACCEPTS_MAX; i++)
        if (!accept_one(vsock))
            break;
    vsock_watch_listener(vsock);
    vmm_virtio_leave(&vsock->virtio);
}

/* "CONNECT <port>\n" */
static bool parse_line(const char *line, unsigned len, uint32_t *port)
{
    static const char word[] = "CONNECT ";
    uint64_t number = 0;
    unsigned i = sizeof(word) - 1;

    if (len < i + 2 || memcmp(line, word, i) != 0 || line[len - 1] != '\n')
        return false;
    for (; i < len - 1; i++) {
        if (line[i] < '0' || line[i] > '9' || number > UINT32_MAX)
            return false;
        number = number * 10 + (uint64_t)(line[i] - '0');
    }
    *port = (uint32_t)number;
    return number < UINT32_MAX; /* which means any port */
}

/* Take of the host's bytes what belongs to the line: what follows is for the
 * guest.  1: the line is whole, 0: not yet, -1: it never will be. */
static int read_line(struct vsock_conn *conn)
{
    char *to = conn->line + conn->line_len;
    size_t room = sizeof(conn->line) - conn->line_len;
    ssize_t there = recv(conn->fd, to, room, MSG_PEEK | MSG_DONTWAIT);

    if (there <= 0)
        return there < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : -1;
    const char *end = memchr(to, '\n', (size_t)there);
    size_t taken = end ? (size_t)(end - to) + 1 : (size_t)there;
    if (recv(conn->fd, to, taken, MSG_DONTWAIT) != (ssize_t)taken)
        return -1;
    conn->line_len += (unsigned)taken;
    if (end)
        return 1;
    return conn->line_len < sizeof(conn->line) ? 0 : -1;
}

static void shake_hands(struct vsock_conn *conn)
{
    int r = read_line(conn);
    uint32_t port;

    if (r == 0)
        return;
    if (r < 0 || !parse_line(conn->line, conn->line_len, &port)) {
        vsock_bury(conn);
        return;
    }
    vsock_enter_table(conn, vsock_free_port(conn->vsock, port), port);
    conn->state = VSOCK_REQUESTED;
    vsock_owe(conn, VSOCK_OWED_REQUEST);
}

/* ---- connections that the guest makes -------------------------------------
 */

int vsock_dial(struct vsock *vsock, uint32_t port)
{
    struct sockaddr_un address;
    char path[sizeof(address.sun_path) + 16];

    snprintf(path, sizeof(path), "%s_%u", vsock->listener.address.sun_path,
             port);
    int rc = vmm_unix_address(path, &address, NULL);
    if (rc)
        return rc;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    /* It is there at once, or refused, also when the queue is full. */
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
        rc = -errno;
        close(fd);
        return rc;
    }
    return fd;
}

/* ---- bytes of the guest ---------------------------------------------------
 */

/* Nobody reads what the guest has sent and will send. */
static void go_deaf(struct vsock_conn *conn)
{
    conn->deaf = true;
    conn->forwarded = conn->received;
    vmm_ring_release(&conn->ring, vmm_ring_written(&conn->ring));
}

/* The number of bytes that the host has taken: 0 when it has no room. */
static size_t send_some(struct vsock_conn *conn, struct iovec *pieces,
                        int count)
{
    struct msghdr message = {.msg_iov = pieces, .msg_iovlen = (size_t)count};
    ssize_t sent = sendmsg(conn->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);

    if (sent < 0 && errno != EAGAIN && errno != EINTR)
        go_deaf(conn);
    return sent < 0 ? 0 : (size_t)sent;
}

static void flush_ring(struct vsock_conn *conn)
{
    while (vsock_kept(conn)) {
        uint64_t from = vmm_ring_released(&conn->ring);
        const uint8_t *bytes;
        size_t len = vmm_ring_view(&conn->ring, from,
                                   vmm_ring_written(&conn->ring), &bytes);
        struct iovec piece = {(void *)(uintptr_t)bytes, len};
        size_t sent = send_some(conn, &piece, 1);

        if (sent == 0)
            return;
        vmm_ring_release(&conn->ring, from + sent);
        conn->forwarded += (uint32_t)sent;
    }
}

/* All that the guest has sent has arrived. */
static void pass_on_shutdown(struct vsock_conn *conn)
{
    if (conn->state == VSOCK_LINGER) {
        vsock_bury(conn);
    } else if (conn->guest_shut == VSOCK_SHUT_BOTH) {
        vsock_abort(conn); /* the reset acknowledges it (5.10.6.5) */
    } else if (conn->guest_shut & VIRTIO_VSOCK_SHUTDOWN_SEND &&
               !conn->write_closed) {
        conn->write_closed = true;
        shutdown(conn->fd, SHUT_WR);
    }
}

void vsock_flush(struct vsock_conn *conn)
{
    flush_ring(conn);
    if (!vsock_kept(conn))
        pass_on_shutdown(conn);
    if (conn->state != VSOCK_OPEN)
        return;
    /* Before the guest believes that three quarters are full. */
    if (conn->forwarded - conn->forwarded_told >= VMM_VSOCK_BUFFER_BYTES / 4)
        conn->owed |= VSOCK_OWED_CREDIT;
    vsock_make_ready(conn);
    vsock_watch(conn);
}

static bool keep(struct vsock_conn *conn, const struct vmm_chain *chain,
                 uint64_t offset, uint32_t len)
{
    uint8_t bytes[4096];

    if (!conn->ring.bytes && vmm_ring_init(&conn->ring, VMM_VSOCK_BUFFER_BYTES))
        return false;
    while (len) {
        uint32_t part = (uint32_t)min_u64(len, sizeof(bytes));

        if (vmm_chain_read(chain, offset, bytes, part) ||
            vmm_ring_write(&conn->ring, bytes, part) != part)
            return false;
        conn->received += part;
        offset += part;
        len -= part;
    }
    return true;
}

bool vsock_forward(struct vsock_conn *conn, const struct vmm_chain *chain,
                   uint32_t len)
{
    struct iovec pieces[PIECES_MAX];
    uint64_t offset = sizeof(struct virtio_vsock_hdr);
    bool ok = true;

    if (!vsock_kept(conn) && !conn->deaf) {
        int count =
            vmm_chain_readable_iovec(chain, offset, len, pieces, PIECES_MAX);
        uint32_t sent =
            count > 0 ? (uint32_t)send_some(conn, pieces, count) : 0;
        conn->received += sent;
        conn->forwarded += sent;
        offset += sent;
        len -= sent;
    }
    if (conn->deaf)
        conn->received = conn->forwarded = conn->received + len;
    else
        ok = keep(conn, chain, offset, len);
    return ok;
}

/* ---- what the host does ---------------------------------------------------
 */

static void on_open_host(struct vsock_conn *conn, uint32_t events)
{
    if (events & (EPOLLHUP | EPOLLERR)) {
        conn->gone = true;
        go_deaf(conn);
    }
    if (events & ~(uint32_t)EPOLLOUT) /* or at its end, which a read tells */
        conn->readable = true;
    if (events & (EPOLLOUT | EPOLLHUP | EPOLLERR))
        vsock_flush(conn);
    else
        vsock_make_ready(conn);
}

static void on_host_event(struct vsock_conn *conn, uint32_t events)
{
    bool gone = events & (EPOLLHUP | EPOLLERR);

    switch (conn->state) {
    case VSOCK_HANDSHAKE:
        shake_hands(conn);
        break;
    case VSOCK_REQUESTED: /* it has given up */
        if (gone && conn->owed & VSOCK_OWED_REQUEST)
            vsock_bury(conn);
        else if (gone)
            vsock_abort(conn);
        break;
    case VSOCK_OPEN:
        on_open_host(conn, events);
        break;
    case VSOCK_LINGER:
        if (gone)
            go_deaf(conn);
        vsock_flush(conn);
        break;
    case VSOCK_OVER:
    case VSOCK_BURIED:
        break;
    }
}

void vsock_on_host(void *context, uint32_t events)
{
    struct vsock_conn *conn = context;
    struct vsock *vsock = conn->vsock;

    vmm_virtio_enter(&vsock->virtio);
    if (vsock->virtio.running)
        on_host_event(conn, events);
    vsock_pump(vsock);
    vsock_watch(conn);
    vmm_virtio_leave(&vsock->virtio);
}
