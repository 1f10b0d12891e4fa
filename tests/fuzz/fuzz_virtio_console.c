/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/*
 * Fuzzes the virtio console: the input is what a driver does to its registers
 * and rings, and what both hosts' ends of its two ports do.
 *
 * Input: a byte of features, then records of 5 bytes: what to do, where (2
 * bytes), value (2 bytes).
 */
#include <linux/virtio_console.h>

#include <vmm/virtio_console.h>

#include "virtio_input.h"

#define RAM     0x4000u
#define MESSAGE 0x2000u
#define QUEUES  6
#define PORTS   2

enum { CONTROL = RING_ACTIONS, INPUT, ROOM, RESIZE, RESET, CONFIG, ACTIONS };

struct end {
    size_t room, input;
};

struct fuzz {
    struct guest guest;
    struct end ends[PORTS];
};

static size_t end_output(void *context, const uint8_t *bytes, size_t len)
{
    struct end *end = context;
    volatile uint8_t sum = 0;

    for (size_t i = 0; i < len; i++)
        sum = (uint8_t)(sum + bytes[i]);
    if (len > end->room)
        len = end->room;
    end->room -= len;
    return len;
}

static size_t end_pull(void *context, uint8_t *bytes, size_t max)
{
    struct end *end = context;
    size_t len = max < end->input ? max : end->input;

    memset(bytes, 'i', len);
    end->input -= len;
    return len;
}

/* A control message, well-formed but for what it says. */
static void control(struct guest *guest, const struct record *r)
{
    struct virtio_console_control message = {
        r->where >> 8 & 3, (uint16_t)(r->where & 15), r->value};

    REQUIRE(
        !vmm_memory_write(guest->memory, MESSAGE, &message, sizeof(message)));
    describe(guest, 3, 0, MESSAGE, sizeof(message), 0);
    offer(guest, 3, 0);
    notify(guest, 3);
}

static void step(struct fuzz *fuzz, const struct record *r)
{
    struct guest *guest = &fuzz->guest;
    unsigned port = r->where % PORTS;

    switch (r->action % ACTIONS) {
    case CONTROL:
        control(guest, r);
        break;
    case INPUT:
        fuzz->ends[port].input = r->value;
        vmm_virtio_console_input_ready(guest->virtio, port);
        serve(guest);
        break;
    case ROOM:
        fuzz->ends[port].room = r->value;
        vmm_virtio_console_output_ready(guest->virtio, port);
        serve(guest);
        break;
    case RESIZE:
        vmm_virtio_console_resize(guest->virtio, r->where, r->value);
        serve(guest);
        break;
    case RESET:
        bring_up(guest);
        break;
    case CONFIG:
        use_registers(guest, r);
        break;
    default:
        use_rings(guest, r->action % ACTIONS, r, r->where >> 10);
    }
}

static void begin(struct fuzz *fuzz)
{
    struct vmm_virtio_console_port ports[PORTS];
    struct guest *guest = &fuzz->guest;

    guest_begin(guest, RAM);
    for (unsigned i = 0; i < PORTS; i++) {
        fuzz->ends[i].room = 64;
        ports[i] = (struct vmm_virtio_console_port){.name = i ? "port" : NULL,
                                                    .output = end_output,
                                                    .pull = end_pull,
                                                    .context = &fuzz->ends[i]};
    }
    struct vmm_virtio_console_config config = {.memory = guest->memory,
                                               .loop = guest->loop,
                                               .ports = ports,
                                               .port_count = PORTS,
                                               .cols = 80,
                                               .rows = 25,
                                               .patience_ns = 1};
    REQUIRE(!vmm_virtio_console_new(&config, &guest->virtio, NULL));
    guest_attach(guest);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz fuzz = {.guest.queues = QUEUES};

    if (size < 1)
        return 0;
    fuzz.guest.features = (uint32_t)(data[0] & 3)
                              << VIRTIO_RING_F_INDIRECT_DESC |
                          (data[0] >> 2 & 7);
    begin(&fuzz);
    for (data++, size--; size >= RECORD; data += RECORD, size -= RECORD) {
        struct record record = record_at(data);

        step(&fuzz, &record);
    }
    guest_end(&fuzz.guest);
    return 0;
}
