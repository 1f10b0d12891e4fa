/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* A PCI host bridge with bus 0, and what a function on it is made of. */
#ifndef VMM_PCI_H
#define VMM_PCI_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vmm/bus.h>
#include <vmm/device.h>
#include <vmm/error.h>
#include <vmm/export.h>
#include <vmm/memory.h>
#include <vmm/msi.h>

struct vmm_pci_function;

/* ---- the host bridge ------------------------------------------------------
 */

/* Regions of the bridge's device: the ports 0xcf8-0xcff, and the memory-mapped
 * configuration space (ECAM) of bus 0. */
#define VMM_PCI_REGION_PORTS 0
#define VMM_PCI_REGION_ECAM  1
#define VMM_PCI_PORTS        8
#define VMM_PCI_ECAM_BYTES   0x100000

#define VMM_PCI_SLOTS       32 /* slot 0 is the bridge's own */
#define VMM_PCI_LINES_MAX   8
#define VMM_PCI_WINDOWS_MAX 4

struct vmm_pci_host_config {
    struct vmm_bus *mmio; /* BARs sit there; outlives the use of the bridge */
    /* Where on it: a BAR that is not within one of them is not decoded, nor is
     * one that overlaps another device. */
    const struct vmm_memory_range *windows;
    size_t window_count;
    /* Level-triggered; the function in slot n has the one of n % count.  May be
     * shared.  None: no legacy interrupts. */
    const struct vmm_irq_line *lines;
    size_t line_count;
};

/* A bridge, without functions beside its own. */
VMM_API int vmm_pci_host_new(const struct vmm_pci_host_config *config,
                             struct vmm_device **device, struct vmm_error *err);
/*
 * Put a function into a slot, 1 to 31: its reference becomes the bridge's, also
 * on failure.  -EINVAL: the device is no bridge, or there is no such slot;
 * -EBUSY: it is taken.
 */
VMM_API int vmm_pci_host_add(struct vmm_device *host, unsigned slot,
                             struct vmm_pci_function *function,
                             struct vmm_error *err);

/* ---- functions ------------------------------------------------------------
 */

#define VMM_PCI_CONFIG_BYTES 256
/* 64-bit memory BARs; number n is in registers 2n and 2n + 1. */
#define VMM_PCI_BARS 3

struct vmm_pci_identity {
    uint16_t vendor, device;
    uint16_t subsystem_vendor, subsystem;
    uint32_t class_code; /* 24 bits */
    uint8_t revision;
};

struct vmm_pci_function_ops {
    /*
     * A configuration access that touches [window, window + window_bytes),
     * before a read and after a write of the bytes; on a vCPU's thread, with
     * the bridge's lock held.  May be NULL.
     */
    void (*read_window)(struct vmm_pci_function *function);
    void (*wrote_window)(struct vmm_pci_function *function);
    /* The BAR is decoded at base from now on; or (no longer) it has been.  The
     * bridge's lock is held.  May be NULL. */
    void (*placed)(struct vmm_pci_function *function, unsigned bar,
                   uint64_t base, bool decoded);
    /* MSI-X has been turned on or off, or masked; with the bridge's lock held.
     * May be NULL. */
    void (*msix_changed)(struct vmm_pci_function *function);
};

struct vmm_pci_bar {
    uint64_t size; /* a power of two, 4096 at the least; 0: none */
    bool decoded;
    uint64_t base; /* where */
};

/* A vector of MSI-X: its table entry. */
struct vmm_pci_vector {
    uint64_t address;
    uint32_t data;
    bool masked;
    bool pending;
    bool routed; /* the message is what a raise sends */
    bool lent;   /* others have its eventfd ... */
    bool held;   /* ... and what they raise is kept */
};

/*
 * Embedded as the first member of a device model; region n of its device is BAR
 * number n.  Members are of src/pci alone.
 *
 * Locks, outermost first: the bridge's device lock (configuration space), the
 * function's device lock (accesses to BARs), the model's, interrupt_lock.
 */
struct vmm_pci_function {
    struct vmm_device device;
    const struct vmm_pci_function_ops *ops;
    struct vmm_device *host; /* NULL: on no bus */
    unsigned slot;

    uint8_t config[VMM_PCI_CONFIG_BYTES];
    uint8_t writable[VMM_PCI_CONFIG_BYTES]; /* bits that the guest may change */
    uint8_t initial[VMM_PCI_CONFIG_BYTES];  /* config at power-on */
    unsigned capabilities_end;
    unsigned last_capability; /* offset of the last one; 0: none */
    unsigned window, window_bytes;
    struct vmm_pci_bar bars[VMM_PCI_BARS];
    unsigned msix; /* offset of the capability; 0: none */

    pthread_mutex_t interrupt_lock; /* guards what follows */
    bool intx_asserted;             /* by the model */
    bool intx_disabled, intx_driven;
    bool msix_enabled, msix_masked;
    struct vmm_pci_vector *vectors;
    struct vmm_msi_lines lines;
};

/* Prepare the embedded part of a function without BARs and capabilities. */
VMM_API void vmm_pci_function_init(struct vmm_pci_function *function,
                                   const struct vmm_device_ops *device_ops,
                                   const struct vmm_region_ops *regions,
                                   size_t region_count,
                                   const struct vmm_pci_function_ops *ops,
                                   const struct vmm_pci_identity *identity);
/* Free what it holds, from the device's destroy. */
VMM_API void vmm_pci_function_fini(struct vmm_pci_function *function);

/* BAR number `bar`, as firmware has placed it (base 0: it has not).  -EINVAL:
 * a size or base that is not possible. */
VMM_API int vmm_pci_add_bar(struct vmm_pci_function *function, unsigned bar,
                            uint64_t size, uint64_t base,
                            struct vmm_error *err);
/*
 * Append a capability of len bytes, of which the first two (id and next) are
 * filled in.  Returns its offset, or -ENOSPC.  mask: bits the guest may change,
 * or NULL.
 */
VMM_API int vmm_pci_add_capability(struct vmm_pci_function *function,
                                   uint8_t id, const void *bytes,
                                   const void *mask, size_t len);
/* Where its ops' read_window and wrote_window are called. */
VMM_API void vmm_pci_set_window(struct vmm_pci_function *function,
                                unsigned offset, unsigned bytes);

/*
 * MSI-X with as many vectors as lines has (up to VMM_PCI_VECTORS_MAX): table
 * and pending bits lie in a BAR of 32-bit offsets, which the model leads to
 * vmm_pci_msix_read and _write.
 */
#define VMM_PCI_VECTORS_MAX 256
VMM_API int vmm_pci_add_msix(struct vmm_pci_function *function,
                             const struct vmm_msi_lines *lines, unsigned bar,
                             uint32_t table_offset, uint32_t pending_offset,
                             struct vmm_error *err);
/* offset is relative to the table; what lies beyond its end reads as zeros. */
VMM_API void vmm_pci_msix_read(struct vmm_pci_function *function,
                               uint64_t offset, uint8_t *value, size_t size);
VMM_API void vmm_pci_msix_write(struct vmm_pci_function *function,
                                uint64_t offset, const uint8_t *value,
                                size_t size);
VMM_API void vmm_pci_pending_read(struct vmm_pci_function *function,
                                  uint64_t offset, uint8_t *value, size_t size);

/* The model interrupts, from any thread. */
VMM_API bool vmm_pci_msix_enabled(struct vmm_pci_function *function);
VMM_API unsigned vmm_pci_vector_count(const struct vmm_pci_function *function);
/* A masked vector is noted as pending; nothing happens while MSI-X is off. */
VMM_API void vmm_pci_raise(struct vmm_pci_function *function, unsigned vector);
/*
 * An eventfd by which another process raises a vector, which masks hold as they
 * hold vmm_pci_raise; valid as long as the function's lines are.  -1: MSI-X is
 * off, there is no such vector, or its host has no eventfds.
 */
VMM_API int vmm_pci_vector_fd(struct vmm_pci_function *function,
                              unsigned vector);
/* The legacy interrupt, INTA; it is not driven while MSI-X is on. */
VMM_API void vmm_pci_set_intx(struct vmm_pci_function *function, bool asserted);

/* One access to a BAR's bytes by way of configuration space. */
VMM_API void vmm_pci_bar_access(struct vmm_pci_function *function, unsigned bar,
                                uint64_t offset, uint8_t *value, size_t size,
                                bool is_write);

#endif
