/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* A virtio device apart from its transport: status, features, queues, and what
 * a device model has to do. */
#ifndef VMM_VIRTIO_H
#define VMM_VIRTIO_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include <vmm/device.h>
#include <vmm/error.h>
#include <vmm/export.h>
#include <vmm/loop.h>
#include <vmm/memory.h>
#include <vmm/msi.h>
#include <vmm/virtq.h>

struct vmm_virtio;

/*
 * What a device model does.  All but close and destroy are called with the
 * device's lock held, one at a time, on the thread of the loop or on a vCPU's.
 * None may block for long.
 */
struct vmm_virtio_ops {
    const char *name; /* "virtio-rng", for messages */
    uint32_t id;      /* VIRTIO_ID_*: virtio 1.2, section 5 */
    /* The driver is ready: virtio->features are final, queues that it has set
     * up are enabled.  Otherwise the device asks to be reset.  May be NULL. */
    int (*start)(struct vmm_virtio *virtio);
    /* Reset: every chain of its queues has been pushed, or will never be
     * touched, when it returns.  Only after start.  May be NULL. */
    void (*stop)(struct vmm_virtio *virtio);
    /* The driver has put chains into an enabled queue, on the loop's thread:
     * take them.  True: there may be more, call again soon. */
    bool (*serve)(struct vmm_virtio *virtio, unsigned queue);
    /* While it runs: how others may interrupt the driver has changed (see
     * struct vmm_virtio_interrupt).  May be NULL. */
    void (*rewire)(struct vmm_virtio *virtio);
    /* Configuration space, offset + len <= config_bytes.  NULL: zeros; writes
     * do nothing. */
    void (*read_config)(struct vmm_virtio *virtio, uint32_t offset, void *bytes,
                        uint32_t len);
    void (*write_config)(struct vmm_virtio *virtio, uint32_t offset,
                         const void *bytes, uint32_t len);
    /* Its transport is gone, and so will its loop be: remove timers and
     * watches.  Without the lock; after stop.  May be NULL. */
    void (*close)(struct vmm_virtio *virtio);
    /* Frees the model; it has been closed, and its queues are gone. */
    void (*destroy)(struct vmm_virtio *virtio);
};

struct vmm_virtio_config {
    struct vmm_memory *memory; /* referenced */
    struct vmm_loop *loop; /* serves the queues; must outlive the transport */
    uint64_t features;     /* of this type; those of queues are added */
    unsigned queue_count;  /* up to VMM_VIRTIO_QUEUES_MAX */
    const uint16_t *queue_sizes; /* each one's maximum, a power of two */
    uint32_t config_bytes;
    /* Another process serves the queues: features are all of them, and nobody
     * here waits for notifications or calls serve. */
    bool external;
};
#define VMM_VIRTIO_QUEUES_MAX 64

/* How a transport interrupts the driver.  Called with the device's lock held,
 * on any thread. */
struct vmm_virtio_interrupt {
    void (*queue)(void *context, unsigned queue);
    void (*config)(void *context);
    void *context;
    /* An eventfd by which another process may do what queue does, or -1.  May
     * be NULL. */
    int (*fd)(void *context, unsigned queue);
};

struct virtio_queue;

/* Embedded as the first member of a device model; members are the core's. */
struct vmm_virtio {
    const struct vmm_virtio_ops *ops;
    struct vmm_memory *memory;
    struct vmm_loop *loop; /* NULL once it is closed */
    uint32_t config_bytes;
    uint64_t offered;
    unsigned references; /* atomic */

    pthread_mutex_t lock; /* guards what follows */
    uint64_t features;    /* negotiated, final once it runs */
    uint8_t status;
    bool running; /* between start and stop */
    uint8_t generation;
    unsigned queue_count;
    struct virtio_queue *queues;
    struct vmm_virtio_interrupt interrupt;
};

/* Prepare the embedded part; one reference.  On failure nothing is left to
 * undo, and destroy is not called. */
VMM_API int vmm_virtio_init(struct vmm_virtio *virtio,
                            const struct vmm_virtio_ops *ops,
                            const struct vmm_virtio_config *config,
                            struct vmm_error *err);
VMM_API struct vmm_virtio *vmm_virtio_ref(struct vmm_virtio *virtio);
/* The last one closes and destroys.  May be NULL. */
VMM_API void vmm_virtio_unref(struct vmm_virtio *virtio);
/* Stop it and let go of its loop, for good: its transport is gone. */
VMM_API void vmm_virtio_close(struct vmm_virtio *virtio);

/* ---- for device models: with the lock held --------------------------------
 */

VMM_API bool vmm_virtio_has(const struct vmm_virtio *virtio, unsigned feature);
/* NULL unless the driver has enabled it. */
VMM_API struct vmm_virtq *vmm_virtio_queue(struct vmm_virtio *virtio,
                                           unsigned queue);
/* Chains of the queue have been pushed: interrupt the driver if it wants to
 * be. */
VMM_API void vmm_virtio_signal(struct vmm_virtio *virtio, unsigned queue);
/* What the configuration space reads has changed: the driver is told. */
VMM_API void vmm_virtio_config_changed(struct vmm_virtio *virtio);
/* The driver has broken the rules: nothing more until a reset (section
 * 2.1.1). */
VMM_API void vmm_virtio_needs_reset(struct vmm_virtio *virtio);
/* From any thread, without the lock: serve this queue as if notified. */
VMM_API void vmm_virtio_kick(struct vmm_virtio *virtio, unsigned queue);
/* Around what a model does outside of its ops (a completion, a resize). */
VMM_API void vmm_virtio_enter(struct vmm_virtio *virtio);
VMM_API void vmm_virtio_leave(struct vmm_virtio *virtio);

/* ---- transports -----------------------------------------------------------
 */

/*
 * virtio-mmio, version 2 (section 4.2.2): a device with one region of
 * VMM_VIRTIO_MMIO_BYTES.  irq: edge-triggered, pulsed.  Takes over the
 * caller's reference to virtio, also on failure.
 */
#define VMM_VIRTIO_MMIO_BYTES  0x200
#define VMM_VIRTIO_MMIO_NOTIFY 0x050 /* 4 bytes: the queue's number */
VMM_API int vmm_virtio_mmio_new(struct vmm_virtio *virtio,
                                const struct vmm_irq_line *irq,
                                struct vmm_device **device,
                                struct vmm_error *err);
/* The eventfd that a write of the queue's number to the notify register may
 * raise instead of an exit (KVM_IOEVENTFD); -1 when there is no such queue. */
VMM_API int vmm_virtio_notify_fd(const struct vmm_virtio *virtio,
                                 unsigned queue);

/*
 * virtio-pci, without the legacy interface (section 4.1): a function in a slot
 * of a PCI host bridge.  It has one BAR of VMM_VIRTIO_PCI_BAR_BYTES.  Takes
 * over the caller's reference to virtio, also on failure.
 */
#define VMM_VIRTIO_PCI_BAR_BYTES 0x8000
struct vmm_virtio_pci_config {
    struct vmm_device *host; /* vmm_pci_host_new */
    unsigned slot;
    uint64_t bar;           /* where firmware has put it; 0: nowhere */
    uint8_t interrupt_line; /* what firmware has left in that register */
    /* One vector for each queue and one for the configuration. */
    struct vmm_msi_lines lines;
    /*
     * Writes of any length to `address` notify the queue that has this eventfd,
     * from now on, or no longer: KVM_IOEVENTFD.  Without it, and where it
     * fails, they are exits.  On any thread; may be NULL.
     */
    void (*doorbell)(void *context, uint64_t address, int event_fd, bool on);
    void *doorbell_context;
};
VMM_API int vmm_virtio_pci_new(struct vmm_virtio *virtio,
                               const struct vmm_virtio_pci_config *config,
                               struct vmm_error *err);

/* ---- devices --------------------------------------------------------------
 */

/*
 * Entropy (section 5.4), from getrandom(2).  rate_bytes: at most that many a
 * second, 0: no limit.
 */
VMM_API int vmm_virtio_rng_new(struct vmm_memory *memory, struct vmm_loop *loop,
                               uint32_t rate_bytes, struct vmm_virtio **virtio,
                               struct vmm_error *err);

#endif
