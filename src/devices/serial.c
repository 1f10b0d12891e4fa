/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* A 16550A UART, after the PC16550D data sheet (National Semiconductor). */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <vmm/devices.h>

#include "devices/device.h"

/*
 * What differs from the chip: the wire has no speed.  A byte leaves the
 * transmitter as soon as the host takes it, and the four character times after
 * which a character timeout is indicated have always passed.  Where the chip
 * would drop an interrupt and raise it again a character later, this one does
 * so at once: an edge-triggered interrupt controller sees every event.
 *
 * Flow control: while the host takes no output, bytes stay in the transmitter
 * with THRE and TEMT clear, as on a slow wire.  Input stays with the host
 * while the receive FIFO is full, in loopback, and while MCR.RTS is clear after
 * it has been set once.  (Linux's probe sets and clears it, so what is sent
 * before a program opens the port waits for it.)  Until the guest enables the
 * receiver interrupt, input is pulled only as the guest polls for it: a driver
 * that clears the FIFOs as it starts loses nothing.
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
    bool irq;
};

static struct serial *serial_of(struct vmm_device *device)
{
    return (struct serial *)device;
}

/* ---- interrupts ---- */

static bool fifos_enabled(const struct serial *s)
{
    return s->fcr & FCR_ENABLE;
}

static size_t fifo_depth(const struct serial *s)
{
    return fifos_enabled(s) ? FIFO_BYTES : 1;
}

/* FCR bits 6 and 7: how many received characters raise an interrupt. */
static size_t trigger_level(const struct serial *s)
{
    static const uint8_t levels[] = {1, 4, 8, 14};
    return fifos_enabled(s) ? levels[s->fcr >> 6] : 1;
}

/* "Interrupt Control Functions": the enabled source of highest priority. */
static uint8_t interrupt_source(const struct serial *s)
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
static void update_irq(struct serial *s)
{
    bool gate = (s->mcr & (MCR_OUT2 | MCR_LOOP)) == MCR_OUT2;
    bool level = gate && interrupt_source(s) != IIR_NONE;
    if (level == s->irq)
        return;
    s->irq = level;
    vmm_irq_set(&s->config.irq, level);
}

/* ---- transmitter ---- */

/* Offer what is in the transmitter to the host. */
static void transmit(struct serial *s)
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
    s->thre_interrupt = s->transmitting == 0;
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

/* A character arrives.  One that finds the receiver full is lost, with OE. */
static void receive(struct serial *s, uint8_t byte, uint8_t errors)
{
    if (s->received == fifo_depth(s)) {
        s->line_errors |= LSR_OE;
        if (!fifos_enabled(s))
            s->receiver[0].byte = byte; /* "destroying the previous" one */
        return;
    }
    s->receiver[s->received++] = (struct character){byte, errors};
    s->timeout = fifos_enabled(s);
    reveal_errors(s);
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
    size_t room = fifo_depth(s) - s->received;
    if (room == 0 || !receiver_open(s))
        return;
    if (s->break_waiting) {
        s->break_waiting = false;
        receive(s, 0, LSR_BI);
        room--;
    }
    if (room == 0 || !s->config.pull)
        return;
    uint8_t bytes[FIFO_BYTES];
    size_t count = s->config.pull(s->config.context, bytes, room);
    for (size_t i = 0; i < count && i < room; i++)
        receive(s, bytes[i], 0);
}

/* Unasked, a character comes only to a guest that waits for an interrupt. */
static void pull_if_awaited(struct serial *s)
{
    if (s->ier & IER_ERBFI)
        pull(s);
}

static void pull_if_polled(struct serial *s)
{
    if (s->received == 0)
        pull(s);
}

static void clear_receiver(struct serial *s)
{
    s->received = 0;
    s->timeout = false;
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
static void update_modem_status(struct serial *s)
{
    uint8_t inputs = modem_inputs(s);
    uint8_t changed = inputs ^ (s->msr & ~MSR_DELTAS);
    if (inputs & MSR_RI)
        changed &= ~MSR_RI;
    s->msr = inputs | (s->msr & MSR_DELTAS) | changed >> 4;
}

/* ---- registers, by address (data sheet table II) ---- */

static uint8_t rbr_read(struct serial *s)
{
    pull_if_polled(s);
    if (s->received == 0)
        return 0;
    uint8_t byte = s->receiver[0].byte;
    s->received--;
    memmove(s->receiver, s->receiver + 1, s->received * sizeof(s->receiver[0]));
    reveal_errors(s);
    s->timeout = false;
    update_irq(s);
    s->timeout = fifos_enabled(s) && s->received > 0;
    if (s->received == 0)
        pull_if_awaited(s);
    return byte;
}

static void thr_write(struct serial *s, uint8_t byte)
{
    s->thre_interrupt = false;
    update_irq(s);
    if (s->mcr & MCR_LOOP) {
        receive(s, byte, 0);
        s->thre_interrupt = s->transmitting == 0;
        return;
    }
    if (s->transmitting < fifo_depth(s))
        s->transmitter[s->transmitting++] = byte;
    transmit(s);
}

static uint8_t ier_read(struct serial *s)
{
    return s->ier;
}

/* Enabling the THRE interrupt while THRE is set gives one at once. */
static void ier_write(struct serial *s, uint8_t value)
{
    uint8_t enabled = value & ~s->ier;
    s->ier = value & IER_MASK;
    if (enabled & IER_ETBEI && s->transmitting == 0)
        s->thre_interrupt = true;
    pull_if_awaited(s);
}

/* "Reading the IIR" resets the THRE interrupt if that is what it shows. */
static uint8_t iir_read(struct serial *s)
{
    uint8_t source = interrupt_source(s);
    if (source == IIR_THRE)
        s->thre_interrupt = false;
    return source | (fifos_enabled(s) ? IIR_FIFOS : 0);
}

/* "Bit 0 must be a 1 when other FCR bits are written". */
static void fcr_write(struct serial *s, uint8_t value)
{
    if (!(value & FCR_ENABLE))
        value = 0;
    bool toggled = (value ^ s->fcr) & FCR_ENABLE;
    if (toggled || value & FCR_RESET_RECEIVER)
        clear_receiver(s);
    if ((toggled || value & FCR_RESET_TRANSMITTER) && s->transmitting > 0) {
        s->transmitting = 0;
        s->thre_interrupt = true;
    }
    s->fcr = value;
    pull_if_awaited(s);
}

static uint8_t lcr_read(struct serial *s)
{
    return s->lcr;
}

static void lcr_write(struct serial *s, uint8_t value)
{
    s->lcr = value;
}

static uint8_t mcr_read(struct serial *s)
{
    return s->mcr;
}

static void mcr_write(struct serial *s, uint8_t value)
{
    s->mcr = value & MCR_MASK;
    s->rts_was_set |= s->mcr & MCR_RTS;
    update_modem_status(s);
    pull_if_awaited(s);
}

static uint8_t lsr_read(struct serial *s)
{
    pull_if_polled(s);
    uint8_t value = s->line_errors;
    if (s->received > 0)
        value |= LSR_DR;
    if (s->transmitting == 0)
        value |= LSR_THRE | LSR_TEMT;
    bool errors = s->line_errors & LSR_CHARACTER;
    for (size_t i = 0; i < s->received; i++)
        errors |= s->receiver[i].errors;
    if (fifos_enabled(s) && errors)
        value |= LSR_FIFO_ERROR;
    s->line_errors = 0;
    return value;
}

static uint8_t msr_read(struct serial *s)
{
    uint8_t value = s->msr;
    s->msr &= ~MSR_DELTAS;
    return value;
}

static uint8_t scr_read(struct serial *s)
{
    return s->scr;
}

static void scr_write(struct serial *s, uint8_t value)
{
    s->scr = value;
}

static uint8_t dll_read(struct serial *s)
{
    return s->dll;
}

static void dll_write(struct serial *s, uint8_t value)
{
    s->dll = value;
}

static uint8_t dlm_read(struct serial *s)
{
    return s->dlm;
}

static void dlm_write(struct serial *s, uint8_t value)
{
    s->dlm = value;
}

/* LSR and MSR are not written ("factory testing"). */
static void read_only(struct serial *s, uint8_t value)
{
    (void)s;
    (void)value;
}

struct serial_register {
    uint8_t (*read)(struct serial *s);
    void (*write)(struct serial *s, uint8_t value);
};

static const struct serial_register *find_register(const struct serial *s,
                                                   uint64_t offset)
{
    static const struct serial_register registers[8] = {
        {rbr_read, thr_write}, {ier_read, ier_write}, {iir_read, fcr_write},
        {lcr_read, lcr_write}, {mcr_read, mcr_write}, {lsr_read, read_only},
        {msr_read, read_only}, {scr_read, scr_write},
    };
    static const struct serial_register divisor_latch[2] = {
        {dll_read, dll_write},
        {dlm_read, dlm_write},
    };
    if (s->lcr & LCR_DLAB && offset < 2)
        return &divisor_latch[offset];
    return &registers[offset & 7];
}

/* ---- the device ---- */

static void serial_read(struct vmm_device *device, uint64_t offset,
                        uint8_t *value, size_t size)
{
    struct serial *s = serial_of(device);
    for (size_t i = 0; i < size; i++) {
        value[i] = find_register(s, offset + i)->read(s);
        update_irq(s);
    }
}

static void serial_write(struct vmm_device *device, uint64_t offset,
                         const uint8_t *value, size_t size)
{
    struct serial *s = serial_of(device);
    for (size_t i = 0; i < size; i++) {
        find_register(s, offset + i)->write(s, value[i]);
        update_irq(s);
    }
}

/* Data sheet table III; the divisor is undefined there: 115200 baud. */
static void serial_reset(struct vmm_device *device)
{
    struct serial *s = serial_of(device);
    s->ier = s->fcr = s->lcr = s->mcr = s->scr = s->dlm = 0;
    s->dll = 1;
    s->msr = MSR_CONNECTED;
    s->line_errors = 0;
    clear_receiver(s);
    s->transmitting = 0;
    s->thre_interrupt = false;
    s->break_waiting = false;
    s->rts_was_set = false;
    update_irq(s);
}

static void serial_destroy(struct vmm_device *device)
{
    free(serial_of(device));
}

static const struct vmm_region_ops serial_regions[] = {
    {serial_read, serial_write},
};

static const struct vmm_device_ops serial_ops = {
    .name = "serial",
    .reset = serial_reset,
    .destroy = serial_destroy,
};

int vmm_serial_new(const struct vmm_serial_config *config,
                   struct vmm_device **device, struct vmm_error *err)
{
    vmm_error_clear(err);
    *device = NULL;
    struct serial *s = calloc(1, sizeof(*s));
    if (!s)
        return vmm_error_set(err, ENOMEM, "serial: out of memory");
    vmm_device_init(&s->device, &serial_ops, serial_regions, 1);
    s->config = *config;
    serial_reset(&s->device);
    *device = &s->device;
    return 0;
}

/* ---- the host's side ---- */

void vmm_serial_input_ready(struct vmm_device *device)
{
    struct serial *s = serial_of(device);
    vmm_device_enter(device);
    pull_if_awaited(s);
    update_irq(s);
    vmm_device_leave(device);
}

void vmm_serial_output_ready(struct vmm_device *device)
{
    struct serial *s = serial_of(device);
    vmm_device_enter(device);
    transmit(s);
    update_irq(s);
    vmm_device_leave(device);
}

void vmm_serial_break(struct vmm_device *device)
{
    struct serial *s = serial_of(device);
    vmm_device_enter(device);
    s->break_waiting = true;
    pull_if_awaited(s);
    update_irq(s);
    vmm_device_leave(device);
}

void vmm_serial_disconnect(struct vmm_device *device)
{
    struct serial *s = serial_of(device);
    vmm_device_enter(device);
    s->config.output = NULL;
    s->config.pull = NULL;
    transmit(s); /* into the void, so that no guest waits for ever */
    update_irq(s);
    vmm_device_leave(device);
}
