/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* An i8042 keyboard controller with nothing plugged in, and the reset line. */
#include <errno.h>
#include <stdlib.h>

#include <vmm/devices.h>

#include "devices/device.h"

/*
 * IBM PC AT Technical Reference, "Keyboard Controller"; IBM PS/2 Hardware
 * Interface, "Keyboard and Auxiliary Device Controller".  The input buffer is
 * always empty (every write is served at once), so no guest waits for it in
 * vain.  There is no auxiliary port: commands for it are answered as a stuck
 * clock line, the sooner a driver gives up.  No interrupt is wired: with no
 * keyboard there is none to raise.
 */
enum {
    STATUS_OUTPUT_FULL = 0x01,
    STATUS_SYSTEM = 0x04,   /* mirrors the command byte's */
    STATUS_COMMAND = 0x08,  /* the last write went to port 0x64 */
    STATUS_UNLOCKED = 0x10, /* the keyboard lock switch is open */

    COMMAND_BYTE_SYSTEM = 0x04,
    COMMAND_BYTE_NO_KEYBOARD = 0x10,
    COMMAND_BYTE_NO_AUXILIARY = 0x20,
    COMMAND_BYTE_TRANSLATE = 0x40,

    OUTPUT_PORT_NO_RESET = 0x01, /* low resets the machine */
    OUTPUT_PORT_A20 = 0x02,      /* kept, without effect */

    RAM_BYTES = 32,
};

struct i8042 {
    struct vmm_device device;
    struct vmm_power_line power;
    uint8_t ram[RAM_BYTES]; /* byte 0 is the command byte */
    uint8_t output_port;
    uint8_t output;
    bool output_full;
    bool last_was_command;
    uint8_t awaits_data; /* the command whose parameter comes next, or 0 */
};

static struct i8042 *i8042_of(struct vmm_device *device)
{
    return (struct i8042 *)device;
}

static void answer(struct i8042 *kbc, uint8_t byte)
{
    kbc->output = byte;
    kbc->output_full = true;
}

static void request_reset(struct i8042 *kbc)
{
    if (kbc->power.request)
        kbc->power.request(kbc->power.context, VMM_POWER_RESET);
}

static void set_output_port(struct i8042 *kbc, uint8_t value)
{
    kbc->output_port = value | OUTPUT_PORT_NO_RESET;
    if (!(value & OUTPUT_PORT_NO_RESET))
        request_reset(kbc);
}

/* Port 0x64, read. */
static uint8_t status_read(struct i8042 *kbc)
{
    return STATUS_UNLOCKED | (kbc->output_full ? STATUS_OUTPUT_FULL : 0) |
           (kbc->last_was_command ? STATUS_COMMAND : 0) |
           (kbc->ram[0] & COMMAND_BYTE_SYSTEM ? STATUS_SYSTEM : 0);
}

/* Port 0x60, read: the last byte again when there is no new one. */
static uint8_t output_read(struct i8042 *kbc)
{
    kbc->output_full = false;
    return kbc->output;
}

/* Commands without a range of their own. */
static void single_command(struct i8042 *kbc, uint8_t command)
{
    switch (command) {
    case 0xa9: /* test the auxiliary port: clock line stuck low */
        answer(kbc, 0x01);
        break;
    case 0xaa: /* self test: passed */
        kbc->ram[0] |= COMMAND_BYTE_SYSTEM;
        answer(kbc, 0x55);
        break;
    case 0xab: /* test the keyboard port: no fault */
        answer(kbc, 0x00);
        break;
    case 0xad:
        kbc->ram[0] |= COMMAND_BYTE_NO_KEYBOARD;
        break;
    case 0xae:
        kbc->ram[0] &= ~COMMAND_BYTE_NO_KEYBOARD;
        break;
    case 0xc0: /* read the input port: keyboard not inhibited */
        answer(kbc, 0x80);
        break;
    case 0xd0:
        answer(kbc, kbc->output_port);
        break;
    case 0xd1: /* write the output port */
    case 0xd2: /* write the output buffer, as if from the keyboard */
    case 0xd3: /* the same, as if from the auxiliary device */
    case 0xd4: /* write to the auxiliary device */
        kbc->awaits_data = command;
        break;
    case 0xe0: /* read the test inputs */
        answer(kbc, 0x00);
        break;
    default:
        break; /* unknown commands do nothing */
    }
}

/* Port 0x64, write. */
static void command_write(struct i8042 *kbc, uint8_t command)
{
    kbc->last_was_command = true;
    kbc->awaits_data = 0;
    if (command >= 0xf0) { /* pulse the output port bits that are 0 */
        if (!(command & OUTPUT_PORT_NO_RESET))
            request_reset(kbc);
    } else if (command >= 0x20 && command < 0x20 + RAM_BYTES) {
        answer(kbc, kbc->ram[command - 0x20]);
    } else if (command >= 0x60 && command < 0x60 + RAM_BYTES) {
        kbc->awaits_data = command;
    } else {
        single_command(kbc, command);
    }
}

/* Port 0x60, write: a command's parameter, or a byte for the keyboard. */
static void data_write(struct i8042 *kbc, uint8_t data)
{
    uint8_t command = kbc->awaits_data;
    kbc->last_was_command = false;
    kbc->awaits_data = 0;
    if (command >= 0x60 && command < 0x60 + RAM_BYTES)
        kbc->ram[command - 0x60] = data;
    else if (command == 0xd1)
        set_output_port(kbc, data);
    else if (command == 0xd2 || command == 0xd3)
        answer(kbc, data); /* never marked as auxiliary data */
}

/* Ports are one byte wide: of a wider access the first byte counts. */
static void port60_read(struct vmm_device *device, uint64_t offset,
                        uint8_t *value, size_t size)
{
    (void)size;
    if (offset == 0)
        value[0] = output_read(i8042_of(device));
}

static void port60_write(struct vmm_device *device, uint64_t offset,
                         const uint8_t *value, size_t size)
{
    (void)size;
    if (offset == 0)
        data_write(i8042_of(device), value[0]);
}

static void port64_read(struct vmm_device *device, uint64_t offset,
                        uint8_t *value, size_t size)
{
    (void)size;
    if (offset == 0)
        value[0] = status_read(i8042_of(device));
}

static void port64_write(struct vmm_device *device, uint64_t offset,
                         const uint8_t *value, size_t size)
{
    (void)size;
    if (offset == 0)
        command_write(i8042_of(device), value[0]);
}

/* As firmware leaves it that has found no keyboard. */
static void i8042_reset(struct vmm_device *device)
{
    struct i8042 *kbc = i8042_of(device);
    for (size_t i = 0; i < RAM_BYTES; i++)
        kbc->ram[i] = 0;
    kbc->ram[0] = COMMAND_BYTE_SYSTEM | COMMAND_BYTE_NO_KEYBOARD |
                  COMMAND_BYTE_NO_AUXILIARY | COMMAND_BYTE_TRANSLATE;
    kbc->output_port = OUTPUT_PORT_NO_RESET | OUTPUT_PORT_A20;
    kbc->output = 0;
    kbc->output_full = false;
    kbc->last_was_command = false;
    kbc->awaits_data = 0;
}

static void i8042_destroy(struct vmm_device *device)
{
    free(i8042_of(device));
}

static const struct vmm_region_ops i8042_regions[] = {
    {port60_read, port60_write, 1},
    {port64_read, port64_write, 1},
};

static const struct vmm_device_ops i8042_ops = {
    .name = "i8042",
    .reset = i8042_reset,
    .destroy = i8042_destroy,
};

int vmm_i8042_new(const struct vmm_power_line *power,
                  struct vmm_device **device, struct vmm_error *err)
{
    vmm_error_clear(err);
    *device = NULL;
    struct i8042 *kbc = calloc(1, sizeof(*kbc));
    if (!kbc)
        return vmm_error_set(err, ENOMEM, "i8042: out of memory");
    vmm_device_init(&kbc->device, &i8042_ops, i8042_regions, 2);
    kbc->power = *power;
    i8042_reset(&kbc->device);
    *device = &kbc->device;
    return 0;
}
