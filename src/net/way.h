/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* One direction of a wire: what becomes of its frames, and those it holds. */
#ifndef NET_WAY_H
#define NET_WAY_H

#include <sys/uio.h>

#include "net/fault.h"

struct held_list {
    struct held *first, *last;
};

struct way {
    unsigned direction; /* VMM_NET_TX or VMM_NET_RX */
    size_t skip;        /* of the header before each frame */
    const struct vmm_net_events *events;
    struct fault_slot *slot; /* NULL: no fault can be here */

    struct vmm_net_fault *fault; /* that it follows; referenced, or NULL */
    bool active;                 /* it is there and has not ended */
    uint64_t stream, random;
    struct held_list undecided; /* in the order they came */
    struct held_list due;       /* by time, then as they came */
    unsigned frames;            /* in both */
    size_t bytes;
    uint64_t number; /* of the last frame */
    bool one_is_behind;
};

void way_fini(struct way *way);
/* Drop what is held. */
void way_clear(struct way *way);
/* Does it have to look at frames at all? */
bool way_is_idle(struct way *way);

enum fate {
    FATE_PASS, /* as it is, now */
    FATE_GONE, /* it is dropped, or held: a copy was made */
};
/* Judge a frame. */
enum fate way_judge(struct way *way, const struct iovec *frame, int count,
                    uint64_t now_ns);

/* The frame that is due, or NULL; it stays until it is sent. */
struct held *way_next(struct way *way, uint64_t now_ns);
/* The frame of way_next has gone. */
void way_sent(struct way *way, struct held *held, uint64_t now_ns);
/* One that was not held has gone. */
void way_passed(struct way *way, uint64_t now_ns);
/* When the next frame is due; UINT64_MAX: none is held, or only by questions.
 */
uint64_t way_due_ns(const struct way *way);

#endif
