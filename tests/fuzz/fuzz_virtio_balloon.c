/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/*
 * Fuzzes the memory balloon: the input is what a driver does to its registers,
 * rings and memory, and what the host asks of it.
 *
 * Input: a byte of features, then records of 5 bytes: what to do, where (2
 * bytes), value (2 bytes).
 */
#include <vmm/virtio_balloon.h>

#include "virtio_input.h"

#define RAM    0x10000u
#define QUEUES 4
#define LIST   0x2000u

enum { PAGES = RING_ACTIONS, ASK, SET, RESET, CONFIG, ACTIONS };

struct fuzz {
    struct guest guest;
    unsigned changes;
};

static void on_changed(void *context)
{
    ((struct fuzz *)context)->changes++;
}

/* A list of pages, from one on, upwards or downwards. */
static void give_pages(struct guest *guest, const struct record *r)
{
    unsigned count = r->where % 8, first = 3 + r->value / 2;

    for (unsigned i = 0; i < count; i++)
        vmm_memory_store_u32(guest->memory, LIST + 4 * i,
                             r->value & 1 ? first + i : first - i);
    describe(guest, 0, 0, LIST, 4 * count, 0);
    offer(guest, 0, 0);
    notify(guest, 0);
}

static void ask(struct guest *guest)
{
    struct vmm_virtio_balloon_stats stats;

    (void)vmm_virtio_balloon_ask(guest->virtio);
    vmm_virtio_balloon_stats(guest->virtio, &stats);
    REQUIRE(stats.given >> VMM_VIRTIO_BALLOON_STATS == 0);
    (void)vmm_virtio_balloon_actual(guest->virtio);
    serve(guest);
}

static void step(struct guest *guest, const struct record *r)
{
    switch (r->action % ACTIONS) {
    case PAGES:
        give_pages(guest, r);
        break;
    case ASK:
        ask(guest);
        break;
    case SET:
        vmm_virtio_balloon_set(guest->virtio, r->value);
        break;
    case RESET:
        bring_up(guest);
        break;
    case CONFIG:
        use_registers(guest, r);
        break;
    default:
        use_rings(guest, r->action % ACTIONS, r, r->where & 0xfc00);
    }
}

static void begin(struct fuzz *fuzz)
{
    struct guest *guest = &fuzz->guest;

    guest_begin(guest, RAM);
    struct vmm_virtio_balloon_config config = {.memory = guest->memory,
                                               .loop = guest->loop,
                                               .deflate_on_oom = true,
                                               .reporting = true,
                                               .changed = on_changed,
                                               .context = fuzz};
    REQUIRE(!vmm_virtio_balloon_new(&config, &guest->virtio, NULL));
    guest_attach(guest);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz fuzz = {.guest.queues = QUEUES};

    if (size < 1)
        return 0;
    fuzz.guest.features = (uint32_t)(data[0] & 3)
                              << VIRTIO_RING_F_INDIRECT_DESC |
                          (data[0] >> 1 & 0x26);
    begin(&fuzz);
    for (data++, size--; size >= RECORD; data += RECORD, size -= RECORD) {
        struct record record = record_at(data);

        step(&fuzz.guest, &record);
    }
    guest_end(&fuzz.guest);
    return 0;
}
