/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* The module vmm.core: everything C gives to Lua, registered in one place. */
#include <limits.h>
#include <unistd.h>

#include "lua/classes.h"
#include "lua/terminal.h"
#include <vmm/lua.h>

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
    lua_tap_open(L);
    doorbell_open(L);
    console_open(L);
    events_open(L);
    socket_open(L);
    terminal_open(L);
    virtual_open(L);
    line_editor_open(L);
    lua_getfield(L, LUA_REGISTRYINDEX, "vmm.classes");
    lua_setfield(L, -2, "classes");
    lua_pushliteral(L, VMM_VERSION);
    lua_setfield(L, -2, "version");
    set_executable(L);
    return 1;
}
