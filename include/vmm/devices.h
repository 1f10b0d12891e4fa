/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* The legacy devices of a PC that a guest expects, each usable without KVM. */
#ifndef VMM_DEVICES_H
#define VMM_DEVICES_H

#include <stddef.h>
#include <stdint.h>

#include <vmm/device.h>
#include <vmm/error.h>
#include <vmm/export.h>

/* ---- 16550A UART: region 0, 8 ports --------------------------------------
 * The device calls output as the guest transmits; bytes refused stay in the
 * transmitter (THRE clear) until vmm_serial_output_ready.  It pulls input when
 * its receive FIFO has room and the guest's RTS allows. */
struct vmm_serial_config {
    struct vmm_irq_line irq;
    size_t (*output)(void *context, const uint8_t *bytes, size_t len);
    size_t (*pull)(void *context, uint8_t *bytes, size_t max);
    /* May be NULL.  A guest that takes its input by interrupts has read all it
     * had: call vmm_serial_input_ready soon, from another thread, if there is
     * more.  In between it gets to do something else.  Without drained the
     * next bytes are pulled at once: the interrupt handler of a guest then
     * runs as long as there is input. */
    void (*drained)(void *context);
    void *context;
};
VMM_API int vmm_serial_new(const struct vmm_serial_config *config,
                           struct vmm_device **device, struct vmm_error *err);
/* Any thread: there is input to pull / room for output again. */
VMM_API void vmm_serial_input_ready(struct vmm_device *device);
VMM_API void vmm_serial_output_ready(struct vmm_device *device);
/* A break condition on the line. */
VMM_API void vmm_serial_break(struct vmm_device *device);
/* Stop calling output and pull (the console goes away first). */
VMM_API void vmm_serial_disconnect(struct vmm_device *device);

/* ---- a request from a device to the VM ------------------------------------
 */
enum vmm_power_request { VMM_POWER_RESET, VMM_POWER_OFF };
struct vmm_power_line {
    void (*request)(void *context, enum vmm_power_request request);
    void *context;
};

/* ---- i8042: region 0 = port 0x60, region 1 = port 0x64; just enough for a
 * probe that finds nothing and for the reset pulse (command 0xfe). */
VMM_API int vmm_i8042_new(const struct vmm_power_line *power,
                          struct vmm_device **device, struct vmm_error *err);

/* ---- CMOS and RTC (MC146818): region 0, 2 ports (0x70).  Time from now()
 * (seconds since 1970, UTC; NULL: the host's clock); memory sizes in CMOS. */
struct vmm_rtc_config {
    int64_t (*now)(void *context);
    void *context;
    uint64_t below_4g_bytes; /* RAM below 4 GiB */
    uint64_t above_4g_bytes;
};
VMM_API int vmm_rtc_new(const struct vmm_rtc_config *config,
                        struct vmm_device **device, struct vmm_error *err);

/* ---- ports that swallow writes and read as `value` (POST 0x80, ...):
 * region 0, any length. */
VMM_API int vmm_debug_port_new(const char *name, uint8_t value,
                               struct vmm_device **device,
                               struct vmm_error *err);

/* ---- ACPI hardware-reduced sleep and reset registers: region 0, 3 ports:
 * +0 sleep control, +1 sleep status, +2 reset (value 1). ACPI 6.4 section
 * 4.8.3.7; S5 is sleep type 5. */
VMM_API int vmm_acpi_power_new(const struct vmm_power_line *power,
                               struct vmm_device **device,
                               struct vmm_error *err);

/* ---- pvpanic (QEMU's docs/specs/pvpanic): region 0, 1 port (0x505).  Called
 * with the device's lock held, each may be NULL. */
struct vmm_pvpanic_config {
    void (*panicked)(void *context);
    void (*crash_loaded)(void *context); /* its crash kernel takes over */
    void *context;
};
VMM_API int vmm_pvpanic_new(const struct vmm_pvpanic_config *config,
                            struct vmm_device **device, struct vmm_error *err);

/* ---- ACPI events, for a Generic Event Device (ACPI 6.4, section 5.6.9):
 * region 0, 1 port: a read gives the events that are pending and clears them.
 * The line is high while there are any. */
VMM_API int vmm_acpi_events_new(const struct vmm_irq_line *irq,
                                struct vmm_device **device,
                                struct vmm_error *err);
/* Bits that the guest reads next, besides those pending; any thread.  -EINVAL
 * for a device of another kind. */
VMM_API int vmm_acpi_events_raise(struct vmm_device *device, uint8_t events);

#endif
