/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* The socket device: virtio 1.2, section 5.10. */
#include <errno.h>
#include <linux/virtio_ids.h>
#include <stdlib.h>
#include <string.h>

#include "virtio/device.h"
#include "virtio/vsock.h"

#define QUEUE_SIZE       256
#define EVENT_QUEUE_SIZE 16
#define CLOSE_MS         8000
#define PORT_BYTES       11 /* of "_4294967294" */
#define NS_PER_MS        UINT64_C(1000000)

static struct vsock *vsock_of(struct vmm_virtio *virtio)
{
    return (struct vsock *)virtio;
}

/* ---- queues ---------------------------------------------------------------
 */

static bool serve_tx(struct vsock *vsock, struct vmm_virtq *ring)
{
    struct vmm_chain *chain;
    unsigned served = 0;

    vmm_virtq_suppress(ring);
    for (; served < VSOCK_BUDGET; served++) {
        /* Each packet may be worth a reply; where replies find no buffers, the
         * guest has to wait (section 5.10.6.1.1). */
        vsock->tx_waits = vsock->reply_count == VSOCK_REPLIES_MAX;
        if (vsock->tx_waits || vmm_virtq_pop(ring, &chain) <= 0)
            break;
        vsock_receive(vsock, chain);
        vmm_virtq_push(chain, 0);
    }
    vmm_virtio_signal(&vsock->virtio, VSOCK_TX);
    bool waits = vsock->tx_waits;
    vsock_pump(vsock); /* kicks this queue if it waits and there is room now */
    return !waits && (served == VSOCK_BUDGET || vmm_virtq_arm(ring));
}

static void send_event(struct vsock *vsock)
{
    static const struct virtio_vsock_event event = {
        VIRTIO_VSOCK_EVENT_TRANSPORT_RESET};
    struct vmm_virtq *ring = vmm_virtio_queue(&vsock->virtio, VSOCK_EVENT);
    struct vmm_chain *chain;

    /* Buffers that are too small go back. */
    for (int i = 0; ring && vsock->event_owed && i < EVENT_QUEUE_SIZE; i++) {
        if (vmm_virtq_pop(ring, &chain) <= 0)
            break;
        bool ok = vmm_chain_write(chain, 0, &event, sizeof(event)) == 0;
        vmm_virtq_push(chain, ok ? sizeof(event) : 0);
        vsock->event_owed = !ok;
    }
    vmm_virtio_signal(&vsock->virtio, VSOCK_EVENT);
}

static bool vsock_serve(struct vmm_virtio *virtio, unsigned queue)
{
    struct vsock *vsock = vsock_of(virtio);
    struct vmm_virtq *ring = vmm_virtio_queue(virtio, queue);

    if (queue == VSOCK_TX)
        return serve_tx(vsock, ring);
    if (queue == VSOCK_RX) {
        vsock_pump(vsock);
        return false;
    }
    vmm_virtq_suppress(ring);
    send_event(vsock);
    return vsock->event_owed && vmm_virtq_arm(ring);
}

/* ---- life -----------------------------------------------------------------
 */

static int vsock_start(struct vmm_virtio *virtio)
{
    vsock_watch_listener(vsock_of(virtio));
    return 0;
}

static void bury_all(struct vsock *vsock)
{
    struct vsock_conn *conn;

    while ((conn = LIST_FIRST(&vsock->all)))
        vsock_bury(conn);
    vsock->first_reply = vsock->reply_count = 0;
}

static void vsock_stop(struct vmm_virtio *virtio)
{
    struct vsock *vsock = vsock_of(virtio);

    bury_all(vsock);
    if (vsock->spare)
        vmm_virtq_push(vsock->spare, 0);
    vsock->spare = NULL;
    vsock->tx_waits = vsock->event_owed = false;
    virtio->running = false; /* as it will be: host programs wait */
    vsock_watch_listener(vsock);
}

static void vsock_close(struct vmm_virtio *virtio)
{
    struct vsock *vsock = vsock_of(virtio);

    vmm_watch_remove(vsock->listener_watch);
    vmm_wakeup_remove(vsock->reaper);
    if (vsock->timer)
        vmm_timer_remove(vsock->timer);
    vsock->listener_watch = NULL;
    vsock->reaper = NULL;
    vsock->timer = NULL;
    vsock_reap(vsock);
    vmm_unix_close(&vsock->listener);
}

static void vsock_destroy(struct vmm_virtio *virtio)
{
    free(vsock_of(virtio));
}

static void vsock_read_config(struct vmm_virtio *virtio, uint32_t offset,
                              void *bytes, uint32_t len)
{
    struct virtio_vsock_config config = {.guest_cid = vsock_of(virtio)->cid};

    memcpy(bytes, (const uint8_t *)&config + offset, len);
}

static const struct vmm_virtio_ops vsock_ops = {
    .name = "virtio-vsock",
    .id = VIRTIO_ID_VSOCK,
    .start = vsock_start,
    .stop = vsock_stop,
    .serve = vsock_serve,
    .read_config = vsock_read_config,
    .close = vsock_close,
    .destroy = vsock_destroy,
};

int vmm_virtio_vsock_reset(struct vmm_virtio *virtio)
{
    struct vsock *vsock = vsock_of(virtio);

    if (virtio->ops != &vsock_ops)
        return -EINVAL;
    vmm_virtio_enter(virtio);
    if (virtio->running) {
        bury_all(vsock);
        vsock->event_owed = true;
        vmm_virtio_kick(virtio, VSOCK_EVENT);
    }
    vmm_virtio_leave(virtio);
    return 0;
}

/* ---- construction ---------------------------------------------------------
 */

static int check(const struct vmm_vsock_config *config, struct vmm_error *err)
{
    size_t max = sizeof(((struct sockaddr_un *)0)->sun_path) - 1 - PORT_BYTES;

    if (config->cid <= VSOCK_HOST_CID || config->cid >= UINT32_MAX)
        return vmm_error_set(err, EINVAL,
                             "virtio-vsock: no guest can have CID %llu: 3 to "
                             "4294967294",
                             (unsigned long long)config->cid);
    if (strlen(config->path) > max)
        return vmm_error_set(err, ENAMETOOLONG,
                             "virtio-vsock: the path of a socket that ports "
                             "are appended to has at most %zu bytes, this one "
                             "has %zu: %s",
                             max, strlen(config->path), config->path);
    return 0;
}

static int set_up(struct vsock *vsock, const char *path, struct vmm_error *err)
{
    struct vmm_loop *loop = vsock->virtio.loop;
    int rc = vmm_unix_listen(&vsock->listener, path, err);

    if (rc == 0)
        rc = vmm_loop_wakeup(loop, vsock_reap, vsock, &vsock->reaper, err);
    if (rc == 0)
        rc = vmm_loop_timer(loop, vsock_on_time, vsock, &vsock->timer, err);
    if (rc == 0)
        rc = vmm_loop_watch(loop, vsock->listener.fd, 0, vsock_on_connect,
                            vsock, &vsock->listener_watch, err);
    return rc;
}

int vmm_virtio_vsock_new(struct vmm_memory *memory, struct vmm_loop *loop,
                         const struct vmm_vsock_config *config,
                         struct vmm_virtio **virtio, struct vmm_error *err)
{
    static const uint16_t sizes[VSOCK_QUEUES] = {QUEUE_SIZE, QUEUE_SIZE,
                                                 EVENT_QUEUE_SIZE};
    const struct vmm_virtio_config core = {
        .memory = memory,
        .loop = loop,
        .queue_count = VSOCK_QUEUES,
        .queue_sizes = sizes,
        .config_bytes = sizeof(struct virtio_vsock_config)};

    vmm_error_clear(err);
    *virtio = NULL;
    int rc = check(config, err);
    if (rc)
        return rc;
    struct vsock *vsock = calloc(1, sizeof(*vsock));
    if (!vsock)
        return vmm_error_set(err, ENOMEM, "virtio-vsock: out of memory");
    vsock->cid = config->cid;
    vsock->close_ns =
        (config->close_ms ? config->close_ms : CLOSE_MS) * NS_PER_MS;
    vsock->listener.fd = -1;
    TAILQ_INIT(&vsock->ready);
    rc = vmm_virtio_init(&vsock->virtio, &vsock_ops, &core, err);
    if (rc) {
        free(vsock);
        return rc;
    }
    rc = set_up(vsock, config->path, err);
    if (rc) {
        vmm_virtio_unref(&vsock->virtio);
        return rc;
    }
    *virtio = &vsock->virtio;
    return 0;
}
