/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* KVM itself: the system fd, a VM fd, its memory slots and interrupts. */
#ifndef VMM_KVM_H
#define VMM_KVM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vmm/device.h>
#include <vmm/error.h>
#include <vmm/export.h>
#include <vmm/memory.h>
#include <vmm/msi.h>

struct kvm_cpuid2;
struct kvm_irq_routing_entry;

/* ---- the system ------------------------------------------------------- */

struct vmm_kvm;

/*
 * Open /dev/kvm (or path when not NULL), check the API version and the
 * capabilities every VM of ours needs; the error names each missing one, and
 * says what to do about a missing or forbidden /dev/kvm.
 */
VMM_API int vmm_kvm_open(const char *path, struct vmm_kvm **kvm,
                         struct vmm_error *err);
VMM_API void vmm_kvm_close(struct vmm_kvm *kvm);
VMM_API int vmm_kvm_fd(const struct vmm_kvm *kvm);

/* KVM_CHECK_EXTENSION by number; 0 when absent. */
VMM_API int vmm_kvm_capability(const struct vmm_kvm *kvm, int capability);

/* A capability by name ("KVM_CAP_IRQFD" or "irqfd"): its number, or -ENOENT. */
VMM_API int vmm_kvm_capability_number(const char *name);

/* True when the CPU offers VMX or SVM (from CPUID of this host); false means
 * that only tiny guests run here (software-emulated ring 0). */
VMM_API bool vmm_kvm_hardware(void);

/*
 * KVM_GET_SUPPORTED_CPUID, cached in kvm after the first call (it costs
 * 0.8 ms).  The result lives as long as kvm.
 */
VMM_API int vmm_kvm_supported_cpuid(struct vmm_kvm *kvm,
                                    const struct kvm_cpuid2 **cpuid,
                                    struct vmm_error *err);

/*
 * KVM_GET_MSR_INDEX_LIST: the MSRs that hold a vCPU's state.  *count in: room,
 * out: how many there are; -E2BIG when that is more.
 */
VMM_API int vmm_kvm_msr_list(const struct vmm_kvm *kvm, uint32_t *indices,
                             size_t *count, struct vmm_error *err);

/* ---- a VM ------------------------------------------------------------- */

struct vmm_vm;

/* KVM_CREATE_VM.  kvm must outlive the VM. */
VMM_API int vmm_vm_new(struct vmm_kvm *kvm, struct vmm_vm **vm,
                       struct vmm_error *err);
/* Every vCPU must have been freed.  vm may be NULL. */
VMM_API void vmm_vm_free(struct vmm_vm *vm);
VMM_API int vmm_vm_fd(const struct vmm_vm *vm);
VMM_API struct vmm_kvm *vmm_vm_kvm(const struct vmm_vm *vm);

/*
 * Register every region of memory as a memslot; takes a reference.  Must come
 * before vmm_vm_create_irqchip (-EBUSY after it: there it would cost 7 ms a
 * slot).  Call once.
 */
VMM_API int vmm_vm_map(struct vmm_vm *vm, struct vmm_memory *memory,
                       struct vmm_error *err);
/* The mapped memory, or NULL. */
VMM_API struct vmm_memory *vmm_vm_memory(const struct vmm_vm *vm);

/* What KVM emulates for this VM. */
struct vmm_irqchip_config {
    bool pit; /* i8254: costs 16 ms at close, and Linux does not need it */
};
/* KVM_SET_TSS_ADDR, KVM_SET_IDENTITY_MAP_ADDR, KVM_CREATE_IRQCHIP [, PIT2].
 * Before the first vCPU. */
VMM_API int vmm_vm_create_irqchip(struct vmm_vm *vm,
                                  const struct vmm_irqchip_config *config,
                                  struct vmm_error *err);
VMM_API bool vmm_vm_has_irqchip(const struct vmm_vm *vm);

/* Have accesses to MSRs that KVM does not know, or values that it refuses, exit
 * to the caller instead of raising #GP in the guest.  Any time. */
VMM_API int vmm_vm_trap_msrs(struct vmm_vm *vm, bool on, struct vmm_error *err);
/* The same for the hypercall that KVM lets user space serve,
 * KVM_HC_MAP_GPA_RANGE (12), instead of KVM's refusing it. */
VMM_API int vmm_vm_trap_hypercalls(struct vmm_vm *vm, bool on,
                                   struct vmm_error *err);

/* KVM_IRQ_LINE. */
VMM_API int vmm_vm_set_irq(struct vmm_vm *vm, uint32_t gsi, bool level);
/* An irq line for a device; gsi 0..1023.  Valid while vm is. */
VMM_API int vmm_vm_irq_line(struct vmm_vm *vm, uint32_t gsi,
                            struct vmm_irq_line *line, struct vmm_error *err);
/* The same for an edge-triggered line, by an irqfd: a rise is one pulse and no
 * ioctl.  Set up by one thread at a time. */
VMM_API int vmm_vm_edge_line(struct vmm_vm *vm, uint32_t gsi,
                             struct vmm_irq_line *line, struct vmm_error *err);
/* KVM_SIGNAL_MSI. */
VMM_API int vmm_vm_signal_msi(struct vmm_vm *vm, uint64_t address,
                              uint32_t data);
/* KVM_IRQFD: writing to the eventfd pulses gsi.  resample_fd may be -1. */
VMM_API int vmm_vm_irqfd(struct vmm_vm *vm, int event_fd, int resample_fd,
                         uint32_t gsi, bool assign, struct vmm_error *err);
/*
 * Messages of a device: vector n has GSI first_gsi + n, from 24 on, an irqfd
 * and a route.  Valid while vm is.  -EBUSY: one of the GSIs is in use.  A route
 * keeps those of all other devices and KVM's own.  Set up by one thread at a
 * time.
 */
VMM_API int vmm_vm_msi_lines(struct vmm_vm *vm, uint32_t first_gsi,
                             unsigned count, struct vmm_msi_lines *lines,
                             struct vmm_error *err);
/* Give the GSIs back: nobody uses the lines any more. */
VMM_API void vmm_vm_msi_close(const struct vmm_msi_lines *lines);
/* KVM_SET_GSI_ROUTING, the whole table; the next route of a message replaces
 * it. */
VMM_API int vmm_vm_set_routing(struct vmm_vm *vm,
                               const struct kvm_irq_routing_entry *entries,
                               size_t count, struct vmm_error *err);

struct vmm_ioeventfd {
    uint64_t address;
    uint32_t len; /* 1, 2, 4, 8; 0 for any length */
    bool pio;     /* port, else memory */
    bool match;   /* fire only when the written value is `value` */
    uint64_t value;
};
VMM_API int vmm_vm_ioeventfd(struct vmm_vm *vm, const struct vmm_ioeventfd *at,
                             int event_fd, bool assign, struct vmm_error *err);

/*
 * VM-wide state by name: "clock", "pic_master", "pic_slave", "ioapic", "pit".
 * buffer holds the kernel's structure; *size in: room, out: bytes.
 * -ENOENT for an unknown name; -ENOBUFS sets *size; -EINVAL for another size;
 * -ENXIO when the VM has no such chip.  A clock that is set with
 * KVM_CLOCK_REALTIME as got goes forward by the time gone by since; clear the
 * flag to let it go on from the value.
 */
VMM_API int vmm_vm_get_state(struct vmm_vm *vm, const char *name, void *buffer,
                             size_t *size, struct vmm_error *err);
VMM_API int vmm_vm_set_state(struct vmm_vm *vm, const char *name,
                             const void *buffer, size_t size,
                             struct vmm_error *err);

#endif
