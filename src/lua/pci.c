/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* The PCI host bridge and the virtio-pci transport in Lua. */
#include <errno.h>

#include "lua/virtio.h"

#include <vmm/pci.h>

/* ---- the bridge -----------------------------------------------------------
 */

/* Item i of the array on top: {base, size}. */
static struct vmm_memory_range window_at(lua_State *L, int i)
{
    struct vmm_memory_range window;

    luaL_argcheck(L, lua_geti(L, -1, i) == LUA_TTABLE, 1,
                  "windows must be an array of {base, size}");
    lua_geti(L, -1, 1);
    lua_geti(L, -2, 2);
    window.base = (uint64_t)luaL_checkinteger(L, -2);
    window.size_bytes = (uint64_t)luaL_checkinteger(L, -1);
    lua_pop(L, 3);
    return window;
}

/* How many items options[name] has, which is pushed; an array of up to max. */
static size_t push_array(lua_State *L, const char *name, size_t max)
{
    if (lua_getfield(L, 1, name) != LUA_TTABLE)
        luaL_error(L, "vmm.pci_host: %s must be an array", name);
    size_t count = (size_t)luaL_len(L, -1);
    if (count > max)
        luaL_error(L, "vmm.pci_host: %s: up to %d", name, (int)max);
    return count;
}

/* vmm.pci_host{ vm =, windows = {{base, size}, ...}, gsis = {gsi, ...} }
 * -> device, with two regions: ports and ECAM */
static int pci_host_new(lua_State *L)
{
    struct vmm_memory_range windows[VMM_PCI_WINDOWS_MAX];
    struct vmm_irq_line lines[VMM_PCI_LINES_MAX];
    struct vmm_pci_host_config config = {.windows = windows, .lines = lines};
    struct vmm_error err;

    options_check(L, 1, "vmm.pci_host", "vm windows gsis");
    lua_getfield(L, 1, "vm");
    struct vm_box *vm = check_vm(L, -1);
    struct device_box *box = device_box_new(L, -1);
    config.mmio = vmm_machine_mmio(vm->machine);
    config.window_count = push_array(L, "windows", VMM_PCI_WINDOWS_MAX);
    for (size_t i = 0; i < config.window_count; i++)
        windows[i] = window_at(L, (int)i + 1);
    config.line_count = push_array(L, "gsis", VMM_PCI_LINES_MAX);
    for (size_t i = 0; i < config.line_count; i++) {
        lua_geti(L, -1, (lua_Integer)i + 1);
        lua_Integer gsi = luaL_checkinteger(L, -1);
        luaL_argcheck(L, gsi >= 0 && gsi <= 1023, 1, "a gsi is 0 to 1023");
        if (vmm_vm_irq_line(vmm_machine_vm(vm->machine), (uint32_t)gsi,
                            &lines[i], &err))
            return push_error(L, &err);
        lua_pop(L, 1);
    }
    if (vmm_pci_host_new(&config, &box->device, &err))
        return push_error(L, &err);
    lua_pop(L, 2);
    return 1;
}

/* ---- the transport --------------------------------------------------------
 */

/* A VM outlives its devices' use: they are on its bus. */
static void place_doorbell(void *context, uint64_t address, int event_fd,
                           bool on)
{
    struct vmm_ioeventfd at = {.address = address};

    vmm_vm_ioeventfd(context, &at, event_fd, on, NULL);
}

/* vmm.virtio_pci{ virtio =, host =, slot =, bar = address, gsi = the first of
 * virtio.queues + 1, irq = } -> true */
static int virtio_pci_new(lua_State *L)
{
    struct vmm_error err;

    options_check(L, 1, "vmm.virtio_pci", "virtio host slot bar gsi irq");
    lua_getfield(L, 1, "virtio");
    struct virtio_box *virtio = check_virtio(L, -1);
    lua_getfield(L, 1, "host");
    struct vmm_device *host = check_device(L, -1);
    struct device_box *host_box = lua_touserdata(L, -1);
    luaL_argcheck(L, host_box->vm == virtio->vm, 1,
                  "the bridge is of another VM");
    struct vmm_vm *vm = vmm_machine_vm(virtio->vm->machine);
    uint32_t gsi = (uint32_t)option_integer(L, 1, "gsi", -1, 24, 1023);
    struct vmm_virtio_pci_config config = {
        .host = host,
        .slot =
            (unsigned)option_integer(L, 1, "slot", -1, 1, VMM_PCI_SLOTS - 1),
        .bar = (uint64_t)option_integer(L, 1, "bar", 0, 0, LUA_MAXINTEGER),
        .interrupt_line = (uint8_t)option_integer(L, 1, "irq", 0, 0, 255),
        .doorbell = place_doorbell,
        .doorbell_context = vm,
    };
    if (vmm_vm_msi_lines(vm, gsi, virtio->virtio->queue_count + 1,
                         &config.lines, &err))
        return push_error(L, &err);
    int rc = vmm_virtio_pci_new(vmm_virtio_ref(virtio->virtio), &config, &err);
    if (rc)
        vmm_vm_msi_close(&config.lines);
    return push_result(L, rc, &err);
}

void pci_open(lua_State *L)
{
    static const luaL_Reg constructors[] = {{"pci_host", pci_host_new},
                                            {"virtio_pci", virtio_pci_new},
                                            {NULL, NULL}};

    luaL_setfuncs(L, constructors, 0);
}
