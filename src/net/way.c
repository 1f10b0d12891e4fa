/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Frames that are held: those that wait for an answer, and those that are late.
 */
#include <stdlib.h>
#include <string.h>

#include "net/frames.h"
#include "net/way.h"

/* A frame that no later one comes after waits no longer. */
#define BEHIND_NS UINT64_C(100000000)

static size_t held_bytes(const struct held *held)
{
    return sizeof(*held) + held->len;
}

/* ---- one frame ------------------------------------------------------------
 */

/* NULL: too many are held. */
static struct held *copy(struct way *way, const struct iovec *frame, int count)
{
    size_t len = iovec_bytes(frame, count);

    if (way->frames == VMM_NET_FAULT_FRAMES ||
        way->bytes + sizeof(struct held) + len > VMM_NET_FAULT_BYTES)
        return NULL;
    struct held *held = malloc(sizeof(*held) + len);
    if (!held)
        return NULL;
    *held = (struct held){.number = way->number,
                          .way = way->direction,
                          .events = way->events,
                          .skip = way->skip,
                          .len = len};
    iovec_gather(frame, count, held->bytes);
    way->frames++;
    way->bytes += held_bytes(held);
    return held;
}

static void discard(struct way *way, struct held *held)
{
    fault_forget(held);
    way->frames--;
    way->bytes -= held_bytes(held);
    way->one_is_behind = way->one_is_behind && !held->behind;
    free(held);
}

/* ---- lists ----------------------------------------------------------------
 */

static void append(struct held_list *list, struct held *held)
{
    held->next = NULL;
    if (list->first)
        list->last->next = held;
    else
        list->first = held;
    list->last = held;
}

static void take_out(struct held_list *list, struct held *held)
{
    struct held **at = &list->first, *before = NULL;

    for (; *at != held; at = &before->next)
        before = *at;
    *at = held->next;
    if (list->last == held)
        list->last = before;
}

/* Mostly it is the last one. */
static void insert(struct held_list *list, struct held *held)
{
    struct held **at = &list->first;

    if (!list->first || list->last->due_ns <= held->due_ns) {
        append(list, held);
        return;
    }
    while ((*at)->due_ns <= held->due_ns)
        at = &(*at)->next;
    held->next = *at;
    *at = held;
}

static void flip_a_bit(struct way *way, struct held *held)
{
    size_t bits = (held->len - held->skip) * 8;

    if (!bits)
        return;
    size_t bit = fault_random(&way->random) % bits;
    held->bytes[held->skip + bit / 8] ^= (uint8_t)(1u << bit % 8);
}

/* ---- verdicts -------------------------------------------------------------
 */

/* Only one at a time can be behind the next. */
static void adjust(struct way *way, struct vmm_net_verdict *verdict)
{
    if (verdict->drop)
        *verdict = (struct vmm_net_verdict){.drop = true};
    verdict->reorder = verdict->reorder && !way->one_is_behind;
}

/* A frame that is held and not dropped. */
static void hold(struct way *way, struct held *held,
                 const struct vmm_net_verdict *verdict, uint64_t now_ns)
{
    held->due_ns = now_ns + verdict->delay_ns;
    if (verdict->reorder) {
        held->due_ns += BEHIND_NS;
        held->behind = way->one_is_behind = true;
    }
    if (verdict->corrupt)
        flip_a_bit(way, held);
    insert(&way->due, held);
    if (!verdict->duplicate)
        return;
    const struct iovec frame = {held->bytes, held->len};
    struct held *twin = copy(way, &frame, 1);
    if (!twin)
        return;
    twin->number = held->number;
    twin->due_ns = now_ns + verdict->delay_ns;
    insert(&way->due, twin);
}

/* Answers that have come, in the order of their frames. */
static void settle(struct way *way, uint64_t now_ns)
{
    struct vmm_net_verdict verdict;

    while (way->undecided.first &&
           fault_answered(way->undecided.first, &verdict)) {
        struct held *held = way->undecided.first;

        take_out(&way->undecided, held);
        adjust(way, &verdict);
        fault_count(held->fault, &verdict, false);
        fault_forget(held);
        if (verdict.drop)
            discard(way, held);
        else
            hold(way, held, &verdict, now_ns);
    }
}

static void ask(struct way *way, struct held *held)
{
    append(&way->undecided, held);
    fault_ask(way->fault, held);
}

static void follow(struct way *way)
{
    if (way->slot && fault_slot_follow(way->slot, &way->fault) && way->fault)
        way->random = fault_seed(way->fault, way->stream);
    way->active = way->fault && !fault_has_ended(way->fault);
}

/* NULL: it is dropped, for too many are held. */
static struct held *keep(struct way *way, const struct iovec *frame, int count)
{
    static const struct vmm_net_verdict none = {0};
    struct held *held = copy(way, frame, count);

    if (!held)
        fault_count(way->fault, &none, true);
    return held;
}

enum fate way_judge(struct way *way, const struct iovec *frame, int count,
                    uint64_t now_ns)
{
    struct vmm_net_verdict verdict;
    struct held *held;

    way->number++;
    if (!way->active)
        return FATE_PASS;
    if (!fault_judge(way->fault, &way->random, &verdict)) {
        held = keep(way, frame, count);
        if (held)
            ask(way, held);
        return FATE_GONE;
    }
    adjust(way, &verdict);
    if (verdict.delay_ns || verdict.duplicate || verdict.corrupt ||
        verdict.reorder) {
        held = keep(way, frame, count);
        if (held) {
            fault_count(way->fault, &verdict, false);
            hold(way, held, &verdict, now_ns);
        }
        return FATE_GONE;
    }
    fault_count(way->fault, &verdict, false);
    return verdict.drop ? FATE_GONE : FATE_PASS;
}

/* ---- what is due ----------------------------------------------------------
 */

bool way_is_idle(struct way *way)
{
    follow(way);
    return !way->active && !way->frames;
}

struct held *way_next(struct way *way, uint64_t now_ns)
{
    settle(way, now_ns);
    struct held *held = way->due.first;
    return held && held->due_ns <= now_ns ? held : NULL;
}

/* Frame `number` has gone: the one that was to be behind it may go. */
static void release(struct way *way, uint64_t number, uint64_t now_ns)
{
    struct held *held = way->due.first;

    if (!way->one_is_behind)
        return;
    while (held && !(held->behind && held->number < number))
        held = held->next;
    if (!held)
        return;
    take_out(&way->due, held);
    held->behind = way->one_is_behind = false;
    held->due_ns = now_ns;
    insert(&way->due, held);
}

void way_sent(struct way *way, struct held *held, uint64_t now_ns)
{
    uint64_t number = held->number;

    take_out(&way->due, held);
    discard(way, held);
    release(way, number, now_ns);
}

void way_passed(struct way *way, uint64_t now_ns)
{
    release(way, way->number, now_ns);
}

uint64_t way_due_ns(const struct way *way)
{
    return way->due.first ? way->due.first->due_ns : UINT64_MAX;
}

void way_clear(struct way *way)
{
    struct held_list *lists[] = {&way->undecided, &way->due};

    for (int i = 0; i < 2; i++)
        while (lists[i]->first) {
            struct held *held = lists[i]->first;

            take_out(lists[i], held);
            discard(way, held);
        }
    way->one_is_behind = false;
}

void way_fini(struct way *way)
{
    way_clear(way);
    vmm_net_fault_unref(way->fault);
}
