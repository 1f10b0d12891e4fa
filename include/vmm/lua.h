/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* The Lua library from C: one call for a front end, or parts for a host. */
#ifndef VMM_LUA_H
#define VMM_LUA_H

#include <vmm/export.h>

struct lua_State;
struct vmm_device;
struct vmm_error;
struct vmm_irq_line;
struct vmm_machine;
struct vmm_memory;
struct vmm_virtio;

/*
 * The whole program as a function: what `vmm-reference argv[1] ...` does, with
 * its exit code (0 ok, 1 error, 2 usage, 3 guest panic, 124 timeout, 130
 * interrupted).  Messages go to standard error.  Unlike the program it leaves
 * the terminal and signals as they are: on stdio there is no raw mode and no
 * Ctrl-A, and a signal does what the caller has made it do.
 * A C front end boots Linux by
 *   vmm_lua_main(3, (char *[]){"frontend", "--kernel", "path=vmlinuz", NULL});
 */
VMM_API int vmm_lua_main(int argc, char **argv);

/*
 * The same with C modules of the caller's own: a script finds them by require.
 * modules ends with a NULL name and is not used after the call; open is an
 * opener as of any C module (a lua_CFunction that returns what require is to
 * give), called when the script first asks for it.
 */
struct vmm_lua_module {
    const char *name;
    int (*open)(struct lua_State *L);
};
VMM_API int vmm_lua_main_with(int argc, char **argv,
                              const struct vmm_lua_module *modules);

/* ---- for C modules: a device of one's own into Lua -------------------------
 * All are called as other functions of Lua's API are: on the thread that runs
 * the script, and they may raise.  A module that is a shared object of its own
 * finds them in the program vmm-reference, too: build it with -shared and have
 * LUA_CPATH point to it.
 */

/*
 * Push a device object, as vmm.serial{...} and its kin return: for vm:attach.
 * It is closed until *result has been set, to a device whose one reference it
 * takes over; if that fails, leave NULL and return nil, message, code.
 * vm_index: 0, or where the VM is on the stack whose irq lines or memory the
 * device uses: then it can be attached to that VM alone, and the VM's object
 * lives as long as the device's.
 * The bus calls the device on vCPU threads, without the script's lock: its
 * operations may not touch Lua.  It may outlive the VM, and then has to do
 * without the VM's loop; a virtio device is pushed by vmm_lua_new_virtio.
 */
VMM_API struct vmm_device **vmm_lua_new_device(struct lua_State *L,
                                               int vm_index);

/*
 * Push a virtio device without a transport, as vmm.virtio_rng{...} returns: for
 * vmm.virtio_mmio and vmm.virtio_pci, and for add of the Lua module
 * vmm.virtio, which finds it a place in a machine.  It is closed until *result
 * has been set, to a device (vmm_virtio_init) with the VM's memory and loop,
 * whose one reference it takes over; if that fails, leave NULL and return nil,
 * message, code.  Closing the VM closes it (vmm_virtio_close), before the loop
 * goes.  Raises when the VM has no memory yet.
 */
VMM_API struct vmm_virtio **vmm_lua_new_virtio(struct lua_State *L,
                                               int vm_index);

/* What is behind an argument: a VM (raises when it is closed), guest memory, an
 * irq of vm:irq(gsi).  Valid while that VM is open; a memory while it is
 * referenced. */
VMM_API struct vmm_machine *vmm_lua_check_machine(struct lua_State *L, int arg);
VMM_API struct vmm_memory *vmm_lua_check_memory(struct lua_State *L, int arg);
VMM_API void vmm_lua_check_irq(struct lua_State *L, int arg,
                               struct vmm_irq_line *line);

/* Push nil, the text, and the code's name ("ENOENT"); returns 3. */
VMM_API int vmm_lua_push_error(struct lua_State *L,
                               const struct vmm_error *err);

/* ---- for a host with a Lua state of its own -------------------------------
 */

/* The opener of the C core: require "vmm.core". */
VMM_API int luaopen_vmm_core(struct lua_State *L);

/*
 * Make `require "vmm"` and its kin find the library embedded in the program.
 * A directory in the environment variable VMM_LUA_PATH (the source tree's lua/)
 * comes first: edit the library without a compiler.
 */
VMM_API void vmm_lua_preload(struct lua_State *L);

#endif
