/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/*
 * Fuzzes the entropy device: the input is what a driver does to its registers,
 * ring and memory, with a limit or without.
 *
 * Input: a byte of features and of the limit, then records of 5 bytes: what to
 * do, where (2 bytes), value (2 bytes).
 */
#include "virtio_input.h"

#define RAM    0x10000u
#define BUFFER 0x2000u
#define LIMIT  500u /* bytes a second: soon used up */

enum { REQUEST = RING_ACTIONS, RESET, CONFIG, ACTIONS };

/* Only what is asked for is written, and said to be. */
static void request(struct guest *guest, const struct record *r)
{
    uint32_t len = r->value % 600;
    uint8_t canary;

    REQUIRE(!vmm_memory_fill(guest->memory, BUFFER + len, 0x5a, 1));
    describe(guest, 0, 0, BUFFER, len, VRING_DESC_F_WRITE);
    offer(guest, 0, 0);
    notify(guest, 0);
    REQUIRE(!vmm_memory_read(guest->memory, BUFFER + len, &canary, 1));
    REQUIRE(canary == 0x5a);
}

static void step(struct guest *guest, const struct record *r, bool *sound)
{
    switch (r->action % ACTIONS) {
    case REQUEST:
        if (*sound)
            request(guest, r);
        break;
    case RESET:
        bring_up(guest);
        break;
    case CONFIG:
        use_registers(guest, r);
        break;
    default:
        /* From here on a buffer may lie anywhere. */
        *sound = false;
        use_rings(guest, r->action % ACTIONS, r, r->where & 0xfc00);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct guest guest = {.queues = 1};
    bool sound = true;

    if (size < 1)
        return 0;
    guest.features = (uint32_t)(data[0] & 3) << VIRTIO_RING_F_INDIRECT_DESC;
    guest_begin(&guest, RAM);
    REQUIRE(!vmm_virtio_rng_new(guest.memory, guest.loop,
                                data[0] & 4 ? LIMIT : 0, &guest.virtio, NULL));
    guest_attach(&guest);
    for (data++, size--; size >= RECORD; data += RECORD, size -= RECORD) {
        struct record record = record_at(data);

        step(&guest, &record, &sound);
    }
    guest_end(&guest);
    return 0;
}
