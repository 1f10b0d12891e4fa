/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* The queues of a virtio device, for its core. */
#ifndef VMM_VIRTIO_QUEUES_H
#define VMM_VIRTIO_QUEUES_H

#include "virtio/device.h"

/* Make and watch the queues of a new device. */
int virtio_queues_init(struct vmm_virtio *virtio,
                       const struct vmm_virtio_config *config,
                       struct vmm_error *err);
/* No notification is served any more once it returns.  Lock not held. */
void virtio_queues_unwatch(struct vmm_virtio *virtio);
void virtio_queues_fini(struct vmm_virtio *virtio);
/* As after a reset.  Lock held. */
void virtio_queues_reset(struct vmm_virtio *virtio);

#endif
