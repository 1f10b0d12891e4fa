/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Faults of a network: frames that are lost, late, twice, damaged, or out of
 * order, by chance or as somebody says of each. */
#ifndef VMM_NET_FAULT_H
#define VMM_NET_FAULT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vmm/error.h>
#include <vmm/export.h>
#include <vmm/net.h>

struct vmm_net_fault;

/* What happens to a frame; all zero: nothing. */
struct vmm_net_verdict {
    bool drop;
    bool duplicate; /* it comes twice */
    bool corrupt;   /* one bit of it is another, wherever */
    bool reorder;   /* it comes after the next one, or after 100 ms */
    uint64_t delay_ns;
};

struct vmm_net_fault_config {
    /* By chance: from 0 (never) to 1 (always), each apart from the others. */
    double drop, duplicate, corrupt, reorder;
    uint64_t delay_ns;  /* of every frame ... */
    uint64_t jitter_ns; /* ... and up to so much more */
    /* The same frames in the same order meet the same fate; each direction of
     * a device and each port of a link has chances of its own. */
    uint64_t seed;
    /* Not by chance: a frame waits for an answer (vmm_net_fault_question).
     * Told on any thread, once there are questions; it may not call the fault.
     */
    void (*ask)(void *context);
    void *context;
};

/* So many frames are held, and take so much host memory, in a direction of a
 * device or port; more are dropped. */
#define VMM_NET_FAULT_FRAMES 4096u
#define VMM_NET_FAULT_BYTES  (4u << 20)
#define VMM_NET_DELAY_MAX    (UINT64_C(3600) * 1000000000) /* an hour */

/* -EINVAL: no probability, or a delay over VMM_NET_DELAY_MAX. */
VMM_API int vmm_net_fault_new(const struct vmm_net_fault_config *config,
                              struct vmm_net_fault **fault,
                              struct vmm_error *err);
VMM_API struct vmm_net_fault *vmm_net_fault_ref(struct vmm_net_fault *fault);
/* May be NULL. */
VMM_API void vmm_net_fault_unref(struct vmm_net_fault *fault);
/* It does nothing any more, to no frame; what is delayed still comes in its
 * time, questions are dropped and their frames pass.  Afterwards ask is not
 * called.  Idempotent, any thread. */
VMM_API void vmm_net_fault_end(struct vmm_net_fault *fault);

struct vmm_net_fault_stats {
    uint64_t frames; /* that it has judged, and what became of them: */
    uint64_t dropped, duplicated, corrupted, reordered, delayed;
    uint64_t overflowed; /* dropped, for too many were held */
};
VMM_API void vmm_net_fault_stats(struct vmm_net_fault *fault,
                                 struct vmm_net_fault_stats *stats);

/* A frame that waits for an answer, copied to frame (VMM_NET_FRAME_MAX bytes,
 * no header before it): its length, or 0: there is none.  way: VMM_NET_TX or
 * VMM_NET_RX.  Any thread. */
VMM_API size_t vmm_net_fault_question(struct vmm_net_fault *fault,
                                      uint8_t *frame, unsigned *way,
                                      uint64_t *ticket);
/* The answer; nothing happens when the frame is gone, for its guest is reset.
 */
VMM_API void vmm_net_fault_answer(struct vmm_net_fault *fault, uint64_t ticket,
                                  const struct vmm_net_verdict *verdict);

#endif
