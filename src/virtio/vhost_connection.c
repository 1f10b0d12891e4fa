/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* The vhost-user protocol's messages: sent and received whole, in time, and
 * checked. */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <vmm/loop.h>

#include "virtio/vhost_connection.h"

#define MS         1000000
#define MESSAGE    (sizeof(struct vhost_header) + sizeof(struct vhost_config))
#define FDS_ROOM   CMSG_SPACE(VHOST_REGIONS_MAX * sizeof(int))
#define FDS_LENGTH 64 /* more than a message may have: they are closed */

static const char *name_of(uint32_t request)
{
    static const char *const names[] = {
        [VHOST_GET_FEATURES] = "GET_FEATURES",
        [VHOST_SET_FEATURES] = "SET_FEATURES",
        [VHOST_SET_OWNER] = "SET_OWNER",
        [VHOST_SET_MEM_TABLE] = "SET_MEM_TABLE",
        [VHOST_SET_VRING_NUM] = "SET_VRING_NUM",
        [VHOST_SET_VRING_ADDR] = "SET_VRING_ADDR",
        [VHOST_SET_VRING_BASE] = "SET_VRING_BASE",
        [VHOST_GET_VRING_BASE] = "GET_VRING_BASE",
        [VHOST_SET_VRING_KICK] = "SET_VRING_KICK",
        [VHOST_SET_VRING_CALL] = "SET_VRING_CALL",
        [VHOST_GET_PROTOCOL_FEATURES] = "GET_PROTOCOL_FEATURES",
        [VHOST_SET_PROTOCOL_FEATURES] = "SET_PROTOCOL_FEATURES",
        [VHOST_GET_QUEUE_NUM] = "GET_QUEUE_NUM",
        [VHOST_SET_VRING_ENABLE] = "SET_VRING_ENABLE",
        [VHOST_SET_BACKEND_REQ_FD] = "SET_BACKEND_REQ_FD",
        [VHOST_GET_CONFIG] = "GET_CONFIG",
        [VHOST_SET_CONFIG] = "SET_CONFIG",
    };

    return names[request];
}

/* ---- waiting --------------------------------------------------------------
 */

/* Until the socket is ready: 0, or an error with its text. */
static int await(const struct vhost_connection *connection, short events,
                 uint64_t until, uint32_t request, struct vmm_error *err)
{
    struct pollfd ready = {.fd = connection->fd, .events = events};

    for (;;) {
        uint64_t now = vmm_now_ns();
        int timeout = now < until ? (int)((until - now + MS - 1) / MS) : 0;
        int count = poll(&ready, 1, timeout);

        if (count > 0)
            return 0;
        if (count < 0 && errno != EINTR)
            return vmm_error_errno(err, "poll");
        if (count == 0)
            return vmm_error_set(
                err, ETIMEDOUT, "the daemon has not %s %s within %g s",
                events & POLLIN ? "answered" : "taken", name_of(request),
                (double)connection->deadline_ns / 1e9);
    }
}

static int gone(uint32_t request, int code, struct vmm_error *err)
{
    if (code == EPIPE || code == 0)
        code = ECONNRESET;
    return vmm_error_set(err, code,
                         "the daemon has closed the connection (at %s)%s%s",
                         name_of(request), code == ECONNRESET ? "" : ": ",
                         code == ECONNRESET ? "" : strerror(code));
}

/* ---- sending --------------------------------------------------------------
 */

static ssize_t send_some(int fd, const void *bytes, size_t size, const int *fds,
                         size_t fd_count)
{
    _Alignas(struct cmsghdr) char control[FDS_ROOM] = {0};
    /* The kernel does not write it. */
    struct iovec piece = {(void *)(uintptr_t)bytes, size};
    struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1};

    if (fd_count) {
        message.msg_control = control;
        message.msg_controllen = CMSG_SPACE(fd_count * sizeof(int));
        struct cmsghdr *header = (struct cmsghdr *)(void *)control;
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(fd_count * sizeof(int));
        memcpy(CMSG_DATA(header), fds, fd_count * sizeof(int));
    }
    return sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static int send_message(const struct vhost_connection *connection,
                        enum vhost_request request, uint32_t flags,
                        const void *payload, size_t size, const int *fds,
                        size_t fd_count, uint64_t until, struct vmm_error *err)
{
    struct vhost_header header = {request, VHOST_VERSION | flags,
                                  (uint32_t)size};
    uint8_t bytes[MESSAGE];
    const size_t total = sizeof(header) + size;
    size_t sent = 0;

    memcpy(bytes, &header, sizeof(header));
    if (size)
        memcpy(bytes + sizeof(header), payload, size);
    while (sent < total) {
        /* The files go with the first byte. */
        ssize_t count = send_some(connection->fd, bytes + sent, total - sent,
                                  fds, sent ? 0 : fd_count);
        if (count >= 0) {
            sent += (size_t)count;
            continue;
        }
        if (errno == EINTR)
            continue;
        if (errno != EAGAIN)
            return gone(request, errno, err);
        int rc = await(connection, POLLOUT, until, request, err);
        if (rc)
            return rc;
    }
    return 0;
}

/* ---- receiving ------------------------------------------------------------
 */

/* We ask for no files. */
static void close_files(struct msghdr *message)
{
    for (struct cmsghdr *header = CMSG_FIRSTHDR(message); header;
         header = CMSG_NXTHDR(message, header)) {
        if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS)
            continue;
        size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count; i++) {
            int fd;

            memcpy(&fd, CMSG_DATA(header) + i * sizeof(fd), sizeof(fd));
            close(fd);
        }
    }
}

long vhost_receive_some(int fd, void *bytes, size_t max)
{
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(FDS_LENGTH * sizeof(int))];
    struct iovec piece = {bytes, max};
    struct msghdr message = {.msg_iov = &piece,
                             .msg_iovlen = 1,
                             .msg_control = control,
                             .msg_controllen = sizeof(control)};
    ssize_t count;

    do
        count = recvmsg(fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    while (count < 0 && errno == EINTR);
    if (count < 0)
        return -errno;
    close_files(&message);
    return count;
}

static int receive(const struct vhost_connection *connection, uint32_t request,
                   void *bytes, size_t size, uint64_t until,
                   struct vmm_error *err)
{
    size_t got = 0;

    while (got < size) {
        long count = vhost_receive_some(connection->fd, (uint8_t *)bytes + got,
                                        size - got);
        if (count > 0) {
            got += (size_t)count;
            continue;
        }
        if (count != -EAGAIN)
            return gone(request, (int)-count, err);
        int rc = await(connection, POLLIN, until, request, err);
        if (rc)
            return rc;
    }
    return 0;
}

/* The answer to a request. */
static int receive_reply(const struct vhost_connection *connection,
                         uint32_t request, void *reply, size_t size,
                         uint64_t until, struct vmm_error *err)
{
    struct vhost_header header;

    int rc = receive(connection, request, &header, sizeof(header), until, err);
    if (rc)
        return rc;
    if (header.request != request || !(header.flags & VHOST_REPLY) ||
        (header.flags & VHOST_VERSION_MASK) != VHOST_VERSION)
        return vmm_error_set(err, EPROTO,
                             "the daemon has answered %s with message %u, "
                             "flags 0x%x",
                             name_of(request), header.request, header.flags);
    if (header.size != size)
        return vmm_error_set(err, EPROTO,
                             "the daemon has answered %s with %u bytes, not "
                             "%zu",
                             name_of(request), header.size, size);
    return receive(connection, request, reply, size, until, err);
}

/* ---- messages -------------------------------------------------------------
 */

int vhost_tell(const struct vhost_connection *connection,
               enum vhost_request request, const void *payload, size_t size,
               const int *fds, size_t fd_count, struct vmm_error *err)
{
    const uint64_t until = vmm_now_ns() + connection->deadline_ns;
    uint64_t status = 0;

    int rc = send_message(connection, request,
                          connection->acknowledges ? VHOST_NEED_REPLY : 0,
                          payload, size, fds, fd_count, until, err);
    if (rc == 0 && connection->acknowledges)
        rc = receive_reply(connection, request, &status, sizeof(status), until,
                           err);
    if (rc)
        return rc;
    return status ? vmm_error_set(err, EPROTO, "the daemon refuses %s",
                                  name_of(request))
                  : 0;
}

int vhost_ask(const struct vhost_connection *connection,
              enum vhost_request request, const void *payload, size_t size,
              void *reply, size_t reply_size, struct vmm_error *err)
{
    const uint64_t until = vmm_now_ns() + connection->deadline_ns;

    int rc = send_message(connection, request, 0, payload, size, NULL, 0, until,
                          err);
    if (rc)
        return rc;
    return receive_reply(connection, request, reply, reply_size, until, err);
}

int vhost_tell_u64(const struct vhost_connection *connection,
                   enum vhost_request request, uint64_t value,
                   struct vmm_error *err)
{
    return vhost_tell(connection, request, &value, sizeof(value), NULL, 0, err);
}

int vhost_ask_u64(const struct vhost_connection *connection,
                  enum vhost_request request, uint64_t *value,
                  struct vmm_error *err)
{
    return vhost_ask(connection, request, NULL, 0, value, sizeof(*value), err);
}
