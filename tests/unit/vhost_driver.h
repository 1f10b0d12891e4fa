/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* A device whose back end is vhost_backend.h's, and its driver. */
#ifndef VHOST_DRIVER_H
#define VHOST_DRIVER_H

#include <linux/virtio_blk.h>
#include <linux/virtio_ids.h>
#include <stdio.h>

#include <vmm/vhost_user.h>

#include "vhost_backend.h"
#include "virtio_driver.h"

#define SECOND      UINT64_C(1000000000)
#define NO_DEADLINE (60 * SECOND) /* that a test comes to */
#define A_MOMENT    (SECOND / 20)
#define EVERYTHING  (ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK)

struct vhost {
    struct host h; /* first: the fixture of both transports */
    struct backend backend;
    struct vmm_vhost_user_config config;
    unsigned failures;
    bool closed;
};

static void on_failed(void *context)
{
    ((struct vhost *)context)->failures++;
}

static void on_closed(void *context)
{
    ((struct vhost *)context)->closed = true;
}

/* Everything but the device: the test may change the back end and the
 * configuration. */
static void vhost_prepare(struct vhost *v, uint32_t id)
{
    memset(v, 0, sizeof(*v));
    driver_shares_memory = true;
    host_set_up(&v->h);
    backend_init(&v->backend);
    v->config = (struct vmm_vhost_user_config){
        .name = "test disk",
        .memory = v->h.driver.memory,
        .loop = v->h.loop,
        .socket = v->backend.front,
        .id = id,
        .tag = "data",
        .queues = 1,
        .deadline_ns = NO_DEADLINE,
        .failed = on_failed,
        .closed = on_closed,
        .context = v,
    };
}

/* The back end runs, the device is on its bus. */
static void vhost_attach(struct vhost *v)
{
    struct vmm_virtio *virtio;
    struct vmm_error err;

    backend_start(&v->backend);
    if (vmm_vhost_user_new(&v->config, &virtio, &err))
        fail_msg("%s", err.text);
    host_attach(&v->h, virtio);
}

static void vhost_tear_down(struct vhost *v)
{
    host_tear_down(&v->h);
    backend_end(&v->backend);
}

/* The same without a device. */
static inline void vhost_give_up(struct vhost *v)
{
    vmm_loop_free(v->h.loop);
    vmm_bus_free(v->h.bus);
    driver_tear_down(&v->h.driver);
    backend_end(&v->backend);
}

/* Step the loop until something is true; too long a wait fails. */
#define AWAIT(v, condition)                                                    \
    do {                                                                       \
        for (int i_ = 0; !(condition); i_++) {                                 \
            if (i_ == 10000)                                                   \
                fail_msg("never: " #condition);                                \
            vmm_loop_step((v)->h.loop, 1000000);                               \
        }                                                                      \
    } while (0)

/* How it has failed, or "". */
static inline const char *failure(struct vhost *v)
{
    static struct vmm_error why;

    vmm_vhost_user_failure(v->h.virtio, &why);
    return why.text;
}

#endif
