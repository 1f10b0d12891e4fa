/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* C devices in Lua: vmm.serial{...} and its kin, irq lines, vm:attach. */
#include "lua/classes.h"

/* ---- irq lines -------------------------------------------------------------
 */

struct irq_box {
    struct vm_box *vm;
    struct vmm_irq_line line;
};

int irq_push(lua_State *L, int vm_index, uint32_t gsi)
{
    int vm = lua_absindex(L, vm_index);
    struct irq_box *box = box_new(L, sizeof(*box), IRQ_CLASS);
    struct vmm_error err;

    box->vm = lua_touserdata(L, vm);
    box_anchor(L, -1, vm);
    if (vmm_vm_irq_line(vmm_machine_vm(box->vm->machine), gsi, &box->line,
                        &err))
        return push_error(L, &err);
    return 1;
}

static struct irq_box *check_irq(lua_State *L, int arg)
{
    struct irq_box *box = luaL_checkudata(L, arg, IRQ_CLASS);

    luaL_argcheck(L, vm_is_open(box->vm), arg, "the irq's VM is closed");
    return box;
}

int irq_push_from(lua_State *L, int vm_index)
{
    struct vm_box *vm = lua_touserdata(L, vm_index);
    int is_integer;
    lua_Integer gsi = lua_tointegerx(L, -1, &is_integer);

    if (!is_integer) {
        struct irq_box *box = luaL_testudata(L, -1, IRQ_CLASS);
        if (!box)
            return luaL_error(L, "irq must be a gsi or an irq, not %s",
                              luaL_typename(L, -1));
        if (box->vm != vm)
            return luaL_error(L, "the irq is of another VM");
        return 1;
    }
    if (gsi < 0 || gsi > 1023)
        return luaL_error(L, "irq: a gsi is 0 to 1023");
    lua_pop(L, 1);
    return irq_push(L, vm_index, (uint32_t)gsi);
}

static int irq_assert(lua_State *L)
{
    vmm_irq_set(&check_irq(L, 1)->line, true);
    return 0;
}

static int irq_deassert(lua_State *L)
{
    vmm_irq_set(&check_irq(L, 1)->line, false);
    return 0;
}

static int irq_pulse(lua_State *L)
{
    struct irq_box *box = check_irq(L, 1);

    vmm_irq_set(&box->line, true);
    vmm_irq_set(&box->line, false);
    return 0;
}

/* ---- devices ---------------------------------------------------------------
 */

struct device_box {
    struct vmm_device *device;
    struct vm_box *vm; /* whose lines and console it has; NULL: nobody's */
    struct console_box *console; /* what a serial port is connected to */
};

struct vmm_device *check_device(lua_State *L, int arg)
{
    struct device_box *box = luaL_checkudata(L, arg, DEVICE_CLASS);

    luaL_argcheck(L, box->device, arg, "the device is closed");
    return box->device;
}

/* A console may outlive its serial port: it wakes it no more. */
static void disconnect(struct device_box *box)
{
    struct console_box *console = box->console;

    if (!console || console->port != box->device)
        return;
    console->port = NULL;
    if (console->console)
        vmm_console_connect(console->console, NULL);
}

static int device_gc(lua_State *L)
{
    struct device_box *box = luaL_checkudata(L, 1, DEVICE_CLASS);

    disconnect(box);
    vmm_device_unref(box->device);
    box->device = NULL;
    return 0;
}

static int device_name(lua_State *L)
{
    lua_pushstring(L, check_device(L, 1)->ops->name);
    return 1;
}

static int device_tostring(lua_State *L)
{
    lua_pushfstring(L, "vmm.device: %s", check_device(L, 1)->ops->name);
    return 1;
}

/* Push the box of a device with the power line of the VM in options.vm. */
static struct device_box *power_box(lua_State *L, struct vmm_power_line *line)
{
    lua_getfield(L, 1, "vm");
    struct vm_box *vm = check_vm(L, -1);
    vmm_machine_power_line(vm->machine, line);
    struct device_box *box = box_new(L, sizeof(*box), DEVICE_CLASS);
    box->vm = vm;
    box_anchor(L, -1, -2);
    return box;
}

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

/* vmm.i8042{ vm = vm } -> device */
static int i8042_new(lua_State *L)
{
    struct vmm_power_line power;
    struct vmm_error err;

    options_check(L, 1, "vmm.i8042", "vm");
    struct device_box *box = power_box(L, &power);
    if (vmm_i8042_new(&power, &box->device, &err))
        return push_error(L, &err);
    return 1;
}

/* vmm.acpi_power{ vm = vm } -> device */
static int acpi_power_new(lua_State *L)
{
    struct vmm_power_line power;
    struct vmm_error err;

    options_check(L, 1, "vmm.acpi_power", "vm");
    struct device_box *box = power_box(L, &power);
    if (vmm_acpi_power_new(&power, &box->device, &err))
        return push_error(L, &err);
    return 1;
}

/* vmm.pvpanic{ vm = vm } -> device */
static int pvpanic_new(lua_State *L)
{
    struct vmm_pvpanic_config config;
    struct vmm_error err;

    options_check(L, 1, "vmm.pvpanic", "vm");
    lua_getfield(L, 1, "vm");
    struct vm_box *vm = check_vm(L, -1);
    hooks_pvpanic(vm, &config);
    struct device_box *box = box_new(L, sizeof(*box), DEVICE_CLASS);
    box->vm = vm;
    box_anchor(L, -1, lua_absindex(L, -2));
    if (vmm_pvpanic_new(&config, &box->device, &err))
        return push_error(L, &err);
    return 1;
}

/* vmm.rtc{ below_4g = bytes, above_4g = bytes } -> device */
static int rtc_new(lua_State *L)
{
    struct vmm_error err;

    options_check(L, 1, "vmm.rtc", "below_4g above_4g");
    struct vmm_rtc_config config = {
        .below_4g_bytes =
            (uint64_t)option_integer(L, 1, "below_4g", 0, 0, LUA_MAXINTEGER),
        .above_4g_bytes =
            (uint64_t)option_integer(L, 1, "above_4g", 0, 0, LUA_MAXINTEGER),
    };
    struct device_box *box = box_new(L, sizeof(*box), DEVICE_CLASS);
    if (vmm_rtc_new(&config, &box->device, &err))
        return push_error(L, &err);
    return 1;
}

/* vmm.debug_port{ name =, value = } -> device */
static int debug_port_new(lua_State *L)
{
    struct vmm_error err;

    options_check(L, 1, "vmm.debug_port", "name value");
    const char *name = option_string(L, 1, "name", "debug");
    uint8_t value = (uint8_t)option_integer(L, 1, "value", 0xff, 0, 0xff);
    struct device_box *box = box_new(L, sizeof(*box), DEVICE_CLASS);
    if (vmm_debug_port_new(name, value, &box->device, &err))
        return push_error(L, &err);
    return 1;
}

/*
 * What is on a VM's bus lives as long as the VM's object, which nothing in C
 * keeps alive: both are collected together.
 */
static void keep_device(lua_State *L, struct device_box *box)
{
    vm_push_kept(L, 1);
    lua_pushvalue(L, 2);
    lua_rawsetp(L, -2, box);
    lua_pop(L, 1);
    if (box->console)
        box->console->kept = true;
}

/* vm:attach(device, { pio = base | mmio = base [, region = 0] [, len =] }) */
int device_attach(lua_State *L)
{
    struct vm_box *box = check_vm(L, 1);
    struct vmm_device *device = check_device(L, 2);
    struct device_box *made = lua_touserdata(L, 2);
    struct vmm_error err;

    luaL_argcheck(L, !made->vm || made->vm == box, 2,
                  "the device was made for another VM");
    options_check(L, 3, "attach", "pio mmio region len");
    lua_Integer pio = option_integer(L, 3, "pio", -1, 0, 0xffff);
    lua_Integer mmio = option_integer(L, 3, "mmio", -1, 0, LUA_MAXINTEGER);
    lua_Integer region = option_integer(L, 3, "region", 0, 0,
                                        (lua_Integer)device->region_count - 1);
    uint64_t length = device->regions[region].length;
    lua_Integer len = option_integer(
        L, 3, "len", length ? (lua_Integer)length : 1, 1, LUA_MAXINTEGER);
    if ((pio < 0) == (mmio < 0))
        return luaL_error(L, "attach: give either pio or mmio");
    keep_device(L, made);
    struct vmm_bus *bus = pio >= 0 ? vmm_machine_pio(box->machine)
                                   : vmm_machine_mmio(box->machine);
    int rc = vmm_bus_add(bus, (uint64_t)(pio >= 0 ? pio : mmio), (uint64_t)len,
                         device, (size_t)region, &err);
    return push_result(L, rc, &err);
}

void device_open(lua_State *L)
{
    static const luaL_Reg irq_methods[] = {{"assert", irq_assert},
                                           {"deassert", irq_deassert},
                                           {"pulse", irq_pulse},
                                           {NULL, NULL}};
    static const struct class irq_class = {.name = IRQ_CLASS,
                                           .methods = irq_methods};
    static const luaL_Reg methods[] = {
        {"__gc", device_gc}, {"__tostring", device_tostring}, {NULL, NULL}};
    static const luaL_Reg getters[] = {{"name", device_name}, {NULL, NULL}};
    static const struct class class = {
        .name = DEVICE_CLASS, .methods = methods, .getters = getters};
    static const luaL_Reg constructors[] = {
        {"serial", serial_new},
        {"i8042", i8042_new},
        {"pvpanic", pvpanic_new},
        {"rtc", rtc_new},
        {"acpi_power", acpi_power_new},
        {"debug_port", debug_port_new},
        {NULL, NULL},
    };

    class_open(L, &irq_class);
    class_open(L, &class);
    luaL_setfuncs(L, constructors, 0);
}
