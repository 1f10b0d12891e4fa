/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/*
 * Fuzzes the virtqueue: the input is what a driver does to its rings, each
 * chain that comes out is checked and used.
 *
 * Input: a byte of features, then records of 5 bytes: what to do, where (2
 * bytes), value (2 bytes).  Where is an offset into the rings and a little
 * beyond, so that descriptors, indices and tables are written piece by piece.
 */
#include <linux/virtio_ring.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <vmm/virtq.h>

#include "require.h"

#define SIZE    4
#define RAM     0x3000u
#define ISLAND  0x8000u
#define DESC    0x1000u
#define AVAIL   0x1080u
#define USED    0x10c0u
#define WINDOW  0x200u /* bytes from DESC that records reach */
#define RECORD  5
#define OUT_MAX SIZE

enum { STORE_16, STORE_64, OFFER, POP, PUSH, RESET, ARM, ACTIONS };

struct fuzz {
    struct vmm_memory *memory;
    struct vmm_virtq *queue;
    struct vmm_chain *out[OUT_MAX];
    unsigned count;
    uint64_t features;
};

static void begin(struct fuzz *fuzz)
{
    static const struct vmm_virtq_layout layout = {SIZE, DESC, AVAIL, USED};

    REQUIRE(vmm_virtq_enable(fuzz->queue, &layout, fuzz->features, NULL) == 0);
}

static void use(struct vmm_chain *chain)
{
    struct iovec pieces[16];
    uint8_t bytes[64] = "";
    uint64_t sum = 0;
    unsigned count = (unsigned)chain->readable + chain->writable;

    REQUIRE(count >= 1 && count <= SIZE);
    REQUIRE(chain->readable_bytes + chain->writable_bytes <= 1ULL << 32);
    for (unsigned i = 0; i < count; i++)
        sum += chain->segments[i].len;
    REQUIRE(sum == chain->readable_bytes + chain->writable_bytes);

    uint64_t len = chain->writable_bytes < 64 ? chain->writable_bytes : 64;
    uint64_t at = chain->writable_bytes - len;
    int used = vmm_chain_writable_iovec(chain, at, len, pieces, 16);
    for (int i = 0; i < used; i++) {
        memset(pieces[i].iov_base, 0x5a, pieces[i].iov_len);
        len -= pieces[i].iov_len;
    }
    REQUIRE(used < 0 || len == 0);
    (void)vmm_chain_read(chain, 1, bytes, sizeof(bytes));
    (void)vmm_chain_write(chain, 3, bytes, sizeof(bytes));
}

static void pop(struct fuzz *fuzz)
{
    struct vmm_chain *chain;

    if (fuzz->count == OUT_MAX)
        return;
    int r = vmm_virtq_pop(fuzz->queue, &chain);
    REQUIRE((r == 1) == (chain != NULL));
    REQUIRE(r >= 0 || vmm_virtq_broken(fuzz->queue));
    if (r != 1)
        return;
    use(chain);
    fuzz->out[fuzz->count++] = chain;
}

static void push(struct fuzz *fuzz, unsigned which)
{
    if (!fuzz->count)
        return;
    which %= fuzz->count;
    vmm_virtq_push(fuzz->out[which], 1);
    fuzz->out[which] = fuzz->out[--fuzz->count];
    (void)vmm_virtq_should_signal(fuzz->queue);
}

static void offer(struct fuzz *fuzz, uint16_t head)
{
    uint16_t index;

    REQUIRE(!vmm_memory_load_u16(fuzz->memory, AVAIL + 2, &index));
    vmm_memory_store_u16(fuzz->memory, AVAIL + 4 + 2 * (index % SIZE), head);
    vmm_memory_store_u16(fuzz->memory, AVAIL + 2, (uint16_t)(index + 1));
}

static void step(struct fuzz *fuzz, const uint8_t *record)
{
    uint16_t where, value;

    memcpy(&where, record + 1, 2);
    memcpy(&value, record + 3, 2);
    vmm_gpa_t gpa = DESC + where % WINDOW;
    switch (record[0] % ACTIONS) {
    case STORE_16:
        vmm_memory_store_u16(fuzz->memory, gpa, value);
        break;
    case STORE_64: /* addresses: low, or near the top */
        vmm_memory_store_u64(fuzz->memory, gpa & ~7ULL,
                             (uint64_t)(int64_t)(int16_t)value);
        break;
    case OFFER:
        offer(fuzz, value % (SIZE + 1));
        break;
    case POP:
        pop(fuzz);
        break;
    case PUSH:
        push(fuzz, value);
        break;
    case RESET: /* with chains out */
        vmm_virtq_disable(fuzz->queue);
        begin(fuzz);
        break;
    case ARM:
        vmm_virtq_suppress(fuzz->queue);
        (void)vmm_virtq_arm(fuzz->queue);
        break;
    }
}

/* Mapping memory takes longer than a run: it is made once. */
static struct vmm_memory *the_memory(void)
{
    static const struct vmm_memory_range ranges[] = {{0, RAM},
                                                     {ISLAND, 0x1000}};
    static struct vmm_memory *memory;
    struct vmm_memory_config config = {.ranges = ranges, .range_count = 2};

    if (!memory)
        REQUIRE(!vmm_memory_new(&config, &memory, NULL));
    REQUIRE(!vmm_memory_fill(memory, 0, 0, RAM));
    REQUIRE(!vmm_memory_fill(memory, ISLAND, 0, 0x1000));
    return memory;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz fuzz = {.memory = the_memory()};

    if (size < 1)
        return 0;
    fuzz.features = (uint64_t)(data[0] & 3) << VIRTIO_RING_F_INDIRECT_DESC;
    REQUIRE(!vmm_virtq_new(fuzz.memory, SIZE, &fuzz.queue, NULL));
    begin(&fuzz);
    for (data++, size--; size >= RECORD; data += RECORD, size -= RECORD)
        step(&fuzz, data);
    while (fuzz.count)
        push(&fuzz, 0);
    vmm_virtq_free(fuzz.queue);
    return 0;
}
