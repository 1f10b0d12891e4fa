/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Inside the serial port: its state, and what its parts ask of one another. */
#ifndef DEVICES_SERIAL_INTERNAL_H
#define DEVICES_SERIAL_INTERNAL_H

#include <vmm/devices.h>

/*
 * What differs from the chip: the wire has no speed.  A byte leaves the
 * transmitter as soon as the host takes it, the next comes in as soon as there
 * is room, and the four character times of the character timeout have always
 * passed.  So that a driver behind an edge-triggered interrupt controller
 * misses nothing, each such event shows an edge on the interrupt line.  And so
 * that a driver's handler comes to an end though the input does not, the host
 * may ask to be told (drained) before more follows.
 *
 * Flow control: while the host takes no output, bytes stay in the transmitter
 * with THRE and TEMT clear, as on a slow wire.  Input stays with the host
 * while the receiver is full, in loopback, and while MCR.RTS is clear after it
 * has been set once.  Unasked it comes only to a guest that awaits the
 * interrupt (IER.ERBFI and MCR.OUT2), else as the guest looks for it.  So a
 * driver that clears the FIFOs as it starts loses nothing; and as Linux's probe
 * sets and clears RTS, what is sent early waits until a program opens the port.
 *
 * Locks: everything here runs under the device's lock; output, pull and the
 * interrupt line are called with it held.
 */
#define FIFO_BYTES 16

enum {
    IER_ERBFI = 0x01, /* received data available, and character timeout */
    IER_ETBEI = 0x02, /* transmitter holding register empty */
    IER_ELSI = 0x04,  /* receiver line status */
    IER_EDSSI = 0x08, /* modem status */
    IER_MASK = 0x0f,

    IIR_NONE = 0x01,
    IIR_MODEM_STATUS = 0x00,
    IIR_THRE = 0x02,
    IIR_DATA = 0x04,
    IIR_LINE_STATUS = 0x06,
    IIR_TIMEOUT = 0x0c,
    IIR_FIFOS = 0xc0, /* set while the FIFOs are enabled */

    FCR_ENABLE = 0x01,
    FCR_RESET_RECEIVER = 0x02,
    FCR_RESET_TRANSMITTER = 0x04,

    LCR_DLAB = 0x80,

    MCR_DTR = 0x01,
    MCR_RTS = 0x02,
    MCR_OUT1 = 0x04,
    MCR_OUT2 = 0x08, /* gates the interrupt line on a PC */
    MCR_LOOP = 0x10,
    MCR_MASK = 0x1f,

    LSR_DR = 0x01,
    LSR_OE = 0x02,
    LSR_PE = 0x04,
    LSR_FE = 0x08,
    LSR_BI = 0x10,
    LSR_THRE = 0x20,
    LSR_TEMT = 0x40,
    LSR_FIFO_ERROR = 0x80,
    LSR_CHARACTER = LSR_PE | LSR_FE | LSR_BI, /* belong to one character */
    LSR_ERRORS = LSR_OE | LSR_CHARACTER,

    MSR_DCTS = 0x01,
    MSR_DDSR = 0x02,
    MSR_TERI = 0x04,
    MSR_DDCD = 0x08,
    MSR_CTS = 0x10,
    MSR_DSR = 0x20,
    MSR_RI = 0x40,
    MSR_DCD = 0x80,
    MSR_CONNECTED = MSR_CTS | MSR_DSR | MSR_DCD, /* a peer that is there */
    MSR_DELTAS = 0x0f,
};

struct character {
    uint8_t byte;
    uint8_t errors; /* of LSR_CHARACTER; shown once it is the next to read */
};

struct serial {
    struct vmm_device device;
    struct vmm_serial_config config;

    uint8_t ier, fcr, lcr, mcr, msr, scr, dll, dlm;
    uint8_t line_errors; /* of LSR_ERRORS: found, and not yet read */

    struct character receiver[FIFO_BYTES]; /* oldest first */
    size_t received;
    uint8_t transmitter[FIFO_BYTES];
    size_t transmitting;

    bool thre_interrupt; /* THRE has come, neither IIR read nor THR written */
    bool timeout;        /* the character timeout has passed */
    bool break_waiting;  /* a break that found no room */
    bool rts_was_set;
    bool irq;        /* as the line was last told */
    bool edge_shown; /* the line has gone up since IIR was last read */
    bool reads_iir;  /* the driver looks at IIR to see what has interrupted */
};

/* FCR bit 0: there are FIFOs; else both sides hold one character. */
static inline bool vmm_serial_has_fifos(const struct serial *s)
{
    return s->fcr & FCR_ENABLE;
}

/* How many characters the receiver, and the transmitter, hold. */
static inline size_t vmm_serial_depth(const struct serial *s)
{
    return vmm_serial_has_fifos(s) ? FIFO_BYTES : 1;
}

/* ---- serial_line.c ---- */

/* "Interrupt Control Functions": the enabled source of highest priority. */
uint8_t vmm_serial_interrupt_source(const struct serial *s);
/* Drive the interrupt line; it is told of changes only. */
void vmm_serial_update_irq(struct serial *s);

/* Offer what is in the transmitter to the host. */
void vmm_serial_transmit(struct serial *s);
/* The last byte has left: THRE comes. */
void vmm_serial_transmitter_empty(struct serial *s);

/* A character arrives.  One that finds the receiver full is lost, with OE. */
void vmm_serial_receive(struct serial *s, uint8_t byte, uint8_t errors);
/* Take the oldest character out; there is one. */
uint8_t vmm_serial_take(struct serial *s);
void vmm_serial_clear_receiver(struct serial *s);
/* Take input from the host: as it comes, if the guest waits for an interrupt;
 * as the guest looks for it, if it has read all there was. */
void vmm_serial_pull_if_awaited(struct serial *s);
void vmm_serial_pull_if_polled(struct serial *s);
/* The guest has read all there was: the host may go on, or its turn comes. */
void vmm_serial_drained(struct serial *s);

/* MCR has changed, and with it, in loopback, the modem's inputs. */
void vmm_serial_update_modem_status(struct serial *s);

/* ---- serial_registers.c: offset is 0..7 ---- */

uint8_t vmm_serial_register_read(struct serial *s, uint64_t offset);
void vmm_serial_register_write(struct serial *s, uint64_t offset,
                               uint8_t value);

#endif
