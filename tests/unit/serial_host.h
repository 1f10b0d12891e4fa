/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* A serial port between a test that plays the guest and one that plays host. */
#ifndef SERIAL_HOST_H
#define SERIAL_HOST_H

#include <stdlib.h>
#include <string.h>

#include <vmm/devices.h>

#include "serial_bits.h"

struct serial_host {
    struct vmm_device *uart;
    uint8_t output[256]; /* what the guest has sent */
    size_t sent;
    size_t room; /* the sink takes that many bytes more */
    const uint8_t *input;
    size_t input_left;
    unsigned pulls;
    unsigned drained;
    bool irq;
    unsigned edges;     /* how often irq has gone up */
    unsigned irq_calls; /* how often it was told of */
};

/* ---- the host ---- */

static size_t host_output(void *context, const uint8_t *bytes, size_t len)
{
    struct serial_host *host = context;
    if (len > host->room)
        len = host->room;
    if (len > sizeof(host->output) - host->sent)
        len = sizeof(host->output) - host->sent;
    memcpy(host->output + host->sent, bytes, len);
    host->sent += len;
    host->room -= len;
    return len;
}

static size_t host_pull(void *context, uint8_t *bytes, size_t max)
{
    struct serial_host *host = context;
    if (max > host->input_left)
        max = host->input_left;
    if (max > 0)
        memcpy(bytes, host->input, max);
    host->input += max;
    host->input_left -= max;
    host->pulls++;
    return max;
}

static void host_irq(void *context, bool level)
{
    struct serial_host *host = context;
    host->irq_calls++;
    host->edges += level && !host->irq;
    host->irq = level;
}

static void host_drained(void *context)
{
    struct serial_host *host = context;
    host->drained++;
}

static void host_make(struct serial_host *host, void (*drained)(void *))
{
    struct vmm_serial_config config = {.irq = {host_irq, host},
                                       .output = host_output,
                                       .pull = host_pull,
                                       .drained = drained,
                                       .context = host};
    assert_int_equal(vmm_serial_new(&config, &host->uart, NULL), 0);
}

/* From now on the host gives input by interrupts in turns. */
static inline void host_take_turns(struct serial_host *host)
{
    vmm_device_unref(host->uart);
    host_make(host, host_drained);
}

/* ---- the guest ---- */

static uint8_t in(struct serial_host *host, uint64_t reg)
{
    uint8_t value = 0xff;
    host->uart->regions[0].read(host->uart, reg, &value, 1);
    return value;
}

static void out(struct serial_host *host, uint64_t reg, uint8_t value)
{
    host->uart->regions[0].write(host->uart, reg, &value, 1);
}

/* The host gets something to send; the text must live on. */
static void host_send(struct serial_host *host, const char *text)
{
    host->input = (const uint8_t *)text;
    host->input_left = strlen(text);
    vmm_serial_input_ready(host->uart);
}

/* As a driver leaves it: FIFOs on, lines raised, these interrupts enabled. */
static void start(struct serial_host *host, uint8_t fcr, uint8_t ier)
{
    out(host, FCR, fcr | FIFOS);
    out(host, MCR, DTR | RTS | OUT2);
    out(host, IER, ier);
}

static void out_string(struct serial_host *host, const char *text)
{
    for (; *text; text++)
        out(host, THR, (uint8_t)*text);
}

/* ---- what should have passed ---- */

static inline void assert_output(const struct serial_host *host,
                                 const char *text)
{
    assert_int_equal(host->sent, strlen(text));
    assert_memory_equal(host->output, text, host->sent);
}

/* Reads while there is data, as long as `text` says. */
static inline void assert_input(struct serial_host *host, const char *text)
{
    char got[64] = "";
    for (size_t i = 0; i < sizeof(got) - 1 && in(host, LSR) & DR; i++)
        got[i] = (char)in(host, RBR);
    assert_string_equal(got, text);
}

/* ---- each test has a port of its own ---- */

static int set_up(void **state)
{
    struct serial_host *host = malloc(sizeof(*host));
    memset(host, 0, sizeof(*host));
    host->room = sizeof(host->output);
    host_make(host, NULL);
    *state = host;
    return 0;
}

static int tear_down(void **state)
{
    struct serial_host *host = *state;
    vmm_device_unref(host->uart);
    free(host);
    return 0;
}

#endif
