/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* The classes of the core, and how one finds another's C object. */
#ifndef VMM_LUA_CLASSES_H
#define VMM_LUA_CLASSES_H

#include "base/ring.h"
#include "lua/box.h"
#include "lua/script.h"

#include <vmm/boot.h>
#include <vmm/console.h>
#include <vmm/machine.h>

#define MEMORY_CLASS  "vmm.memory"
#define IMAGE_CLASS   "vmm.image"
#define KVM_CLASS     "vmm.kvm"
#define VM_CLASS      "vmm.vm"
#define VCPU_CLASS    "vmm.vcpu"
#define IRQ_CLASS     "vmm.irq"
#define DEVICE_CLASS  "vmm.device"
#define PLACED_CLASS  "vmm.placed"
#define TAP_CLASS     "vmm.tap"
#define CONSOLE_CLASS "vmm.console_core"
#define WATCH_CLASS   "vmm.watch"
#define VIRTIO_CLASS  "vmm.virtio"
#define REGEX_CLASS   "vmm.regex"

#define DOORBELL_CLASS "vmm.doorbell"

/* Each adds its class to the state and its constructors to the table on top. */
void memory_open(lua_State *L);
void image_open(lua_State *L);
void kvm_open(lua_State *L);
void vm_open(lua_State *L);
void vcpu_open(lua_State *L);
void device_open(lua_State *L);
void lua_device_open(lua_State *L);
void lua_tap_open(lua_State *L);
void doorbell_open(lua_State *L);
void console_open(lua_State *L);
void console_pty_open(lua_State *L);
void console_unix_open(lua_State *L);
void events_open(lua_State *L);
void virtual_open(lua_State *L);
void file_open(lua_State *L);
void regex_open(lua_State *L);
void socket_open(lua_State *L);
void virtio_open(lua_State *L);
void virtio_console_open(lua_State *L);
void virtio_balloon_open(lua_State *L);
void pci_open(lua_State *L);
void line_editor_open(lua_State *L);
void metrics_open(lua_State *L);

/* Of Lua that vCPU threads ran while the VM measured; under the script's lock.
 */
struct handler_times {
    uint64_t calls;
    uint64_t wait_ns; /* for the lock */
    uint64_t run_ns;
};
void debug_open(lua_State *L); /* adds to the VM's class */
void symbols_open(lua_State *L);
void types_open(lua_State *L);
void disassemble_open(lua_State *L);

/* What a VM's userdata holds. */
struct vm_box {
    struct vmm_machine *machine; /* NULL: closed */
    struct script *script;
    atomic_bool closing; /* handlers return at once without running Lua */
    unsigned users;      /* waits on it under way, with the lock released */
    struct console_box *consoles;
    struct doorbell_box *doorbells;
    void (*close_doorbells)(struct vm_box *vm); /* NULL: there were none */
    struct virtio_box *virtios;
    void (*close_virtios)(struct vm_box *vm); /* NULL: there were none */
    atomic_uint hooked; /* exits that the script is asked about (hooks.c) */
    struct notifier notifier; /* events of the VM, for vm:happened */
    struct handler_times handlers;
};

/* What a console's userdata holds. */
struct console_box {
    struct vmm_console *console; /* NULL: closed, with its VM */
    struct vm_box *vm;
    struct notifier notifier;
    struct vmm_ring keys;          /* after the escape, not taken yet */
    atomic_bool notify_output;     /* output alone is worth an event */
    struct vmm_device *port;       /* the serial port it wakes, or NULL */
    bool kept;                     /* by its VM, whose bus leads to it */
    struct vmm_terminal *terminal; /* raw on its behalf, or NULL */
    struct console_box *next;
};

/* Push the table of what lives as long as the object of the VM at index. */
void vm_push_kept(lua_State *L, int index);

struct vmm_memory *check_memory(lua_State *L, int arg);
struct vmm_image *check_image(lua_State *L, int arg);
struct vmm_kvm *check_kvm(lua_State *L, int arg);
struct vm_box *check_vm(lua_State *L, int arg);
bool vm_is_open(const struct vm_box *box);
struct vmm_device *check_device(lua_State *L, int arg);
/* Raises when the console or its VM is closed. */
struct console_box *check_console(lua_State *L, int arg);

/* Push an irq object for gsi of the VM at index. */
int irq_push(lua_State *L, int vm_index, uint32_t gsi);
/* Push an irq object of the VM at index for the value on top, popped: a gsi or
 * such an object.  Returns 1, or how much push_error has pushed. */
int irq_push_from(lua_State *L, int vm_index);
struct vmm_vcpu *vcpu_at(lua_State *L, int arg);
/* Push a vCPU object. */
void vcpu_push(lua_State *L, int vm_index, struct vmm_vcpu *vcpu);
/* Its index in vm.vcpus, from 1. */
lua_Integer vcpu_index(const struct vm_box *vm, const struct vmm_vcpu *vcpu);
/* Push an exit as a table (exit.c). */
void exit_push(lua_State *L, const struct vmm_exit *exit);

/* Detach and free what the VM's consoles hold, before the machine is freed. */
void console_close_all(struct vm_box *vm);

/* hooks.c: for a new VM, at index; for its pvpanic; around its close, the first
 * of which returns what the second one takes. */
void hooks_open(lua_State *L, int index, struct vm_box *vm);
void hooks_break(struct vm_box *vm); /* it stops at a breakpoint; any thread */
void hooks_pvpanic(struct vm_box *vm, struct vmm_pvpanic_config *config);
int hooks_before_close(lua_State *L, struct vm_box *vm);
void hooks_after_close(lua_State *L, const struct vmm_stop *stop, int waiting);
int hook_exits(lua_State *L);
int hook_trap_msrs(lua_State *L);
int hook_trap_hypercalls(lua_State *L);
int hook_take_events(lua_State *L);
/* Push how a VM ended as a table { reason =, text = }. */
void stop_push(lua_State *L, const struct vmm_stop *stop);

/* handlers.c: script_enter for a handler of the VM, and once it has returned,
 * the lock still held: how long it took, if the VM measures. */
struct handler_timer {
    uint64_t asked_ns; /* 0: it does not */
    uint64_t entered_ns;
};
lua_State *handler_begin(struct vm_box *vm, struct handler_timer *timer);
void handler_returned(struct vm_box *vm, const struct handler_timer *timer);

/* trace.c: methods */
int trace_begin(lua_State *L);
int trace_end(lua_State *L);
int trace_take(lua_State *L);

int vm_new(lua_State *L); /* kvm:create_vm{...} */
/* vm:device{...}, vm:attach(...), vm:create_console{...} */
int vm_stand_still(lua_State *L);
int vm_step_time(lua_State *L);
/* vm:device{...}, vm:tap{...}, vm:doorbell{...}, vm:attach(...),
 * vm:create_console{...} */
int lua_device_new(lua_State *L);
int device_attach(lua_State *L);
int console_new(lua_State *L);

#endif
