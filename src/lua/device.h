/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* What the Lua faces of C devices share; each is a file of its own. */
#ifndef VMM_LUA_DEVICE_H
#define VMM_LUA_DEVICE_H

#include "lua/classes.h"

/* What a device's userdata holds. */
struct device_box {
    struct vmm_device *device; /* NULL: closed */
    struct vm_box *vm; /* whose lines and console it has; NULL: nobody's */
    struct console_box *console; /* what a serial port is connected to */
};

/* Push a device's box, closed.  It is of the VM at vm_index, which it anchors;
 * 0: of nobody's. */
struct device_box *device_box_new(lua_State *L, int vm_index);
/* The same for the VM in options.vm at index 1, whose power line it gives. */
struct device_box *device_box_of_power(lua_State *L,
                                       struct vmm_power_line *line);

/* What an irq's userdata holds. */
struct irq_box {
    struct vm_box *vm;
    struct vmm_irq_line line;
};
/* Raises when its VM is closed. */
struct irq_box *check_irq(lua_State *L, int arg);

/* Each adds its constructor to the table on top. */
void device_serial_open(lua_State *L);
void device_i8042_open(lua_State *L);
void device_rtc_open(lua_State *L);
void device_acpi_power_open(lua_State *L);
void device_acpi_events_open(lua_State *L);
void device_pvpanic_open(lua_State *L);
void device_debug_port_open(lua_State *L);

#endif
