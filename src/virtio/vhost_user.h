/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* A device whose back end is another process, shared by its files. */
#ifndef VIRTIO_VHOST_USER_H
#define VIRTIO_VHOST_USER_H

#include <vmm/vhost_user.h>

#include "virtio/device.h"
#include "virtio/vhost_connection.h"

#define VHOST_QUEUES_MAX   (1 + VMM_VHOST_USER_QUEUES_MAX)
#define VHOST_CONFIG_BYTES 60 /* of a block device, with discard */

struct vhost_user;

/* A queue that the back end serves. */
struct vhost_ring {
    struct vhost_user *vhost;
    unsigned index;
    int call_fd; /* the back end raises it, and we interrupt the driver */
    struct vmm_watch *watch;
    int lent_fd; /* what it raises: the transport's own, or call_fd */
    bool started;
};

/* By which the back end asks something of us; the loop's thread's. */
struct vhost_channel {
    int fd; /* -1: there is none */
    struct vmm_watch *watch;
    size_t got; /* of the message that comes in */
    struct {
        struct vhost_header header;
        uint8_t payload[VHOST_CONFIG_MAX];
    } message;
};

struct vhost_user {
    struct vmm_virtio virtio;
    char name[64];
    struct vmm_process *process; /* or NULL */
    void (*closed)(void *context);
    void *context;

    struct vhost_channel channel;
    struct vhost_ring rings[VHOST_QUEUES_MAX];

    /* Under the device's lock: */
    void (*failed)(void *context); /* NULL: nobody is to be told (any more) */
    struct vmm_watch *hangup;      /* of the connection's end */
    struct vhost_connection connection;
    uint64_t features, protocol; /* that the back end has */
    uint8_t config[VHOST_CONFIG_BYTES];
    struct vmm_error why; /* it has failed */
};

static inline struct vhost_user *vhost_of(struct vmm_virtio *virtio)
{
    return (struct vhost_user *)virtio;
}

/* ---- vhost_user.c: lock held ----------------------------------------------
 */

/* The back end has failed; its text is completed.  Returns -err->code. */
int vhost_fail(struct vhost_user *vhost, struct vmm_error *err);
/* Read the configuration space anew. */
int vhost_read_config(struct vhost_user *vhost, struct vmm_error *err);

/* ---- vhost_rings.c --------------------------------------------------------
 */

int vhost_rings_init(struct vhost_user *vhost, struct vmm_error *err);
void vhost_rings_fini(struct vhost_user *vhost);
/* The driver is ready / has reset: lock held. */
int vhost_rings_start(struct vhost_user *vhost, struct vmm_error *err);
/* It may be told of other eventfds for interrupts. */
int vhost_rings_rewire(struct vhost_user *vhost, struct vmm_error *err);
int vhost_rings_stop(struct vhost_user *vhost, struct vmm_error *err);

/* ---- vhost_channel.c ------------------------------------------------------
 */

/* Give the back end a channel, if it knows how to use one.  Lock held. */
int vhost_channel_init(struct vhost_user *vhost, struct vmm_error *err);
void vhost_channel_fini(struct vhost_user *vhost);

/* ---- vhost_handshake.c ----------------------------------------------------
 */

/* Get acquainted with the back end of a device that is to be. */
int vhost_shake_hands(struct vhost_user *vhost,
                      const struct vmm_vhost_user_config *config,
                      struct vmm_error *err);

#endif
