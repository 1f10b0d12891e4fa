/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Lua functions that vCPU threads call: of devices and of taps. */
#ifndef VMM_LUA_HANDLERS_H
#define VMM_LUA_HANDLERS_H

#include "lua/classes.h"

/*
 * An options table and its functions, kept by the VM's object (vm_push_kept),
 * which nothing in C keeps alive, by the address of this structure.  They run
 * on the vCPU thread whose access they serve, under the script's lock, in a
 * state of their own.  No lock is held when the script's is taken: it is the
 * outermost one.
 */
enum handler { HANDLER_OBJECT = 1, HANDLER_READ, HANDLER_WRITE, HANDLER_RESET };

struct handlers {
    struct vm_box *vm;
    const char *kind; /* "device", "tap": for messages */
    char name[64];
    bool has[HANDLER_RESET + 1];
};

/* What a handler is called for. */
struct handler_access {
    enum handler handler;
    uint64_t offset;
    size_t size;
    const uint8_t *value; /* little endian, or NULL: is given none */
};

/* Take name, read, write and reset of the options at index 2, and keep them
 * with the VM at index 1. */
void handlers_open(lua_State *L, struct handlers *self, const char *kind);
/* The VM, at index vm, keeps them no longer: none is called any more. */
void handlers_close(lua_State *L, struct handlers *self, int vm);
/* A handler is taking them off a bus, and the script wants to be sure that they
 * are.  A handler does not wait: somebody may be waiting for its own end. */
void handlers_await_removal(struct vm_box *vm, const unsigned *leaving);

/*
 * Call handler(object, offset, size [, value]) or reset(object).  NULL when
 * there is none or it failed, which has stopped the VM; else its state, the
 * result on top, for handlers_leave.
 */
lua_State *handlers_enter(struct handlers *self,
                          const struct handler_access *access);
void handlers_leave(struct handlers *self, lua_State *co);
/* Stop the VM: the error on top, and the access. */
void handlers_fail(struct handlers *self, lua_State *co,
                   const struct handler_access *access);

/* ---- where it sits -------------------------------------------------------
 */

struct place {
    bool pio; /* else memory */
    uint64_t base;
    uint64_t len;
};

/* pio = {base, len} or mmio = {base, len} of the options at index 2; raises
 * unless there is exactly one.  what: "vm:device". */
void place_check(lua_State *L, const char *what, struct place *place);
/* Refuse memory: there the guest makes no exit.  name: of what is placed. */
int place_is_free(const struct vm_box *vm, const char *name,
                  const struct place *place, struct vmm_error *err);
/* Refuse memory where devices are. */
int place_memory(const struct vm_box *vm, struct vmm_memory *memory,
                 struct vmm_error *err);
struct vmm_bus *place_bus(const struct vm_box *vm, const struct place *place);

#endif
