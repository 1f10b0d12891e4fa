/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* A back end of vhost-user on a thread of its own: one that does as it should,
 * or lies, dies or hangs at a message of choice. */
#ifndef VHOST_BACKEND_H
#define VHOST_BACKEND_H

#include <linux/virtio_ring.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "virtio/vhost_connection.h"

#define FILL 0x5a /* what it writes into buffers */

/* What is wrong with its answer to a message. */
enum lie {
    TRUTH,
    DIES,
    HANGS,      /* until the front end hangs up */
    OTHER,      /* answers another message */
    NO_REPLY,   /* without the flag of a reply */
    VERSION,    /* of another version */
    SHORT,      /* a byte too few */
    ENDLESS,    /* with a size of 4 GiB */
    HALF,       /* dies in the middle of it */
    REFUSES,    /* an error as its acknowledgement */
    WITH_FILES, /* with files that nobody has asked for */
    LEAVES,     /* dies after it */
};

struct backend {
    /* Set before it runs. */
    uint64_t features, protocol, queues;
    _Atomic uint32_t lie_at; /* enum vhost_request */
    _Atomic int lie;
    uint8_t config[60];

    int front; /* the front end's socket, to be handed over */
    int fd;
    pthread_t thread;

    /* What it has been told: the thread's, until it is joined. */
    uint64_t driver_features;
    struct vhost_memory memory;
    uint8_t *maps[VHOST_REGIONS_MAX];
    struct vhost_ring_addresses ring; /* of queue 0 */
    uint32_t size;
    int kick, call;
    bool enabled;
    uint16_t next;
    int channel;          /* SET_BACKEND_REQ_FD's */
    atomic_uint served;   /* buffers */
    atomic_uint seen[64]; /* messages by number */
    _Atomic uint8_t wce;  /* SET_CONFIG has set */
    atomic_bool has_channel;
    _Atomic uint8_t capacity; /* first byte of the configuration */
};

struct backend_message {
    uint32_t padding; /* so that what follows is as on the wire */
    struct vhost_header header;
    union {
        uint64_t number;
        struct vhost_vring vring;
        struct vhost_ring_addresses addresses;
        struct vhost_memory memory;
        struct vhost_config config;
    } u;
};

/* Host memory of an address that the front end speaks of. */
static inline uint8_t *backend_at(struct backend *b, uint64_t address)
{
    for (uint32_t i = 0; i < b->memory.count; i++) {
        struct vhost_region *region = &b->memory.regions[i];

        if (address - region->address < region->size)
            return b->maps[i] + (address - region->address);
    }
    return NULL;
}

/* Fill each buffer of queue 0 that is offered. */
static inline void backend_serve(struct backend *b)
{
    struct vring_desc *desc = (void *)backend_at(b, b->ring.desc);
    struct vring_avail *avail = (void *)backend_at(b, b->ring.avail);
    struct vring_used *used = (void *)backend_at(b, b->ring.used);

    const uint16_t before = b->next;

    while (b->next != __atomic_load_n(&avail->idx, __ATOMIC_ACQUIRE)) {
        uint16_t head = avail->ring[b->next % b->size];

        memset(backend_at(b, desc[head].addr), FILL, desc[head].len);
        used->ring[b->next % b->size].id = head;
        used->ring[b->next % b->size].len = desc[head].len;
        __atomic_store_n(&used->idx, ++b->next, __ATOMIC_RELEASE);
        atomic_fetch_add(&b->served, 1);
    }
    if (b->next != before)
        eventfd_write(b->call, 1);
}

static inline void backend_close(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static inline void backend_unmap(struct backend *b)
{
    for (uint32_t i = 0; i < b->memory.count; i++)
        munmap(b->maps[i], b->memory.regions[i].size);
    b->memory.count = 0;
}

static inline void backend_map(struct backend *b,
                               const struct vhost_memory *memory,
                               const int *fds)
{
    backend_unmap(b);
    b->memory = *memory;
    for (uint32_t i = 0; i < memory->count; i++) {
        b->maps[i] = mmap(NULL, memory->regions[i].size, PROT_READ | PROT_WRITE,
                          MAP_SHARED, fds[i], (off_t)memory->regions[i].offset);
        close(fds[i]);
    }
}

static inline void backend_send(struct backend *b,
                                const struct backend_message *reply, size_t len)
{
    enum lie lie = atomic_load(&b->lie);
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(2 * sizeof(int))] = {0};
    struct iovec piece = {(void *)(uintptr_t)&reply->header, len};
    struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1};
    int fds[2] = {0, 0};

    if (lie == WITH_FILES && reply->header.request == b->lie_at) {
        fds[0] = eventfd(0, 0);
        fds[1] = eventfd(0, 0);
        struct cmsghdr *header = (struct cmsghdr *)(void *)control;
        message.msg_control = control;
        message.msg_controllen = sizeof(control);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(sizeof(fds));
        memcpy(CMSG_DATA(header), fds, sizeof(fds));
    }
    sendmsg(b->fd, &message, MSG_NOSIGNAL);
    if (fds[0]) {
        close(fds[0]);
        close(fds[1]);
    }
}

/* Its answer, or what it makes of it: false: it is to end. */
static inline bool backend_reply(struct backend *b,
                                 struct backend_message *reply, size_t size)
{
    struct vhost_header *header = &reply->header;
    size_t len = sizeof(*header) + size;

    header->flags = VHOST_VERSION | VHOST_REPLY;
    header->size = (uint32_t)size;
    if (header->request == atomic_load(&b->lie_at)) {
        switch ((enum lie)atomic_load(&b->lie)) {
        case OTHER:
            header->request++;
            break;
        case NO_REPLY:
            header->flags = VHOST_VERSION;
            break;
        case VERSION:
            header->flags = VHOST_REPLY | 2;
            break;
        case SHORT:
            header->size--;
            len--;
            break;
        case ENDLESS:
            header->size = UINT32_MAX;
            break;
        case HALF:
            backend_send(b, reply, len - 1);
            return false;
        case LEAVES:
            backend_send(b, reply, len);
            return false;
        case REFUSES:
            reply->u.number = 1;
            break;
        case TRUTH:
        case DIES:
        case HANGS:
        case WITH_FILES:
        default:
            break;
        }
    }
    backend_send(b, reply, len);
    return true;
}

static inline void backend_set(struct backend *b,
                               const struct backend_message *m, const int *fds)
{
    bool is_first = (m->u.number & 0xff) == 0;

    switch (m->header.request) {
    case VHOST_SET_FEATURES:
        b->driver_features = m->u.number;
        break;
    case VHOST_SET_MEM_TABLE:
        backend_map(b, &m->u.memory, fds);
        break;
    case VHOST_SET_VRING_NUM:
        if (m->u.vring.index == 0)
            b->size = m->u.vring.num;
        break;
    case VHOST_SET_VRING_BASE:
        if (m->u.vring.index == 0)
            b->next = (uint16_t)m->u.vring.num;
        break;
    case VHOST_SET_VRING_ADDR:
        if (m->u.addresses.index == 0)
            b->ring = m->u.addresses;
        break;
    case VHOST_SET_VRING_CALL:
    case VHOST_SET_VRING_KICK: {
        int *fd =
            m->header.request == VHOST_SET_VRING_CALL ? &b->call : &b->kick;
        if (is_first) {
            backend_close(fd);
            *fd = fds[0];
        } else {
            close(fds[0]);
        }
        break;
    }
    case VHOST_SET_VRING_ENABLE:
        if (m->u.vring.index == 0)
            b->enabled = m->u.vring.num;
        break;
    case VHOST_SET_BACKEND_REQ_FD:
        b->channel = fds[0];
        atomic_store(&b->has_channel, true);
        break;
    case VHOST_SET_CONFIG:
        atomic_store(&b->wce, m->u.config.bytes[0] + 0x10);
        break;
    default:
        break;
    }
}

/* Do as a message says and answer it.  False: it is to end. */
static inline bool backend_handle(struct backend *b, struct backend_message *m,
                                  const int *fds)
{
    uint32_t request = m->header.request;

    atomic_fetch_add(&b->seen[request % 64], 1);
    if (request == atomic_load(&b->lie_at)) {
        if (b->lie == DIES)
            return false;
        if (b->lie == HANGS) {
            struct pollfd hangup = {.fd = b->fd, .events = POLLRDHUP};

            poll(&hangup, 1, -1);
            return false;
        }
    }
    switch (request) {
    case VHOST_GET_FEATURES:
        m->u.number = b->features;
        return backend_reply(b, m, 8);
    case VHOST_GET_PROTOCOL_FEATURES:
        m->u.number = b->protocol;
        return backend_reply(b, m, 8);
    case VHOST_GET_QUEUE_NUM:
        m->u.number = b->queues;
        return backend_reply(b, m, 8);
    case VHOST_GET_VRING_BASE:
        if (m->u.vring.index == 0) {
            m->u.vring.num = b->next;
            backend_close(&b->kick);
            backend_close(&b->call);
        }
        return backend_reply(b, m, 8);
    case VHOST_GET_CONFIG:
        memcpy(m->u.config.bytes, b->config, sizeof(b->config));
        m->u.config.bytes[0] = atomic_load(&b->capacity);
        return backend_reply(b, m, m->header.size);
    default:
        backend_set(b, m, fds);
        if (!(m->header.flags & VHOST_NEED_REPLY))
            return true;
        m->u.number = 0;
        return backend_reply(b, m, 8);
    }
}

/* A whole message, with its files; false at the end. */
static inline bool backend_receive(struct backend *b, struct backend_message *m,
                                   int *fds)
{
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(8 * sizeof(int))];
    struct iovec piece = {&m->header, sizeof(m->header)};
    struct msghdr message = {.msg_iov = &piece,
                             .msg_iovlen = 1,
                             .msg_control = control,
                             .msg_controllen = sizeof(control)};

    if (recvmsg(b->fd, &message, MSG_WAITALL | MSG_CMSG_CLOEXEC) !=
        (ssize_t)sizeof(m->header))
        return false;
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    if (header)
        memcpy(fds, CMSG_DATA(header), header->cmsg_len - CMSG_LEN(0));
    return m->header.size == 0 ||
           (m->header.size <= sizeof(m->u) &&
            recv(b->fd, &m->u, m->header.size, MSG_WAITALL) ==
                (ssize_t)m->header.size);
}

static inline void *backend_run(void *context)
{
    struct backend *b = context;
    struct backend_message message;
    int fds[8];

    for (;;) {
        struct pollfd ready[2] = {{.fd = b->fd, .events = POLLIN},
                                  {.fd = b->kick, .events = POLLIN}};
        eventfd_t count;

        poll(ready, 2, -1);
        if (ready[1].revents & POLLIN && b->enabled) {
            eventfd_read(b->kick, &count);
            backend_serve(b);
        }
        if (!ready[0].revents)
            continue;
        memset(&message, 0, sizeof(message));
        if (!backend_receive(b, &message, fds) ||
            !backend_handle(b, &message, fds))
            break;
    }
    shutdown(b->fd, SHUT_RDWR);
    return NULL;
}

#define BACKEND_FEATURES                                                       \
    (UINT64_C(1) << VIRTIO_F_VERSION_1 | UINT64_C(1) << 30 |                   \
     UINT64_C(1) << VIRTIO_RING_F_INDIRECT_DESC)
#define BACKEND_PROTOCOL                                                       \
    (UINT64_C(1) << VHOST_PROTOCOL_F_MQ |                                      \
     UINT64_C(1) << VHOST_PROTOCOL_F_REPLY_ACK |                               \
     UINT64_C(1) << VHOST_PROTOCOL_F_CONFIG |                                  \
     UINT64_C(1) << VHOST_PROTOCOL_F_BACKEND_REQ)

/* One that is right, and does not run yet. */
static inline void backend_init(struct backend *b)
{
    int fds[2];

    memset(b, 0, sizeof(*b));
    b->features = BACKEND_FEATURES;
    b->protocol = BACKEND_PROTOCOL;
    b->queues = 4;
    b->kick = b->call = b->channel = -1;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
        fail_msg("socketpair");
    b->front = fds[0];
    b->fd = fds[1];
}

static inline void backend_start(struct backend *b)
{
    pthread_create(&b->thread, NULL, backend_run, b);
}

/* The front end has let go of it, or it is made to end. */
static inline void backend_end(struct backend *b)
{
    shutdown(b->fd, SHUT_RDWR);
    pthread_join(b->thread, NULL);
    backend_unmap(b);
    backend_close(&b->kick);
    backend_close(&b->call);
    backend_close(&b->channel);
    backend_close(&b->fd);
}

#endif
