/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* The vhost-user protocol's messages, from and to a back end. */
#ifndef VIRTIO_VHOST_CONNECTION_H
#define VIRTIO_VHOST_CONNECTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vmm/error.h>

/* What we ask of a back end ("Front-end message types"). */
enum vhost_request {
    VHOST_GET_FEATURES = 1,
    VHOST_SET_FEATURES = 2,
    VHOST_SET_OWNER = 3,
    VHOST_SET_MEM_TABLE = 5,
    VHOST_SET_VRING_NUM = 8,
    VHOST_SET_VRING_ADDR = 9,
    VHOST_SET_VRING_BASE = 10,
    VHOST_GET_VRING_BASE = 11,
    VHOST_SET_VRING_KICK = 12,
    VHOST_SET_VRING_CALL = 13,
    VHOST_GET_PROTOCOL_FEATURES = 15,
    VHOST_SET_PROTOCOL_FEATURES = 16,
    VHOST_GET_QUEUE_NUM = 17,
    VHOST_SET_VRING_ENABLE = 18,
    VHOST_SET_BACKEND_REQ_FD = 21,
    VHOST_GET_CONFIG = 24,
    VHOST_SET_CONFIG = 25,
};

#define VHOST_F_PROTOCOL_FEATURES    30 /* of the features */
#define VHOST_PROTOCOL_F_MQ          0
#define VHOST_PROTOCOL_F_REPLY_ACK   3
#define VHOST_PROTOCOL_F_BACKEND_REQ 5
#define VHOST_PROTOCOL_F_CONFIG      9

/* What a back end asks of us ("Back-end message types"). */
#define VHOST_BACKEND_CONFIG_CHANGE 2

#define VHOST_REGIONS_MAX 8
#define VHOST_CONFIG_MAX  256 /* bytes of configuration in a message */

struct vhost_header {
    uint32_t request;
    uint32_t flags;
    uint32_t size; /* of what follows */
};
#define VHOST_VERSION      0x1
#define VHOST_VERSION_MASK 0x3
#define VHOST_REPLY        0x4
#define VHOST_NEED_REPLY   0x8

struct vhost_vring {
    uint32_t index, num;
};

/* Addresses are those that SET_MEM_TABLE gives as the front end's own: of
 * ours, the guest's physical ones. */
struct vhost_ring_addresses {
    uint32_t index, flags;
    uint64_t desc, used, avail, log;
};

struct vhost_memory {
    uint32_t count, padding;
    struct vhost_region {
        uint64_t gpa, size, address, offset;
    } regions[VHOST_REGIONS_MAX];
};

struct vhost_config {
    uint32_t offset, size, flags;
    uint8_t bytes[VHOST_CONFIG_MAX];
};
#define VHOST_CONFIG_HEADER offsetof(struct vhost_config, bytes)

/* A connection to a back end.  One thread at a time. */
struct vhost_connection {
    int fd;
    uint64_t deadline_ns; /* for each message, and its answer */
    bool acknowledges;    /* it answers all that it is asked to */
};

/* A message without an answer, unless the back end can acknowledge it: then an
 * acknowledgement is waited for.  Up to VHOST_REGIONS_MAX fds go with it. */
int vhost_tell(const struct vhost_connection *connection,
               enum vhost_request request, const void *payload, size_t size,
               const int *fds, size_t fd_count, struct vmm_error *err);
/* A message whose answer has reply_size bytes, into reply. */
int vhost_ask(const struct vhost_connection *connection,
              enum vhost_request request, const void *payload, size_t size,
              void *reply, size_t reply_size, struct vmm_error *err);
/* With one number as payload / as answer. */
int vhost_tell_u64(const struct vhost_connection *connection,
                   enum vhost_request request, uint64_t value,
                   struct vmm_error *err);
int vhost_ask_u64(const struct vhost_connection *connection,
                  enum vhost_request request, uint64_t *value,
                  struct vmm_error *err);

/*
 * Some bytes of a message, without waiting; files that come with them are
 * closed.  Their number, 0 at the end, or -errno; -EAGAIN.
 */
long vhost_receive_some(int fd, void *bytes, size_t max);

#endif
