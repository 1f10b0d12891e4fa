/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Faults: which frames meet which fate, by chance or by answers. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "net/fault.h"

struct vmm_net_fault {
    struct vmm_net_fault_config config;
    unsigned references; /* atomic */

    pthread_mutex_t lock;
    bool ended; /* atomic, for those who only look */
    struct vmm_net_fault_stats stats;
    struct held *questions; /* that have no answer, in their order */
    struct held **last;
    uint64_t tickets;
};

/* ---- life -----------------------------------------------------------------
 */

static int check(const struct vmm_net_fault_config *config,
                 struct vmm_error *err)
{
    const struct {
        const char *name;
        double value;
    } chances[] = {{"drop", config->drop},
                   {"duplicate", config->duplicate},
                   {"corrupt", config->corrupt},
                   {"reorder", config->reorder}};

    for (size_t i = 0; i < sizeof(chances) / sizeof(*chances); i++)
        if (!(chances[i].value >= 0 && chances[i].value <= 1))
            return vmm_error_set(err, EINVAL,
                                 "network fault: %s is %g, not 0 to 1",
                                 chances[i].name, chances[i].value);
    if (config->delay_ns > VMM_NET_DELAY_MAX ||
        config->jitter_ns > VMM_NET_DELAY_MAX)
        return vmm_error_set(err, EINVAL,
                             "network fault: a delay of more than an hour");
    return 0;
}

int vmm_net_fault_new(const struct vmm_net_fault_config *config,
                      struct vmm_net_fault **fault, struct vmm_error *err)
{
    vmm_error_clear(err);
    *fault = NULL;
    int rc = check(config, err);
    if (rc)
        return rc;
    struct vmm_net_fault *made = calloc(1, sizeof(*made));
    if (!made)
        return vmm_error_set(err, ENOMEM, "network fault: out of memory");
    made->config = *config;
    made->references = 1;
    made->last = &made->questions;
    pthread_mutex_init(&made->lock, NULL);
    *fault = made;
    return 0;
}

struct vmm_net_fault *vmm_net_fault_ref(struct vmm_net_fault *fault)
{
    __atomic_add_fetch(&fault->references, 1, __ATOMIC_RELAXED);
    return fault;
}

void vmm_net_fault_unref(struct vmm_net_fault *fault)
{
    if (!fault ||
        __atomic_sub_fetch(&fault->references, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    pthread_mutex_destroy(&fault->lock);
    free(fault);
}

void vmm_net_fault_stats(struct vmm_net_fault *fault,
                         struct vmm_net_fault_stats *stats)
{
    pthread_mutex_lock(&fault->lock);
    *stats = fault->stats;
    pthread_mutex_unlock(&fault->lock);
}

/* ---- slots ----------------------------------------------------------------
 */

void fault_slot_init(struct fault_slot *slot)
{
    pthread_mutex_init(&slot->lock, NULL);
    slot->fault = NULL;
}

void fault_slot_fini(struct fault_slot *slot)
{
    vmm_net_fault_unref(slot->fault);
    pthread_mutex_destroy(&slot->lock);
}

void fault_slot_set(struct fault_slot *slot, struct vmm_net_fault *fault)
{
    pthread_mutex_lock(&slot->lock);
    struct vmm_net_fault *before = slot->fault;
    __atomic_store_n(&slot->fault, fault ? vmm_net_fault_ref(fault) : NULL,
                     __ATOMIC_RELEASE);
    pthread_mutex_unlock(&slot->lock);
    vmm_net_fault_unref(before);
}

bool fault_slot_follow(struct fault_slot *slot, struct vmm_net_fault **current)
{
    /* What is referenced by *current is no other fault at its address. */
    if (__atomic_load_n(&slot->fault, __ATOMIC_ACQUIRE) != *current) {
        struct vmm_net_fault *before = *current;

        pthread_mutex_lock(&slot->lock);
        *current = slot->fault ? vmm_net_fault_ref(slot->fault) : NULL;
        pthread_mutex_unlock(&slot->lock);
        vmm_net_fault_unref(before);
        return true;
    }
    return false;
}

/* ---- chance ---------------------------------------------------------------
 */

uint64_t fault_random(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

uint64_t fault_seed(const struct vmm_net_fault *fault, uint64_t stream)
{
    uint64_t state = fault->config.seed;

    return fault_random(&state) ^ stream << 32;
}

/* Each frame takes as many numbers, whatever becomes of it. */
static bool happens(uint64_t *random, double chance)
{
    return (double)(fault_random(random) >> 11) * 0x1p-53 < chance;
}

bool fault_has_ended(const struct vmm_net_fault *fault)
{
    return __atomic_load_n(&fault->ended, __ATOMIC_ACQUIRE);
}

bool fault_judge(struct vmm_net_fault *fault, uint64_t *random,
                 struct vmm_net_verdict *verdict)
{
    const struct vmm_net_fault_config *config = &fault->config;

    *verdict = (struct vmm_net_verdict){0};
    if (config->ask)
        return false;
    verdict->drop = happens(random, config->drop);
    verdict->duplicate = happens(random, config->duplicate);
    verdict->corrupt = happens(random, config->corrupt);
    verdict->reorder = happens(random, config->reorder);
    uint64_t more = fault_random(random);
    verdict->delay_ns = config->delay_ns;
    if (config->jitter_ns)
        verdict->delay_ns += more % (config->jitter_ns + 1);
    return true;
}

void fault_count(struct vmm_net_fault *fault,
                 const struct vmm_net_verdict *verdict, bool overflowed)
{
    pthread_mutex_lock(&fault->lock);
    struct vmm_net_fault_stats *stats = &fault->stats;
    stats->frames++;
    if (verdict->drop || overflowed) {
        stats->dropped += verdict->drop;
        stats->overflowed += !verdict->drop;
    } else {
        stats->duplicated += verdict->duplicate;
        stats->corrupted += verdict->corrupt;
        stats->reordered += verdict->reorder;
        stats->delayed += verdict->delay_ns > 0;
    }
    pthread_mutex_unlock(&fault->lock);
}

/* ---- questions ------------------------------------------------------------
 */

static void tell(const struct held *held)
{
    if (held->way == VMM_NET_TX)
        held->events->room(held->events->context);
    else
        held->events->frames(held->events->context);
}

void fault_ask(struct vmm_net_fault *fault, struct held *held)
{
    pthread_mutex_lock(&fault->lock);
    held->fault = vmm_net_fault_ref(fault);
    held->ticket = ++fault->tickets;
    held->answered = fault->ended;
    if (fault->ended) {
        tell(held);
    } else {
        *fault->last = held;
        fault->last = &held->next_question;
        fault->config.ask(fault->config.context);
    }
    pthread_mutex_unlock(&fault->lock);
}

/* Lock held. */
static void take_out(struct vmm_net_fault *fault, struct held *held)
{
    struct held **at = &fault->questions;

    while (*at && *at != held)
        at = &(*at)->next_question;
    if (!*at)
        return;
    *at = held->next_question;
    held->next_question = NULL;
    if (!*at)
        fault->last = at;
}

bool fault_answered(struct held *held, struct vmm_net_verdict *verdict)
{
    struct vmm_net_fault *fault = held->fault;

    pthread_mutex_lock(&fault->lock);
    bool answered = held->answered;
    *verdict = held->verdict;
    pthread_mutex_unlock(&fault->lock);
    return answered;
}

void fault_forget(struct held *held)
{
    struct vmm_net_fault *fault = held->fault;

    if (!fault)
        return;
    pthread_mutex_lock(&fault->lock);
    take_out(fault, held);
    pthread_mutex_unlock(&fault->lock);
    held->fault = NULL;
    vmm_net_fault_unref(fault);
}

size_t vmm_net_fault_question(struct vmm_net_fault *fault, uint8_t *frame,
                              unsigned *way, uint64_t *ticket)
{
    size_t len = 0;

    pthread_mutex_lock(&fault->lock);
    struct held *held = fault->questions;
    while (held && held->asked)
        held = held->next_question;
    if (held) {
        held->asked = true;
        len = held->len - held->skip;
        memcpy(frame, held->bytes + held->skip, len);
        *way = held->way;
        *ticket = held->ticket;
    }
    pthread_mutex_unlock(&fault->lock);
    return len;
}

/* Lock held. */
static void answer(struct vmm_net_fault *fault, struct held *held,
                   const struct vmm_net_verdict *verdict)
{
    take_out(fault, held);
    held->verdict = *verdict;
    held->answered = true;
    tell(held);
}

void vmm_net_fault_answer(struct vmm_net_fault *fault, uint64_t ticket,
                          const struct vmm_net_verdict *verdict)
{
    struct vmm_net_verdict given = *verdict;

    if (given.delay_ns > VMM_NET_DELAY_MAX)
        given.delay_ns = VMM_NET_DELAY_MAX;
    pthread_mutex_lock(&fault->lock);
    struct held *held = fault->questions;
    while (held && held->ticket != ticket)
        held = held->next_question;
    if (held)
        answer(fault, held, &given);
    pthread_mutex_unlock(&fault->lock);
}

void vmm_net_fault_end(struct vmm_net_fault *fault)
{
    static const struct vmm_net_verdict pass = {0};

    pthread_mutex_lock(&fault->lock);
    __atomic_store_n(&fault->ended, true, __ATOMIC_RELEASE);
    while (fault->questions)
        answer(fault, fault->questions, &pass);
    pthread_mutex_unlock(&fault->lock);
}
