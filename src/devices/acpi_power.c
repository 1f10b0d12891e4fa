/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* The sleep and reset registers of hardware-reduced ACPI. */
#include <errno.h>
#include <stdlib.h>

#include <vmm/devices.h>

#include "devices/device.h"

/* ACPI 6.4: sections 4.8.3.7 (sleep) and 4.8.3.6 (reset). */
enum {
    SLEEP_CONTROL = 0,
    SLEEP_STATUS = 1,
    RESET = 2,

    SLP_TYP_SHIFT = 2,
    SLP_TYP = 7 << SLP_TYP_SHIFT,
    SLP_EN = 1 << 5,
    WAK_STS = 1 << 7,

    S5_TYPE = 5,     /* what the tables give for \_S5 */
    RESET_VALUE = 1, /* what the FADT gives as RESET_VALUE */
};

struct acpi_power {
    struct vmm_device device;
    struct vmm_power_line power;
    uint8_t sleep_type; /* in place, as SLP_TYP */
    bool woken;
};

static struct acpi_power *acpi_power_of(struct vmm_device *device)
{
    return (struct acpi_power *)device;
}

static void request(struct acpi_power *p, enum vmm_power_request what)
{
    if (p->power.request)
        p->power.request(p->power.context, what);
}

/* A state other than S5 is not offered: a guest that asks for one is woken at
 * once, lest it wait for WAK_STS for ever. */
static void sleep_control_write(struct acpi_power *p, uint8_t value)
{
    p->sleep_type = value & SLP_TYP;
    if (!(value & SLP_EN))
        return;
    if (p->sleep_type >> SLP_TYP_SHIFT == S5_TYPE)
        request(p, VMM_POWER_OFF);
    else
        p->woken = true;
}

static uint8_t read_register(struct acpi_power *p, uint64_t offset)
{
    switch (offset) {
    case SLEEP_CONTROL:
        return p->sleep_type; /* SLP_EN reads as 0 */
    case SLEEP_STATUS:
        return p->woken ? WAK_STS : 0;
    default:
        return 0;
    }
}

static void write_register(struct acpi_power *p, uint64_t offset, uint8_t value)
{
    switch (offset) {
    case SLEEP_CONTROL:
        sleep_control_write(p, value);
        break;
    case SLEEP_STATUS:
        if (value & WAK_STS) /* cleared by writing 1 */
            p->woken = false;
        break;
    case RESET:
        if (value == RESET_VALUE)
            request(p, VMM_POWER_RESET);
        break;
    default:
        break;
    }
}

static void acpi_power_read(struct vmm_device *device, uint64_t offset,
                            uint8_t *value, size_t size)
{
    for (size_t i = 0; i < size; i++)
        value[i] = read_register(acpi_power_of(device), offset + i);
}

static void acpi_power_write(struct vmm_device *device, uint64_t offset,
                             const uint8_t *value, size_t size)
{
    for (size_t i = 0; i < size; i++)
        write_register(acpi_power_of(device), offset + i, value[i]);
}

static void acpi_power_reset(struct vmm_device *device)
{
    struct acpi_power *p = acpi_power_of(device);
    p->sleep_type = 0;
    p->woken = false;
}

static void acpi_power_destroy(struct vmm_device *device)
{
    free(acpi_power_of(device));
}

static const struct vmm_region_ops acpi_power_regions[] = {
    {acpi_power_read, acpi_power_write, 3},
};

static const struct vmm_device_ops acpi_power_ops = {
    .name = "acpi-power",
    .reset = acpi_power_reset,
    .destroy = acpi_power_destroy,
};

int vmm_acpi_power_new(const struct vmm_power_line *power,
                       struct vmm_device **device, struct vmm_error *err)
{
    vmm_error_clear(err);
    *device = NULL;
    struct acpi_power *p = calloc(1, sizeof(*p));
    if (!p)
        return vmm_error_set(err, ENOMEM, "acpi-power: out of memory");
    vmm_device_init(&p->device, &acpi_power_ops, acpi_power_regions, 1);
    p->power = *power;
    *device = &p->device;
    return 0;
}
