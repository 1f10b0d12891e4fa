/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* The socket device's connections: table, life, deadlines. */
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/arith.h"
#include "virtio/vsock.h"

/* Ports that the host's ends get; programs listen on lower ones. */
#define FIRST_PORT (UINT32_C(1) << 30)
#define LAST_PORT  (UINT32_MAX - 1)

/* ---- the table ------------------------------------------------------------
 */

static struct vsock_list *bucket_of(struct vsock *vsock, uint32_t host_port,
                                    uint32_t guest_port)
{
    uint32_t mixed = (host_port * 0x9e3779b1u ^ guest_port) * 0x85ebca6bu;

    return &vsock->table[mixed >> (32 - VSOCK_BUCKET_BITS)];
}

struct vsock_conn *vsock_find(struct vsock *vsock, uint32_t host_port,
                              uint32_t guest_port)
{
    struct vsock_conn *conn;

    LIST_FOREACH(conn, bucket_of(vsock, host_port, guest_port), bucket)
    if (conn->host_port == host_port && conn->guest_port == guest_port)
        return conn;
    return NULL;
}

/* There are fewer connections than ports: this ends. */
uint32_t vsock_free_port(struct vsock *vsock, uint32_t guest_port)
{
    uint32_t port;

    do {
        port = vsock->next_port;
        if (port < FIRST_PORT || port > LAST_PORT)
            port = FIRST_PORT;
        vsock->next_port = port + 1;
    } while (vsock_find(vsock, port, guest_port));
    return port;
}

void vsock_enter_table(struct vsock_conn *conn, uint32_t host_port,
                       uint32_t guest_port)
{
    struct vsock *vsock = conn->vsock;

    conn->host_port = host_port;
    conn->guest_port = guest_port;
    LIST_INSERT_HEAD(bucket_of(vsock, host_port, guest_port), conn, bucket);
    conn->in_table = true;
}

void vsock_leave_table(struct vsock_conn *conn)
{
    if (conn->in_table)
        LIST_REMOVE(conn, bucket);
    conn->in_table = false;
}

/* ---- life -----------------------------------------------------------------
 */

struct vsock_conn *vsock_conn_new(struct vsock *vsock, int fd,
                                  enum vsock_state state)
{
    struct vsock_conn *conn = NULL;

    if (vsock->count < VMM_VSOCK_CONNECTIONS_MAX)
        conn = calloc(1, sizeof(*conn));
    if (!conn) {
        close(fd);
        return NULL;
    }
    conn->vsock = vsock;
    conn->fd = fd;
    conn->state = state;
    if (vmm_loop_watch(vsock->virtio.loop, fd, 0, vsock_on_host, conn,
                       &conn->watch, NULL)) {
        close(fd);
        free(conn);
        return NULL;
    }
    LIST_INSERT_HEAD(&vsock->all, conn, all);
    vsock->count++;
    return conn;
}

/* The watch itself can't be removed here: its callback may be waiting for the
 * lock. */
void vsock_bury(struct vsock_conn *conn)
{
    struct vsock *vsock = conn->vsock;

    if (conn->state == VSOCK_BURIED)
        return;
    vsock_leave_table(conn);
    vsock_make_unready(conn);
    conn->state = VSOCK_BURIED;
    vsock_watch(conn);
    shutdown(conn->fd, SHUT_RDWR);
    LIST_REMOVE(conn, all);
    LIST_INSERT_HEAD(&vsock->buried, conn, all);
    vmm_wakeup_signal(vsock->reaper);
}

void vsock_abort(struct vsock_conn *conn)
{
    conn->state = VSOCK_OVER;
    conn->owed = VSOCK_OWED_RESET;
    conn->deadline_ns = 0;
    vsock_watch(conn);
    shutdown(conn->fd, SHUT_RDWR);
    vsock_make_ready(conn);
}

static void conn_free(struct vsock_conn *conn)
{
    vmm_watch_remove(conn->watch);
    close(conn->fd);
    vmm_ring_fini(&conn->ring);
    free(conn);
}

void vsock_reap(void *context)
{
    struct vsock *vsock = context;
    struct vsock_list buried = LIST_HEAD_INITIALIZER(buried);
    struct vsock_conn *conn;
    unsigned freed = 0;

    vmm_virtio_enter(&vsock->virtio);
    while ((conn = LIST_FIRST(&vsock->buried))) {
        LIST_REMOVE(conn, all);
        LIST_INSERT_HEAD(&buried, conn, all);
    }
    vmm_virtio_leave(&vsock->virtio);
    while ((conn = LIST_FIRST(&buried))) {
        LIST_REMOVE(conn, all);
        conn_free(conn);
        freed++;
    }
    vmm_virtio_enter(&vsock->virtio);
    vsock->count -= freed;
    vsock_watch_listener(vsock);
    vmm_virtio_leave(&vsock->virtio);
}

/* ---- what is waited for ---------------------------------------------------
 */

/* EPOLLHUP and EPOLLERR come with any event, and stay: so none is asked for
 * once they have come.  EPOLLERR alone asks for just these. */
static uint32_t wanted(const struct vsock_conn *conn)
{
    uint32_t events = EPOLLERR;

    if (conn->gone || conn->state == VSOCK_OVER || conn->state == VSOCK_BURIED)
        return 0;
    if (conn->state == VSOCK_HANDSHAKE ||
        (conn->state == VSOCK_OPEN && !conn->eof && !conn->readable))
        events |= EPOLLIN;
    if (vsock_kept(conn))
        events |= EPOLLOUT;
    return events;
}

void vsock_watch(struct vsock_conn *conn)
{
    uint32_t events = wanted(conn);

    if (events != conn->events)
        vmm_watch_modify(conn->watch, events);
    conn->events = events;
}

void vsock_watch_listener(struct vsock *vsock)
{
    bool open = vsock->virtio.running && !vsock->out_of_fds &&
                vsock->count < VMM_VSOCK_CONNECTIONS_MAX;
    uint32_t events = open ? EPOLLIN : 0;

    if (events != vsock->listener_events)
        vmm_watch_modify(vsock->listener_watch, events);
    vsock->listener_events = events;
}

/* ---- deadlines ------------------------------------------------------------
 */

void vsock_set_deadline(struct vsock_conn *conn)
{
    struct vsock *vsock = conn->vsock;

    conn->deadline_ns = vmm_now_ns() + vsock->close_ns;
    /* All take as long: a timer that is set comes first. */
    if (!vsock->timer_set)
        vmm_timer_set(vsock->timer, vsock->close_ns, 0);
    vsock->timer_set = true;
}

/* Ends what is late; the time of the next deadline, or UINT64_MAX. */
static uint64_t end_late_ones(struct vsock *vsock, uint64_t now)
{
    struct vsock_conn *conn;
    uint64_t next = UINT64_MAX;

    LIST_FOREACH(conn, &vsock->all, all)
    {
        if (conn->deadline_ns && conn->deadline_ns <= now)
            vsock_abort(conn);
        else if (conn->deadline_ns)
            next = min_u64(next, conn->deadline_ns);
    }
    return next;
}

void vsock_on_time(void *context)
{
    struct vsock *vsock = context;
    uint64_t now = vmm_now_ns();

    vmm_virtio_enter(&vsock->virtio);
    uint64_t next = end_late_ones(vsock, now);
    vsock->timer_set = next != UINT64_MAX;
    if (vsock->timer_set)
        vmm_timer_set(vsock->timer, next - now, 0);
    vsock->out_of_fds = false;
    vsock_watch_listener(vsock);
    vsock_pump(vsock);
    vmm_virtio_leave(&vsock->virtio);
}
