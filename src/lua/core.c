/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* The module vmm.core: everything C gives to Lua, registered in one place. */
#include <limits.h>
#include <unistd.h>

#include "vmm_features.h"

#include "lua/device.h"
#include "lua/image.h"
#include "lua/net.h"
#include "lua/terminal.h"
#include "lua/virtio.h"

#include <vmm/lua.h>
#include <vmm/version.h>

/* The path of the running program: what a script starts to run itself. */
static void set_executable(lua_State *L)
{
    char path[PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", path, sizeof(path));

    if (length < 0 || length == (ssize_t)sizeof(path))
        return;
    lua_pushlstring(L, path, (size_t)length);
    lua_setfield(L, -2, "executable");
}

/* What may be left out: src/features.mk says which files each has. */
static void open_features(lua_State *L)
{
    if (VMM_FEATURE_SERIAL)
        device_serial_open(L);
    if (VMM_FEATURE_I8042)
        device_i8042_open(L);
    if (VMM_FEATURE_RTC)
        device_rtc_open(L);
    if (VMM_FEATURE_PVPANIC)
        device_pvpanic_open(L);
    if (VMM_FEATURE_DEBUG_PORT)
        device_debug_port_open(L);
    if (VMM_FEATURE_ACPI) {
        device_acpi_power_open(L);
        device_acpi_events_open(L);
    }
    if (VMM_FEATURE_ELF)
        image_elf_open(L);
    if (VMM_FEATURE_BZIMAGE)
        image_bzimage_open(L);
    if (VMM_FEATURE_TAP)
        lua_tap_open(L);
    if (VMM_FEATURE_DOORBELL)
        doorbell_open(L);
    if (VMM_FEATURE_PTY)
        console_pty_open(L);
    if (VMM_FEATURE_UNIX)
        console_unix_open(L);
    if (VMM_FEATURE_VIRTIO) {
        virtio_open(L);
        virtio_block_open(L);
        net_open(L);
        virtio_net_open(L);
        virtio_vsock_open(L);
        virtio_console_open(L);
        virtio_balloon_open(L);
    }
    if (VMM_FEATURE_USER_NET)
        net_user_open(L);
    if (VMM_FEATURE_PCI)
        pci_open(L);
    if (VMM_FEATURE_VHOST_USER)
        vhost_user_open(L);
    if (VMM_FEATURE_SOCKET)
        socket_open(L);
    if (VMM_FEATURE_LINE_EDITOR)
        line_editor_open(L);
    if (VMM_FEATURE_METRICS)
        metrics_open(L);
    if (VMM_FEATURE_DEBUG)
        debug_open(L);
    if (VMM_FEATURE_SYMBOLS) {
        symbols_open(L);
        types_open(L);
    }
    if (VMM_FEATURE_DISASSEMBLE)
        disassemble_open(L);
}

/* core.features: { serial = true, ... }, of all features there are. */
static void set_features(lua_State *L)
{
    static const struct {
        const char *name;
        bool built;
    } features[] = {VMM_FEATURES_TABLE};

    lua_newtable(L);
    for (size_t i = 0; i < sizeof(features) / sizeof(*features); i++)
        box_set_boolean(L, features[i].name, features[i].built);
    lua_setfield(L, -2, "features");
}

int luaopen_vmm_core(lua_State *L)
{
    script_open(L);
    lua_newtable(L);
    memory_open(L);
    image_open(L);
    kvm_open(L);
    vm_open(L);
    vcpu_open(L);
    device_open(L);
    lua_device_open(L);
    console_open(L);
    events_open(L);
    terminal_open(L);
    virtual_open(L);
    file_open(L);
    regex_open(L);
    open_features(L);
    set_features(L);
    lua_getfield(L, LUA_REGISTRYINDEX, "vmm.classes");
    lua_setfield(L, -2, "classes");
    lua_pushstring(L, vmm_version());
    lua_setfield(L, -2, "version");
    set_executable(L);
    return 1;
}
