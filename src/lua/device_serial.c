/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* The serial port in Lua: vmm.serial{...}, and its wires to a console. */
#include "lua/device.h"

static size_t serial_output(void *context, const uint8_t *bytes, size_t len)
{
    return vmm_console_output(context, bytes, len);
}

static size_t serial_pull(void *context, uint8_t *bytes, size_t max)
{
    return vmm_console_pull(context, bytes, max);
}

static void serial_drained(void *context)
{
    vmm_console_announce(context);
}

static void on_input_ready(void *context)
{
    vmm_serial_input_ready(context);
}

static void on_output_ready(void *context)
{
    vmm_serial_output_ready(context);
}

/* vmm.serial{ irq = line, console = console } -> device */
static int serial_new(lua_State *L)
{
    struct vmm_serial_config config = {0};
    struct vmm_error err;

    options_check(L, 1, "vmm.serial", "irq console");
    lua_settop(L, 1);
    struct vm_box *vm = NULL;
    if (lua_getfield(L, 1, "irq") != LUA_TNIL) {
        config.irq = check_irq(L, -1)->line;
        vm = check_irq(L, -1)->vm;
    }
    struct console_box *console = NULL;
    if (lua_getfield(L, 1, "console") != LUA_TNIL) {
        console = check_console(L, -1);
        if (vm && vm != console->vm)
            return luaL_error(L, "vmm.serial: the irq and the console are of "
                                 "different VMs");
        vm = console->vm;
        config.output = serial_output;
        config.pull = serial_pull;
        config.drained = serial_drained;
        config.context = console->console;
    }
    struct device_box *box = box_new(L, sizeof(*box), DEVICE_CLASS);
    if (vmm_serial_new(&config, &box->device, &err))
        return push_error(L, &err);
    box->vm = vm;
    box->console = console;
    box_anchor(L, -1, console ? 3 : 2); /* and that, its VM */
    if (console) {
        struct vmm_console_port port = {.input_ready = on_input_ready,
                                        .output_ready = on_output_ready,
                                        .context = box->device};
        vmm_console_connect(console->console, &port);
        console->port = box->device;
    }
    return 1;
}

void device_serial_open(lua_State *L)
{
    lua_pushcfunction(L, serial_new);
    lua_setfield(L, -2, "serial");
}
