/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* The serial port's registers, each as the data sheet's section 8 names it. */
#include "devices/serial_internal.h"

/* ---- registers, by address (data sheet table II) ---- */

static uint8_t rbr_read(struct serial *s)
{
    vmm_serial_pull_if_polled(s);
    if (s->received == 0)
        return 0;
    uint8_t byte = vmm_serial_take(s);
    if (s->received == 0)
        vmm_serial_drained(s);
    return byte;
}

/* A byte that finds the transmitter full is lost, as on the chip. */
static void thr_write(struct serial *s, uint8_t byte)
{
    s->thre_interrupt = false;
    if (s->mcr & MCR_LOOP) {
        vmm_serial_receive(s, byte, 0);
        if (s->transmitting == 0)
            vmm_serial_transmitter_empty(s);
        return;
    }
    if (s->transmitting < vmm_serial_depth(s))
        s->transmitter[s->transmitting++] = byte;
    vmm_serial_transmit(s);
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
    if (s->ier == 0)
        s->reads_iir = false; /* another driver may take over */
    if (enabled & IER_ETBEI && s->transmitting == 0)
        vmm_serial_transmitter_empty(s);
    vmm_serial_pull_if_awaited(s);
}

/* "Reading the IIR" resets the THRE interrupt if that is what it shows. */
static uint8_t iir_read(struct serial *s)
{
    if (s->ier & IER_ERBFI)
        vmm_serial_pull_if_polled(s);
    uint8_t source = vmm_serial_interrupt_source(s);
    if (source == IIR_THRE)
        s->thre_interrupt = false;
    s->reads_iir |= source != IIR_NONE;
    s->edge_shown = false;
    return source | (vmm_serial_has_fifos(s) ? IIR_FIFOS : 0);
}

/* "Bit 0 must be a 1 when other FCR bits are written". */
static void fcr_write(struct serial *s, uint8_t value)
{
    if (!(value & FCR_ENABLE))
        value = 0;
    bool toggled = (value ^ s->fcr) & FCR_ENABLE;
    if (toggled || value & FCR_RESET_RECEIVER)
        vmm_serial_clear_receiver(s);
    if ((toggled || value & FCR_RESET_TRANSMITTER) && s->transmitting > 0) {
        s->transmitting = 0;
        vmm_serial_transmitter_empty(s);
    }
    s->fcr = value;
    vmm_serial_pull_if_awaited(s);
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
    vmm_serial_update_modem_status(s);
    vmm_serial_pull_if_awaited(s);
}

static uint8_t lsr_read(struct serial *s)
{
    vmm_serial_pull_if_polled(s);
    uint8_t value = s->line_errors;
    if (s->received > 0)
        value |= LSR_DR;
    if (s->transmitting == 0)
        value |= LSR_THRE | LSR_TEMT;
    bool errors = s->line_errors & LSR_CHARACTER;
    for (size_t i = 0; i < s->received; i++)
        errors |= s->receiver[i].errors;
    if (vmm_serial_has_fifos(s) && errors)
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

/* "Register addresses": DLAB puts the divisor latch over the first two. */
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

uint8_t vmm_serial_register_read(struct serial *s, uint64_t offset)
{
    uint8_t value = find_register(s, offset)->read(s);
    vmm_serial_update_irq(s);
    return value;
}

void vmm_serial_register_write(struct serial *s, uint64_t offset, uint8_t value)
{
    find_register(s, offset)->write(s, value);
    vmm_serial_update_irq(s);
}
