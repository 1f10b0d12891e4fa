/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Faults as wires see them: the one in force, its verdicts, frames that are
 * held back. */
#ifndef NET_FAULT_H
#define NET_FAULT_H

#include <pthread.h>

#include <vmm/net_fault.h>

/* Where a fault is put: of a link, of a direction of a device.  It outlives
 * the wires that look at it. */
struct fault_slot {
    pthread_mutex_t lock;
    struct vmm_net_fault *fault; /* referenced; read without the lock as well */
};
void fault_slot_init(struct fault_slot *slot);
void fault_slot_fini(struct fault_slot *slot);
/* Another fault, or NULL, instead of the one that is there. */
void fault_slot_set(struct fault_slot *slot, struct vmm_net_fault *fault);
/* Have *current (referenced) be what is in force, or NULL; true: it is another
 * one than before. */
bool fault_slot_follow(struct fault_slot *slot, struct vmm_net_fault **current);

/* Numbers that look random, by a seed: SplitMix64. */
uint64_t fault_random(uint64_t *state);
/* Where a stream of frames begins. */
uint64_t fault_seed(const struct vmm_net_fault *fault, uint64_t stream);

/* ---- frames that are held -------------------------------------------------
 */

struct held {
    struct held *next;
    uint64_t number; /* in the order they came */
    uint64_t due_ns;
    bool behind; /* goes once a later one has gone, if that is before due_ns */

    /* Of a question, under the fault's lock: */
    struct vmm_net_fault *fault; /* referenced; NULL: it is none */
    struct held *next_question;
    uint64_t ticket;
    bool asked, answered;
    struct vmm_net_verdict verdict;
    unsigned way;
    const struct vmm_net_events *events; /* told of the answer */

    size_t skip, len; /* skip: of the header before the frame */
    uint8_t bytes[];
};

bool fault_has_ended(const struct vmm_net_fault *fault);
/* By chance.  False: it has to be asked (fault_ask). */
bool fault_judge(struct vmm_net_fault *fault, uint64_t *random,
                 struct vmm_net_verdict *verdict);
/* The fault of a frame that waits for an answer; events tell of it. */
void fault_ask(struct vmm_net_fault *fault, struct held *held);
/* The answer is there: it is no question any more. */
bool fault_answered(struct held *held, struct vmm_net_verdict *verdict);
/* Its frame goes away. */
void fault_forget(struct held *held);
/* What has become of a frame; overflowed: it is dropped instead. */
void fault_count(struct vmm_net_fault *fault,
                 const struct vmm_net_verdict *verdict, bool overflowed);

#endif
