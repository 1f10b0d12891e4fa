/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* The entropy device: virtio 1.2, section 5.4. */
#include <errno.h>
#include <linux/virtio_ids.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/arith.h"
#include "virtio/device.h"
#include "virtio/limit.h"

#define QUEUE_SIZE  64
#define CHUNK_BYTES 256 /* what getrandom gives without being interrupted */
/* A request is filled to this at most: a guest asks again. */
#define REQUEST_BYTES 65536
#define NS_PER_S      UINT64_C(1000000000)

struct rng {
    struct vmm_virtio virtio;
    struct bucket bytes;      /* a second's worth at most */
    struct vmm_timer *refill; /* NULL without a limit */
};

static struct rng *rng_of(struct vmm_virtio *virtio)
{
    return (struct rng *)virtio;
}

/* ---- the limit ------------------------------------------------------------
 */

/* How many bytes may be given now; 0: the timer serves the queue again, when
 * it is worth it. */
static uint64_t allowance(struct rng *rng)
{
    uint64_t level = bucket_level(&rng->bytes, vmm_now_ns());

    if (level == 0)
        vmm_timer_set(rng->refill, NS_PER_S / min_u64(rng->bytes.rate, 100), 0);
    return level;
}

static void on_refill(void *context)
{
    vmm_virtio_kick(context, 0);
}

/* ---- requests -------------------------------------------------------------
 */

/* Fill the chain's first bytes; returns how many. */
static uint32_t fill(struct vmm_chain *chain, uint64_t len)
{
    uint8_t bytes[CHUNK_BYTES];
    uint64_t done = 0;

    while (done < len) {
        ssize_t got = getrandom(
            bytes, (size_t)min_u64(len - done, sizeof(bytes)), GRND_NONBLOCK);

        if (got <= 0 || vmm_chain_write(chain, done, bytes, (size_t)got))
            break;
        done += (uint64_t)got;
    }
    explicit_bzero(bytes, sizeof(bytes));
    return (uint32_t)done;
}

static bool rng_serve(struct vmm_virtio *virtio, unsigned queue)
{
    struct vmm_virtq *ring = vmm_virtio_queue(virtio, queue);
    struct rng *rng = rng_of(virtio);
    struct vmm_chain *chain;
    uint64_t allowed;
    bool more = false;

    vmm_virtq_suppress(ring);
    for (unsigned served = 0; !more; served++) {
        allowed = allowance(rng);
        if (!allowed || vmm_virtq_pop(ring, &chain) <= 0)
            break;
        uint64_t len =
            min_u64(min_u64(chain->writable_bytes, REQUEST_BYTES), allowed);
        uint32_t filled = fill(chain, len);
        bucket_take(&rng->bytes, filled);
        vmm_virtq_push(chain, filled);
        more = served >= QUEUE_SIZE;
    }
    vmm_virtio_signal(virtio, queue);
    /* While nothing is allowed, what the driver offers is left where it is. */
    return more || (allowed && vmm_virtq_arm(ring));
}

static void rng_destroy(struct vmm_virtio *virtio)
{
    free(rng_of(virtio));
}

static void rng_close(struct vmm_virtio *virtio)
{
    struct rng *rng = rng_of(virtio);

    if (rng->refill)
        vmm_timer_remove(rng->refill);
    rng->refill = NULL;
}

static const struct vmm_virtio_ops rng_ops = {
    .name = "virtio-rng",
    .id = VIRTIO_ID_RNG,
    .serve = rng_serve,
    .close = rng_close,
    .destroy = rng_destroy,
};

int vmm_virtio_rng_new(struct vmm_memory *memory, struct vmm_loop *loop,
                       uint32_t rate_bytes, struct vmm_virtio **virtio,
                       struct vmm_error *err)
{
    static const uint16_t sizes[] = {QUEUE_SIZE};
    const struct vmm_virtio_config config = {
        .memory = memory, .loop = loop, .queue_count = 1, .queue_sizes = sizes};

    *virtio = NULL;
    struct rng *rng = calloc(1, sizeof(*rng));
    if (!rng)
        return vmm_error_set(err, ENOMEM, "virtio-rng: out of memory");
    bucket_set(&rng->bytes, rate_bytes, rate_bytes, vmm_now_ns());
    int rc = vmm_virtio_init(&rng->virtio, &rng_ops, &config, err);
    if (rc) {
        free(rng);
        return rc;
    }
    if (rate_bytes)
        rc = vmm_loop_timer(loop, on_refill, rng, &rng->refill, err);
    if (rc) {
        vmm_virtio_unref(&rng->virtio);
        return rc;
    }
    *virtio = &rng->virtio;
    return 0;
}
