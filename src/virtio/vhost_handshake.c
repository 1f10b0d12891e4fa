/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* How a connection to a back end begins: what both sides can do. */
#include <errno.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <stddef.h>

#include "base/arith.h"
#include "virtio/vhost_user.h"

#define PROTOCOL_FEATURES                                                      \
    (BIT(VHOST_PROTOCOL_F_MQ) | BIT(VHOST_PROTOCOL_F_REPLY_ACK) |              \
     BIT(VHOST_PROTOCOL_F_BACKEND_REQ) | BIT(VHOST_PROTOCOL_F_CONFIG))

static int get_protocol(struct vhost_user *vhost, struct vmm_error *err)
{
    struct vhost_connection *connection = &vhost->connection;
    uint64_t protocol;

    if (!(vhost->features & BIT(VHOST_F_PROTOCOL_FEATURES)))
        return 0;
    int rc =
        vhost_ask_u64(connection, VHOST_GET_PROTOCOL_FEATURES, &protocol, err);
    if (rc)
        return rc;
    vhost->protocol = protocol & PROTOCOL_FEATURES;
    rc = vhost_tell_u64(connection, VHOST_SET_PROTOCOL_FEATURES,
                        vhost->protocol, err);
    connection->acknowledges =
        vhost->protocol & BIT(VHOST_PROTOCOL_F_REPLY_ACK);
    return rc;
}

static int check_queues(const struct vhost_user *vhost,
                        const struct vmm_vhost_user_config *config,
                        struct vmm_error *err)
{
    const bool is_block = config->id == VIRTIO_ID_BLOCK;
    /* A file system has one for what is urgent. */
    const uint64_t wanted = config->queues + !is_block;
    uint64_t count = wanted;
    int rc = 0;

    if (vhost->protocol & BIT(VHOST_PROTOCOL_F_MQ))
        rc =
            vhost_ask_u64(&vhost->connection, VHOST_GET_QUEUE_NUM, &count, err);
    if (rc)
        return rc;
    if (is_block && !(vhost->features & BIT(VIRTIO_BLK_F_MQ)))
        count = 1;
    if (count < wanted)
        return vmm_error_set(
            err, ENOTSUP, "the daemon has up to %llu queues, not %llu",
            (unsigned long long)count, (unsigned long long)wanted);
    return 0;
}

static int check_features(const struct vhost_user *vhost,
                          const struct vmm_vhost_user_config *config,
                          struct vmm_error *err)
{
    if (!(vhost->features & BIT(VIRTIO_F_VERSION_1)))
        return vmm_error_set(err, ENOTSUP,
                             "the daemon does not know virtio 1 (features "
                             "0x%llx)",
                             (unsigned long long)vhost->features);
    if (config->id == VIRTIO_ID_BLOCK &&
        !(vhost->protocol & BIT(VHOST_PROTOCOL_F_CONFIG)))
        return vmm_error_set(err, ENOTSUP,
                             "the daemon does not tell how its disk is: it "
                             "is not one of vhost-user-blk");
    return 0;
}

int vhost_shake_hands(struct vhost_user *vhost,
                      const struct vmm_vhost_user_config *config,
                      struct vmm_error *err)
{
    int rc = vhost_ask_u64(&vhost->connection, VHOST_GET_FEATURES,
                           &vhost->features, err);
    if (rc == 0)
        rc = get_protocol(vhost, err);
    if (rc == 0)
        rc = vhost_tell(&vhost->connection, VHOST_SET_OWNER, NULL, 0, NULL, 0,
                        err);
    if (rc == 0)
        rc = check_features(vhost, config, err);
    if (rc == 0)
        rc = check_queues(vhost, config, err);
    return rc;
}
