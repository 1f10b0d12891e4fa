/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* A virtio device whose back end is another process (vhost-user): its life,
 * its configuration, and how it fails. */
#include <errno.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>
#include <linux/virtio_fs.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_ring.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/arith.h"
#include "base/endian.h"
#include "virtio/vhost_user.h"

#define SECOND UINT64_C(1000000000)

#define DEADLINE_NS    (5 * SECOND)
#define GRACE_NS       (INT64_C(10) * 1000000000) /* to write what it has */
#define LAST_WORDS_NS  (SECOND / 5) /* from its last socket's end to its own */
#define BLK_QUEUE_SIZE 256
#define FS_QUEUE_SIZE  1024

/* What a driver may be offered of what a back end has: the block device's own
 * features, and those of rings that we check. */
#define RING_FEATURES                                                          \
    (BIT(VIRTIO_F_VERSION_1) | BIT(VIRTIO_RING_F_INDIRECT_DESC) |              \
     BIT(VIRTIO_RING_F_EVENT_IDX))
/* Those whose configuration there is within VHOST_CONFIG_BYTES: a driver that
 * accepts secure erase, and finds zeros there, gives the device up. */
#define BLK_FEATURES (BIT(VIRTIO_BLK_F_WRITE_ZEROES + 1) - 1)

/* ---- failure --------------------------------------------------------------
 */

/* The text of a failure, with whose it is and what is known of the process. */
static void complete(const struct vhost_user *vhost, struct vmm_error *err)
{
    char text[VMM_ERROR_TEXT_BYTES], how[VMM_ERROR_TEXT_BYTES - 16];

    memcpy(text, err->text, sizeof(text));
    /* What is gone may be about to end, and to say why. */
    if (vhost->process && err->code == ECONNRESET &&
        vmm_process_wait(vhost->process, LAST_WORDS_NS) == 0) {
        vmm_process_describe(vhost->process, how, sizeof(how));
        snprintf(text, sizeof(text), "the daemon %s", how);
    }
    /* Both fit: what is cut off is the end of the process's own words. */
    int used = snprintf(err->text, sizeof(err->text), "%s: ", vhost->name);
    snprintf(err->text + used, sizeof(err->text) - (size_t)used, "%.*s",
             (int)(sizeof(err->text) - (size_t)used - 1), text);
}

int vhost_fail(struct vhost_user *vhost, struct vmm_error *err)
{
    if (vhost->why.code)
        return -vhost->why.code;
    complete(vhost, err);
    vhost->why = *err;
    shutdown(vhost->connection.fd, SHUT_RDWR);
    if (vhost->hangup)
        vmm_watch_modify(vhost->hangup, 0);
    if (vhost->process)
        vmm_process_signal(vhost->process, SIGTERM);
    vmm_virtio_needs_reset(&vhost->virtio);
    if (vhost->failed)
        vhost->failed(vhost->context);
    return -err->code;
}

/* The connection has ended; on the loop's thread. */
static void on_hangup(void *context, uint32_t events)
{
    struct vhost_user *vhost = context;
    struct vmm_error err = {0};

    (void)events;
    vmm_error_set(&err, ECONNRESET, "the daemon has closed the connection");
    vmm_virtio_enter(&vhost->virtio);
    vhost_fail(vhost, &err);
    vmm_virtio_leave(&vhost->virtio);
}

/* ---- configuration space --------------------------------------------------
 */

/* That of a block device has as many queues as we, not as the daemon. */
static void set_queues(struct vhost_user *vhost)
{
    store_le16(vhost->config + offsetof(struct virtio_blk_config, num_queues),
               (uint16_t)vhost->virtio.queue_count);
}

int vhost_read_config(struct vhost_user *vhost, struct vmm_error *err)
{
    struct vhost_config ask = {.size = VHOST_CONFIG_BYTES}, got;
    const size_t size = VHOST_CONFIG_HEADER + VHOST_CONFIG_BYTES;

    if (vhost->virtio.ops->id != VIRTIO_ID_BLOCK)
        return 0;
    int rc = vhost_ask(&vhost->connection, VHOST_GET_CONFIG, &ask, size, &got,
                       size, err);
    if (rc)
        return rc;
    memcpy(vhost->config, got.bytes, VHOST_CONFIG_BYTES);
    set_queues(vhost);
    return 0;
}

static void read_config(struct vmm_virtio *virtio, uint32_t offset, void *bytes,
                        uint32_t len)
{
    memcpy(bytes, vhost_of(virtio)->config + offset, len);
}

/* A driver may write one byte: whether there is a write cache. */
static void write_config(struct vmm_virtio *virtio, uint32_t offset,
                         const void *bytes, uint32_t len)
{
    struct vhost_user *vhost = vhost_of(virtio);
    struct vhost_config config = {.offset = offset, .size = len};
    struct vmm_error err = {0};

    if (virtio->ops->id != VIRTIO_ID_BLOCK || len != 1 ||
        offset != offsetof(struct virtio_blk_config, wce) ||
        !vmm_virtio_has(virtio, VIRTIO_BLK_F_CONFIG_WCE) || vhost->why.code)
        return;
    config.bytes[0] = *(const uint8_t *)bytes & 1;
    if (vhost_tell(&vhost->connection, VHOST_SET_CONFIG, &config,
                   VHOST_CONFIG_HEADER + 1, NULL, 0, &err))
        vhost_fail(vhost, &err);
    else
        vhost->config[offset] = config.bytes[0];
}

/* ---- the driver -----------------------------------------------------------
 */

static int start(struct vmm_virtio *virtio)
{
    struct vhost_user *vhost = vhost_of(virtio);
    struct vmm_error err = {0};

    if (vhost->why.code)
        return -vhost->why.code;
    return vhost_rings_start(vhost, &err) ? vhost_fail(vhost, &err) : 0;
}

static void rewire(struct vmm_virtio *virtio)
{
    struct vhost_user *vhost = vhost_of(virtio);
    struct vmm_error err = {0};

    if (!vhost->why.code && vhost_rings_rewire(vhost, &err))
        vhost_fail(vhost, &err);
}

static void stop(struct vmm_virtio *virtio)
{
    struct vhost_user *vhost = vhost_of(virtio);
    struct vmm_error err = {0};

    if (vhost_rings_stop(vhost, &err))
        vhost_fail(vhost, &err);
}

/* ---- life -----------------------------------------------------------------
 */

/* What is there before the device is. */
static void release(struct vhost_user *vhost)
{
    if (vhost->connection.fd >= 0)
        close(vhost->connection.fd);
    vhost->connection.fd = -1;
    vmm_process_end(vhost->process, GRACE_NS);
    vhost->process = NULL;
}

static void on_close(struct vmm_virtio *virtio)
{
    struct vhost_user *vhost = vhost_of(virtio);

    /* A failure that comes meanwhile finds neither. */
    vmm_virtio_enter(virtio);
    struct vmm_watch *hangup = vhost->hangup;
    vhost->hangup = NULL;
    vhost->failed = NULL;
    vmm_virtio_leave(virtio);
    vmm_watch_remove(hangup);
    vhost_rings_fini(vhost);
    vhost_channel_fini(vhost);
    /* Reads of the configuration may still come. */
    vmm_virtio_enter(virtio);
    if (!vhost->why.code)
        vmm_error_set(&vhost->why, ESHUTDOWN, "%s: closed", vhost->name);
    vmm_virtio_leave(virtio);
    release(vhost);
    if (vhost->closed)
        vhost->closed(vhost->context);
}

static void destroy(struct vmm_virtio *virtio)
{
    free(vhost_of(virtio));
}

#define OPS(name_, id_)                                                        \
    {                                                                          \
        .name = (name_), .id = (id_), .start = start, .stop = stop,            \
        .rewire = rewire, .read_config = read_config,                          \
        .write_config = write_config, .close = on_close, .destroy = destroy,   \
    }

static const struct vmm_virtio_ops block_ops =
    OPS("vhost-user-blk", VIRTIO_ID_BLOCK);
static const struct vmm_virtio_ops fs_ops = OPS("vhost-user-fs", VIRTIO_ID_FS);

int vmm_vhost_user_failure(struct vmm_virtio *virtio, struct vmm_error *why)
{
    vmm_error_clear(why);
    if (virtio->ops != &block_ops && virtio->ops != &fs_ops)
        return -ENOTTY;
    vmm_virtio_enter(virtio);
    struct vmm_error found = vhost_of(virtio)->why;
    vmm_virtio_leave(virtio);
    if (found.code)
        return vmm_error_set(why, found.code, "%s", found.text);
    return 0;
}

/* ---- a new one ------------------------------------------------------------
 */

static int check(const struct vmm_vhost_user_config *config,
                 struct vmm_error *err)
{
    const size_t regions = vmm_memory_region_count(config->memory);
    const size_t tag = config->tag ? strlen(config->tag) : 0;

    if (config->queues < 1 || config->queues > VMM_VHOST_USER_QUEUES_MAX)
        return vmm_error_set(err, EINVAL, "%u queues: 1 to %d are possible",
                             config->queues, VMM_VHOST_USER_QUEUES_MAX);
    if (config->id == VIRTIO_ID_FS &&
        (tag < 1 || tag > sizeof(((struct virtio_fs_config *)0)->tag)))
        return vmm_error_set(err, EINVAL, "a tag has 1 to 36 bytes");
    if (config->id != VIRTIO_ID_FS && config->id != VIRTIO_ID_BLOCK)
        return vmm_error_set(err, EINVAL, "no device of type %u", config->id);
    if (regions > VHOST_REGIONS_MAX)
        return vmm_error_set(err, EINVAL,
                             "guest memory of %zu regions: a daemon can have "
                             "%d",
                             regions, VHOST_REGIONS_MAX);
    for (size_t i = 0; i < regions; i++)
        if (vmm_memory_region(config->memory, i).fd < 0)
            return vmm_error_set(err, EINVAL,
                                 "guest memory must be shared with the daemon "
                                 "(memory.shared)");
    return 0;
}

static int init_core(struct vhost_user *vhost,
                     const struct vmm_vhost_user_config *config,
                     struct vmm_error *err)
{
    const bool is_block = config->id == VIRTIO_ID_BLOCK;
    uint16_t sizes[VHOST_QUEUES_MAX];

    for (unsigned i = 0; i < VHOST_QUEUES_MAX; i++)
        sizes[i] = is_block ? BLK_QUEUE_SIZE : FS_QUEUE_SIZE;
    const struct vmm_virtio_config core = {
        .memory = config->memory,
        .loop = config->loop,
        .features =
            vhost->features & (RING_FEATURES | (is_block ? BLK_FEATURES : 0)),
        .queue_count = config->queues + !is_block,
        .queue_sizes = sizes,
        .config_bytes =
            is_block ? VHOST_CONFIG_BYTES : sizeof(struct virtio_fs_config),
        .external = true,
    };
    return vmm_virtio_init(&vhost->virtio, is_block ? &block_ops : &fs_ops,
                           &core, err);
}

/* What comes after the core. */
static int connect_all(struct vhost_user *vhost,
                       const struct vmm_vhost_user_config *config,
                       struct vmm_error *err)
{
    struct virtio_fs_config *fs = (struct virtio_fs_config *)vhost->config;

    if (config->id == VIRTIO_ID_FS) {
        memcpy(fs->tag, config->tag, strlen(config->tag));
        store_le32(vhost->config +
                       offsetof(struct virtio_fs_config, num_request_queues),
                   config->queues);
    }
    int rc = vhost_read_config(vhost, err);
    if (rc == 0)
        rc = vhost_rings_init(vhost, err);
    if (rc == 0)
        rc = vhost_channel_init(vhost, err);
    if (rc == 0)
        rc = vmm_loop_watch(config->loop, vhost->connection.fd, EPOLLRDHUP,
                            on_hangup, vhost, &vhost->hangup, err);
    return rc;
}

/* From now on its failure is told; it may have failed already. */
static void listen_to(struct vhost_user *vhost,
                      const struct vmm_vhost_user_config *config)
{
    vmm_virtio_enter(&vhost->virtio);
    vhost->failed = config->failed;
    vhost->closed = config->closed;
    vhost->context = config->context;
    if (vhost->why.code && vhost->failed)
        vhost->failed(vhost->context);
    vmm_virtio_leave(&vhost->virtio);
}

static struct vhost_user *make(const struct vmm_vhost_user_config *config)
{
    struct vhost_user *vhost = calloc(1, sizeof(*vhost));

    if (!vhost)
        return NULL;
    snprintf(vhost->name, sizeof(vhost->name), "%s", config->name);
    vhost->connection.fd = config->socket;
    vhost->connection.deadline_ns =
        config->deadline_ns ? config->deadline_ns : DEADLINE_NS;
    vhost->process = config->process;
    vhost->channel.fd = -1;
    for (unsigned i = 0; i < VHOST_QUEUES_MAX; i++)
        vhost->rings[i].call_fd = -1;
    return vhost;
}

int vmm_vhost_user_new(const struct vmm_vhost_user_config *config,
                       struct vmm_virtio **virtio, struct vmm_error *err)
{
    struct vmm_error why = {0};

    *virtio = NULL;
    struct vhost_user *vhost = make(config);
    if (!vhost) {
        close(config->socket);
        vmm_process_end(config->process, GRACE_NS);
        vmm_error_clear(err);
        return vmm_error_set(err, ENOMEM, "%s: out of memory", config->name);
    }
    int rc = check(config, &why);
    if (rc == 0)
        rc = vhost_shake_hands(vhost, config, &why);
    bool is_device = rc == 0 && (rc = init_core(vhost, config, &why)) == 0;
    if (is_device)
        rc = connect_all(vhost, config, &why);
    if (rc) {
        complete(vhost, &why);
        vmm_error_clear(err);
        vmm_error_set(err, why.code, "%s", why.text);
        if (is_device) {
            vmm_virtio_unref(&vhost->virtio);
        } else {
            release(vhost);
            free(vhost);
        }
        return rc;
    }
    listen_to(vhost, config);
    *virtio = &vhost->virtio;
    return 0;
}
