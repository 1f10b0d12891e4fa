/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/*
 * Fuzzes the serial port: the input is what guest and host do to it.  A model
 * of both FIFOs checks each byte that passes, THRE and DR; the interrupt line
 * has to agree with IIR whenever it is gated on.
 *
 * Input: records of 2 bytes, an action (below) and its operand.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <vmm/devices.h>

#include "require.h"

enum { RBR, IER, IIR, LCR, MCR, LSR, THR = RBR, FCR = IIR };
enum { MCR_RTS = 0x02, MCR_OUT2 = 0x08, MCR_LOOP = 0x10, LCR_DLAB = 0x80 };
enum { LSR_DR = 0x01, LSR_THRE = 0x20, LSR_TEMT = 0x40, IIR_NO_INT = 0x01 };

/* Actions: 0-7 write a register, 8-15 read one, then these. */
enum {
    HOST_GIVES = 16, /* operand bytes of input */
    HOST_TAKES,      /* room for operand bytes */
    BREAK,
    RESET,
    WIDE_WRITE, /* operand in all of 8 bytes at once */
    WIDE_READ,
    DISCONNECT,
    ACTIONS
};

struct queue {
    uint8_t bytes[16];
    size_t count;
};

struct model {
    struct vmm_device *uart;
    struct queue receiver, transmitter;
    size_t depth;
    uint8_t lcr, mcr;
    bool rts_was_set;
    bool level;
    bool receiver_unknown; /* a break is somewhere between the bytes */
    bool connected;
    bool unchecked; /* in a wide access */
    size_t room, available;
    uint8_t next_input;
};

static void push(struct queue *queue, uint8_t byte, size_t depth)
{
    if (queue->count < depth)
        queue->bytes[queue->count++] = byte;
    else if (depth == 1)
        queue->bytes[0] = byte;
}

static uint8_t pop(struct queue *queue)
{
    uint8_t byte = queue->bytes[0];
    queue->count--;
    memmove(queue->bytes, queue->bytes + 1, queue->count);
    return byte;
}

/* ---- the host's side ---- */

static size_t host_output(void *context, const uint8_t *bytes, size_t len)
{
    struct model *m = context;
    if (m->unchecked)
        return len / 2;
    REQUIRE(m->connected && len > 0 && len == m->transmitter.count);
    size_t taken = len < m->room ? len : m->room;
    for (size_t i = 0; i < taken; i++)
        REQUIRE(bytes[i] == pop(&m->transmitter));
    m->room -= taken;
    return taken;
}

static size_t host_pull(void *context, uint8_t *bytes, size_t max)
{
    struct model *m = context;
    if (m->unchecked)
        return 0;
    REQUIRE(m->connected && max > 0 && !(m->mcr & MCR_LOOP));
    REQUIRE(m->mcr & MCR_RTS || !m->rts_was_set);
    REQUIRE(m->receiver_unknown || max == m->depth - m->receiver.count);
    size_t taken = max < m->available ? max : m->available;
    for (size_t i = 0; i < taken; i++) {
        bytes[i] = m->next_input++;
        push(&m->receiver, bytes[i], m->depth);
    }
    m->available -= taken;
    return taken;
}

static void host_drained(void *context)
{
    struct model *m = context;
    if (m->unchecked)
        return;
    REQUIRE(m->connected && (m->receiver_unknown || m->receiver.count == 0));
}

static void host_irq(void *context, bool level)
{
    struct model *m = context;
    REQUIRE(level != m->level);
    m->level = level;
}

/* ---- what the guest's writes do to the model ---- */

static void model_thr(struct model *m, uint8_t value)
{
    if (m->mcr & MCR_LOOP)
        push(&m->receiver, value, m->depth);
    else if (m->transmitter.count < m->depth && m->connected)
        push(&m->transmitter, value, m->depth);
}

static void model_fcr(struct model *m, uint8_t value)
{
    bool enable = value & 1;
    bool toggled = enable != (m->depth == 16);
    if (toggled || (enable && value & 2))
        m->receiver.count = 0;
    if (toggled || (enable && value & 4))
        m->transmitter.count = 0;
    m->depth = enable ? 16 : 1;
}

static void model_write(struct model *m, unsigned reg, uint8_t value)
{
    if (reg < 2 && m->lcr & LCR_DLAB)
        return;
    if (reg == THR)
        model_thr(m, value);
    else if (reg == FCR)
        model_fcr(m, value);
    else if (reg == LCR)
        m->lcr = value;
    else if (reg == MCR)
        m->mcr = value & 0x1f;
    if (reg == MCR && value & MCR_RTS)
        m->rts_was_set = true;
}

static void model_reset(struct model *m)
{
    m->receiver.count = m->transmitter.count = 0;
    m->depth = 1;
    m->lcr = m->mcr = 0;
    m->rts_was_set = m->receiver_unknown = false;
}

/* ---- the guest's side ---- */

static void guest_write(struct model *m, unsigned reg, uint8_t value)
{
    model_write(m, reg, value);
    m->uart->regions[0].write(m->uart, reg, &value, 1);
}

static uint8_t device_read(struct model *m, unsigned reg)
{
    uint8_t value = 0xff;
    m->uart->regions[0].read(m->uart, reg, &value, 1);
    return value;
}

static void read_rbr(struct model *m)
{
    uint8_t byte = device_read(m, LSR); /* pulls, if there is nothing */
    if (m->receiver_unknown) {
        device_read(m, RBR);
        return;
    }
    REQUIRE(!(byte & LSR_DR) == (m->receiver.count == 0));
    uint8_t expected = m->receiver.count > 0 ? pop(&m->receiver) : 0;
    REQUIRE(device_read(m, RBR) == expected);
}

static void read_lsr(struct model *m)
{
    uint8_t value = device_read(m, LSR);
    uint8_t idle = m->transmitter.count == 0 ? LSR_THRE | LSR_TEMT : 0;
    REQUIRE((value & (LSR_THRE | LSR_TEMT)) == idle);
    if (!m->receiver_unknown)
        REQUIRE(!(value & LSR_DR) == (m->receiver.count == 0));
}

static void read_iir(struct model *m)
{
    bool gated = (m->mcr & (MCR_OUT2 | MCR_LOOP)) == MCR_OUT2;
    bool level = m->level;
    uint8_t value = device_read(m, IIR);
    REQUIRE((value & 0xc0) == (m->depth == 16 ? 0xc0 : 0));
    if (gated)
        REQUIRE(level == !(value & IIR_NO_INT));
    else
        REQUIRE(!level);
}

static void guest_read(struct model *m, unsigned reg)
{
    if (reg == RBR && !(m->lcr & LCR_DLAB))
        read_rbr(m);
    else if (reg == LSR)
        read_lsr(m);
    else if (reg == IIR)
        read_iir(m);
    else if (reg == LCR)
        REQUIRE(device_read(m, LCR) == m->lcr);
    else if (reg == MCR)
        REQUIRE(device_read(m, MCR) == m->mcr);
    else
        device_read(m, reg);
}

/* Wide accesses have no model of their own: a reset follows. */
static void wide(struct model *m, uint8_t action, uint8_t operand)
{
    uint8_t value[8];
    memset(value, operand, sizeof(value));
    m->unchecked = true;
    if (action == WIDE_READ)
        m->uart->regions[0].read(m->uart, 0, value, sizeof(value));
    else
        m->uart->regions[0].write(m->uart, 0, value, sizeof(value));
    vmm_device_reset(m->uart);
    model_reset(m);
    m->unchecked = false;
}

static void host_action(struct model *m, uint8_t action, uint8_t operand)
{
    switch (action) {
    case HOST_GIVES:
        m->available = operand;
        vmm_serial_input_ready(m->uart);
        break;
    case HOST_TAKES:
        m->room = operand;
        vmm_serial_output_ready(m->uart);
        break;
    case BREAK:
        m->receiver_unknown = true;
        vmm_serial_break(m->uart);
        break;
    case RESET:
        vmm_device_reset(m->uart);
        model_reset(m);
        break;
    case DISCONNECT:
        m->connected = false;
        m->transmitter.count = 0;
        vmm_serial_disconnect(m->uart);
        break;
    default:
        wide(m, action, operand);
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct model m = {.depth = 1, .connected = true, .next_input = 1};
    struct vmm_serial_config config = {.irq = {host_irq, &m},
                                       .output = host_output,
                                       .pull = host_pull,
                                       .context = &m};
    if (size % 2) /* as good as a coin: records are of two bytes */
        config.drained = host_drained;
    REQUIRE(vmm_serial_new(&config, &m.uart, NULL) == 0);
    for (size_t i = 0; i + 1 < size; i += 2) {
        uint8_t action = data[i] % ACTIONS;
        if (action < 8)
            guest_write(&m, action, data[i + 1]);
        else if (action < 16)
            guest_read(&m, action - 8);
        else
            host_action(&m, action, data[i + 1]);
    }
    vmm_device_unref(m.uart);
    return 0;
}
