/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Virtio devices whose back end is another process: vhost-user. */
#ifndef VMM_VHOST_USER_H
#define VMM_VHOST_USER_H

#include <stdint.h>

#include <vmm/error.h>
#include <vmm/export.h>
#include <vmm/loop.h>
#include <vmm/memory.h>
#include <vmm/process.h>
#include <vmm/virtio.h>

/* A socket for a new device: that of a daemon which listens at a path.  Does
 * not wait; -EAGAIN: too many have connected whom it has not accepted. */
VMM_API int vmm_vhost_user_connect(const char *path, int *socket,
                                   struct vmm_error *err);
/*
 * The same, with a daemon of our own: argv is started, and has as
 * VMM_PROCESS_FD a socket that listens, and that the device is connected to.
 * Nobody else can connect to it.
 */
VMM_API int vmm_vhost_user_start(const char *const *argv, int *socket,
                                 struct vmm_process **process,
                                 struct vmm_error *err);

struct vmm_vhost_user_config {
    const char *name;          /* for messages: "share data"; copied */
    struct vmm_memory *memory; /* shared, of up to 8 regions */
    struct vmm_loop *loop;
    int socket;                  /* taken over, also on failure */
    struct vmm_process *process; /* that has its other end: ended when the
                                  * device is; taken over likewise; or NULL */
    uint32_t id;                 /* VIRTIO_ID_BLOCK or VIRTIO_ID_FS */
    const char *tag;             /* of VIRTIO_ID_FS: 1 to 36 bytes */
    unsigned queues;             /* for requests: 1 to ..._QUEUES_MAX */
    uint64_t deadline_ns;        /* for each answer; 0: 5 s */
    /* The daemon has failed, see below.  Any thread, with the device's lock
     * held.  May be NULL. */
    void (*failed)(void *context);
    /* The device is closed; failed is called no more.  Without the lock.  May
     * be NULL. */
    void (*closed)(void *context);
    void *context;
};
#define VMM_VHOST_USER_QUEUES_MAX 16

/*
 * A block device (virtio 1.2, section 5.2) or a file system (section 5.11) of
 * the daemon: it gets all of the guest's memory, and the driver's rings, which
 * it serves by itself; what it costs us is an interrupt, and not even that
 * where the transport has an eventfd for it (MSI-X).
 *
 * A daemon that dies, does not answer within the deadline, or answers nonsense
 * has failed, for good: the connection is closed, a process of ours is asked
 * to end, the device tells its driver that it needs a reset, and the text of
 * vmm_vhost_user_failure says why.  The guest's memory it may then still have.
 * Errors: -EINVAL, -EPROTO, -ETIMEDOUT, -ECONNRESET, -ENOTSUP: the daemon lacks
 * what we need.
 */
VMM_API int vmm_vhost_user_new(const struct vmm_vhost_user_config *config,
                               struct vmm_virtio **virtio,
                               struct vmm_error *err);
/* Why the daemon has failed: 0 and *why is cleared when it has not, else
 * -errno and it is set.  -ENOTTY: not a device of this kind. */
VMM_API int vmm_vhost_user_failure(struct vmm_virtio *virtio,
                                   struct vmm_error *why);

#endif
