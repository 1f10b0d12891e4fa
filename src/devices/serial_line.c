/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* The serial port's wires: transmitter, receiver, modem lines, interrupt. */
#include <string.h>

#include "devices/serial_internal.h"

/* ---- interrupts ---- */

/* FCR bits 6 and 7: how many received characters raise an interrupt. */
static size_t trigger_level(const struct serial *s)
{
    static const uint8_t levels[] = {1, 4, 8, 14};
    return vmm_serial_has_fifos(s) ? levels[s->fcr >> 6] : 1;
}

uint8_t vmm_serial_interrupt_source(const struct serial *s)
{
    if (s->ier & IER_ELSI && s->line_errors)
        return IIR_LINE_STATUS;
    if (s->ier & IER_ERBFI && s->received >= trigger_level(s))
        return IIR_DATA;
    if (s->ier & IER_ERBFI && s->timeout)
        return IIR_TIMEOUT;
    if (s->ier & IER_ETBEI && s->thre_interrupt)
        return IIR_THRE;
    if (s->ier & IER_EDSSI && s->msr & MSR_DELTAS)
        return IIR_MODEM_STATUS;
    return IIR_NONE;
}

/* On a PC the OUT2 pin, inactive in loopback, connects INTR to the line. */
void vmm_serial_update_irq(struct serial *s)
{
    bool gate = (s->mcr & (MCR_OUT2 | MCR_LOOP)) == MCR_OUT2;
    bool level = gate && vmm_serial_interrupt_source(s) != IIR_NONE;
    if (level == s->irq)
        return;
    s->irq = level;
    s->edge_shown |= level;
    vmm_irq_set(&s->config.irq, level);
}

/*
 * A source that is enabled interrupts anew: show an edge, even though another
 * source, or the same, keeps the line up.  On the wire of a real chip time
 * would have passed, and a handler would have let the line down meanwhile.
 * update_irq, at the end of the access, raises the line again.
 *
 * A driver that reads IIR will read it again, so one edge in between is
 * enough: each costs two system calls, and may cost the guest an interrupt.
 */
static void interrupt_anew(struct serial *s, uint8_t source)
{
    if (!(s->ier & source) || !s->irq || (s->reads_iir && s->edge_shown))
        return;
    s->irq = false;
    vmm_irq_set(&s->config.irq, false);
}

/* ---- transmitter ---- */

void vmm_serial_transmit(struct serial *s)
{
    if (s->transmitting == 0)
        return;
    size_t taken = s->transmitting;
    if (s->config.output)
        taken = s->config.output(s->config.context, s->transmitter, taken);
    if (taken > s->transmitting)
        taken = s->transmitting;
    s->transmitting -= taken;
    memmove(s->transmitter, s->transmitter + taken, s->transmitting);
    if (s->transmitting == 0)
        vmm_serial_transmitter_empty(s);
}

void vmm_serial_transmitter_empty(struct serial *s)
{
    s->thre_interrupt = true;
    interrupt_anew(s, IER_ETBEI);
}

/* ---- receiver ---- */

/* The character that is next to be read shows its errors in LSR. */
static void reveal_errors(struct serial *s)
{
    if (s->received == 0)
        return;
    s->line_errors |= s->receiver[0].errors;
    s->receiver[0].errors = 0;
}

/* With FIFOs: the oldest character has waited for four character times. */
static void time_out(struct serial *s)
{
    s->timeout = vmm_serial_has_fifos(s);
}

void vmm_serial_receive(struct serial *s, uint8_t byte, uint8_t errors)
{
    if (s->received == vmm_serial_depth(s)) {
        s->line_errors |= LSR_OE;
        if (!vmm_serial_has_fifos(s))
            s->receiver[0].byte = byte; /* "destroying the previous" one */
        return;
    }
    s->receiver[s->received++] = (struct character){byte, errors};
    reveal_errors(s);
    time_out(s);
    interrupt_anew(s, IER_ERBFI);
}

uint8_t vmm_serial_take(struct serial *s)
{
    uint8_t byte = s->receiver[0].byte;
    s->received--;
    memmove(s->receiver, s->receiver + 1, s->received * sizeof(s->receiver[0]));
    reveal_errors(s);
    s->timeout = false;
    if (s->received > 0) {
        time_out(s);
        interrupt_anew(s, IER_ERBFI);
    }
    return byte;
}

void vmm_serial_clear_receiver(struct serial *s)
{
    s->received = 0;
    s->timeout = false;
}

/* Whether the line may bring characters now. */
static bool receiver_open(const struct serial *s)
{
    if (s->mcr & MCR_LOOP)
        return false; /* "the receiver Serial Input is disconnected" */
    return s->mcr & MCR_RTS || !s->rts_was_set;
}

/* Take what the host has, as far as there is room. */
static void pull(struct serial *s)
{
    size_t room = vmm_serial_depth(s) - s->received;
    if (room == 0 || !receiver_open(s))
        return;
    if (s->break_waiting) {
        s->break_waiting = false;
        vmm_serial_receive(s, 0, LSR_BI);
        room--;
    }
    if (room == 0 || !s->config.pull)
        return;
    uint8_t bytes[FIFO_BYTES];
    size_t count = s->config.pull(s->config.context, bytes, room);
    for (size_t i = 0; i < count && i < room; i++)
        vmm_serial_receive(s, bytes[i], 0);
}

/* Whether the guest waits for an interrupt that can reach it. */
static bool input_awaited(const struct serial *s)
{
    return s->ier & IER_ERBFI && s->mcr & MCR_OUT2;
}

void vmm_serial_pull_if_awaited(struct serial *s)
{
    if (input_awaited(s))
        pull(s);
}

void vmm_serial_pull_if_polled(struct serial *s)
{
    if (s->received == 0 && !(s->config.drained && input_awaited(s)))
        pull(s);
}

/* A break that waits is the port's own to bring: the host may have no more. */
void vmm_serial_drained(struct serial *s)
{
    if (!input_awaited(s))
        return;
    if (s->config.drained && !s->break_waiting)
        s->config.drained(s->config.context);
    else
        pull(s);
}

/* ---- modem lines ---- */

/* In loopback the outputs drive the inputs: RTS CTS, DTR DSR, OUT1 RI, OUT2
 * DCD. */
static uint8_t modem_inputs(const struct serial *s)
{
    if (!(s->mcr & MCR_LOOP))
        return MSR_CONNECTED;
    return (s->mcr & MCR_RTS ? MSR_CTS : 0) | (s->mcr & MCR_DTR ? MSR_DSR : 0) |
           (s->mcr & MCR_OUT1 ? MSR_RI : 0) | (s->mcr & MCR_OUT2 ? MSR_DCD : 0);
}

/* Note what has changed.  RI counts where it ends: the trailing edge. */
void vmm_serial_update_modem_status(struct serial *s)
{
    uint8_t inputs = modem_inputs(s);
    uint8_t changed = inputs ^ (s->msr & ~MSR_DELTAS);
    if (inputs & MSR_RI)
        changed &= ~MSR_RI;
    s->msr = inputs | (s->msr & MSR_DELTAS) | changed >> 4;
}
