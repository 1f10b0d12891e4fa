/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* A 16550A UART as a device: ports on one side, the host on the other. */
#include <errno.h>
#include <stdlib.h>

#include "devices/device.h"
#include "devices/serial_internal.h"

static struct serial *serial_of(struct vmm_device *device)
{
    return (struct serial *)device;
}

/* ---- the device ---- */

/* The ports are one byte wide: a wider access goes to one after the other. */
static void serial_read(struct vmm_device *device, uint64_t offset,
                        uint8_t *value, size_t size)
{
    for (size_t i = 0; i < size; i++)
        value[i] = vmm_serial_register_read(serial_of(device), offset + i);
}

static void serial_write(struct vmm_device *device, uint64_t offset,
                         const uint8_t *value, size_t size)
{
    for (size_t i = 0; i < size; i++)
        vmm_serial_register_write(serial_of(device), offset + i, value[i]);
}

/* Data sheet table III; the divisor is undefined there: 115200 baud. */
static void serial_reset(struct vmm_device *device)
{
    struct serial *s = serial_of(device);
    s->ier = s->fcr = s->lcr = s->mcr = s->scr = s->dlm = 0;
    s->dll = 1;
    s->msr = MSR_CONNECTED;
    s->line_errors = 0;
    vmm_serial_clear_receiver(s);
    s->transmitting = 0;
    s->thre_interrupt = false;
    s->break_waiting = false;
    s->rts_was_set = false;
    s->reads_iir = false;
    vmm_serial_update_irq(s);
}

static void serial_destroy(struct vmm_device *device)
{
    free(serial_of(device));
}

static const struct vmm_region_ops serial_regions[] = {
    {serial_read, serial_write, 8},
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
    vmm_serial_pull_if_awaited(s);
    vmm_serial_update_irq(s);
    vmm_device_leave(device);
}

void vmm_serial_output_ready(struct vmm_device *device)
{
    struct serial *s = serial_of(device);
    vmm_device_enter(device);
    vmm_serial_transmit(s);
    vmm_serial_update_irq(s);
    vmm_device_leave(device);
}

void vmm_serial_break(struct vmm_device *device)
{
    struct serial *s = serial_of(device);
    vmm_device_enter(device);
    s->break_waiting = true;
    vmm_serial_pull_if_awaited(s);
    vmm_serial_update_irq(s);
    vmm_device_leave(device);
}

void vmm_serial_disconnect(struct vmm_device *device)
{
    struct serial *s = serial_of(device);
    vmm_device_enter(device);
    s->config.output = NULL;
    s->config.pull = NULL;
    s->config.drained = NULL;
    vmm_serial_transmit(s); /* into the void, so that no guest waits for ever */
    vmm_serial_update_irq(s);
    vmm_device_leave(device);
}
