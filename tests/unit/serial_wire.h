/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* A serial port on a wire: a moody host, and an edge-triggered interrupt. */
#ifndef SERIAL_WIRE_H
#define SERIAL_WIRE_H

#include <stdatomic.h>
#include <string.h>

#include <vmm/devices.h>

/* ---- streams: byte number n is known, so none need be kept ---- */

static uint8_t stream_byte(uint32_t seed, size_t n)
{
    uint32_t x = (uint32_t)n * 2654435761u + seed;
    return (uint8_t)(x >> 24 ^ x >> 13);
}

struct stream {
    uint32_t seed;
    atomic_size_t sent, arrived;
    size_t wrong; /* the first byte that differed, plus 1 */
};

static void stream_check(struct stream *stream, uint8_t byte)
{
    if (byte != stream_byte(stream->seed, stream->arrived) && !stream->wrong)
        stream->wrong = stream->arrived + 1;
    stream->arrived++;
}

static void assert_whole(const struct stream *stream, size_t total)
{
    assert_int_equal(stream->wrong, 0);
    assert_int_equal(stream->arrived, total);
}

/* ---- a wire: host and port, and the interrupt controller between ---- */

struct wire {
    struct vmm_device *uart;
    struct stream to_host, to_guest;
    size_t total;
    atomic_size_t room;      /* what the sink takes now */
    atomic_size_t available; /* what the source has now */
    atomic_bool refused;     /* the sink has not taken all: owes a call */
    atomic_bool drained;     /* the source owes a call */
    bool level;
    atomic_bool pending; /* an edge that has not been served */
    uint32_t random;
};

static uint32_t wire_random(struct wire *wire, uint32_t below)
{
    wire->random = wire->random * 1664525u + 1013904223u;
    return (wire->random >> 8) % below;
}

static size_t wire_output(void *context, const uint8_t *bytes, size_t len)
{
    struct wire *wire = context;
    size_t room = wire->room; /* read once: the host may add to it */
    size_t taken = len < room ? len : room;
    for (size_t i = 0; i < taken; i++)
        stream_check(&wire->to_host, bytes[i]);
    wire->refused = taken < len;
    wire->room -= taken;
    return taken;
}

static size_t wire_pull(void *context, uint8_t *bytes, size_t max)
{
    struct wire *wire = context;
    struct stream *stream = &wire->to_guest;
    size_t available = wire->available; /* read once, likewise */
    size_t taken = max < available ? max : available;
    for (size_t i = 0; i < taken; i++)
        bytes[i] = stream_byte(stream->seed, stream->sent++);
    wire->available -= taken;
    return taken;
}

static void wire_drained(void *context)
{
    struct wire *wire = context;
    wire->drained = true;
}

static void wire_irq(void *context, bool level)
{
    struct wire *wire = context;
    if (level && !wire->level)
        wire->pending = true;
    wire->level = level;
}

static void wire_init(struct wire *wire, size_t total, bool turns)
{
    struct vmm_serial_config config = {.irq = {wire_irq, wire},
                                       .output = wire_output,
                                       .pull = wire_pull,
                                       .drained = turns ? wire_drained : NULL,
                                       .context = wire};
    memset(wire, 0, sizeof(*wire));
    wire->to_host.seed = 0x1234;
    wire->to_guest.seed = 0xabcd;
    wire->total = total;
    wire->random = 1;
    assert_int_equal(vmm_serial_new(&config, &wire->uart, NULL), 0);
}

static uint8_t get(struct wire *wire, uint64_t reg)
{
    uint8_t value = 0xff;
    pthread_mutex_lock(&wire->uart->lock);
    wire->uart->regions[0].read(wire->uart, reg, &value, 1);
    pthread_mutex_unlock(&wire->uart->lock);
    return value;
}

static void put(struct wire *wire, uint64_t reg, uint8_t value)
{
    pthread_mutex_lock(&wire->uart->lock);
    wire->uart->regions[0].write(wire->uart, reg, &value, 1);
    pthread_mutex_unlock(&wire->uart->lock);
}

/* ---- the host, in moods ---- */

static void host_takes(struct wire *wire)
{
    wire->room = wire_random(wire, 40); /* often less than a FIFO, or nothing */
    if (wire->room > 0 && wire->refused)
        vmm_serial_output_ready(wire->uart);
}

static void host_gives(struct wire *wire)
{
    size_t left = wire->total - wire->to_guest.sent;
    size_t some = wire_random(wire, 50);
    wire->available = some < left ? some : left;
    vmm_serial_input_ready(wire->uart);
}

#endif
