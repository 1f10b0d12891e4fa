/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* The virtqueue between two threads that sleep whenever the other side lets
 * them: no buffer is lost, and nobody is left asleep. */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cmocka.h>

#include "virtq_driver.h"

#define BUFFERS     100000u
#define DEADLINE_MS 20000

struct link {
    struct driver driver;
    bool event_idx;
    int kick, irq; /* eventfds */
    uint32_t served;
};

/* Asleep for too long: somebody has not been told. */
static bool await(int fd)
{
    struct pollfd ready = {fd, POLLIN, 0};
    eventfd_t count;

    return poll(&ready, 1, DEADLINE_MS) == 1 && eventfd_read(fd, &count) == 0;
}

/* ---- the device's thread ---- */

static void serve(struct link *link, struct vmm_chain *chain)
{
    uint32_t number = 0;

    vmm_chain_read(chain, 0, &number, sizeof(number));
    if (number == link->served)
        link->served++;
    vmm_virtq_push(chain, 0);
}

static void *device_main(void *argument)
{
    struct link *link = argument;
    struct vmm_virtq *queue = link->driver.queue;
    struct vmm_chain *chain;

    while (link->served < BUFFERS) {
        do {
            vmm_virtq_suppress(queue);
            while (vmm_virtq_pop(queue, &chain) > 0)
                serve(link, chain);
            if (vmm_virtq_should_signal(queue))
                eventfd_write(link->irq, 1);
        } while (vmm_virtq_arm(queue));
        if (link->served < BUFFERS && !await(link->kick))
            break;
    }
    return NULL;
}

/* ---- the driver's side ---- */

static uint16_t load(struct driver *d, vmm_gpa_t gpa)
{
    uint16_t value;

    MUST(vmm_memory_load_u16(d->memory, gpa, &value));
    return value;
}

/* A fence, in a form that TSan understands. */
static void full_barrier(void)
{
    unsigned nothing = 0;

    __atomic_fetch_add(&nothing, 1, __ATOMIC_SEQ_CST);
}

/* Tell the device of what was offered since index before, if it wants to. */
static void kick(struct link *link, uint16_t before)
{
    struct driver *d = &link->driver;

    full_barrier();
    uint16_t event = load(d, USED + 4 + 8 * RING_SIZE);
    if (link->event_idx ? vring_need_event(event, d->next, before)
                        : !(load(d, USED) & VRING_USED_F_NO_NOTIFY))
        eventfd_write(link->kick, 1);
}

/* Ask to be interrupted for the next used buffer, and sleep unless there is
 * one. */
static bool sleep_until_used(struct link *link)
{
    struct driver *d = &link->driver;

    if (link->event_idx)
        MUST(vmm_memory_store_u16(d->memory, AVAIL + 4 + 2 * RING_SIZE,
                                  d->seen));
    full_barrier();
    return load(d, USED + 2) != d->seen || await(link->irq);
}

static void offer(struct link *link, uint32_t number)
{
    struct driver *d = &link->driver;
    uint16_t index = number % RING_SIZE;

    MUST(vmm_memory_store_u32(d->memory, DATA + 4u * index, number));
    driver_offer_buffer(d, index, DATA + 4u * index, 4, 0);
}

static void drive(struct link *link)
{
    struct driver *d = &link->driver;
    uint32_t offered = 0, collected = 0, id, len;

    while (collected < BUFFERS) {
        uint16_t before = d->next;

        while (offered < BUFFERS && offered - collected < RING_SIZE)
            offer(link, offered++);
        if (d->next != before)
            kick(link, before);
        while (driver_collect(d, &id, &len))
            collected++;
        if (collected < offered && !sleep_until_used(link))
            fail_msg("asleep with %u of %u collected", collected, offered);
    }
}

static void run(bool event_idx)
{
    struct link link = {.event_idx = event_idx,
                        .kick = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
                        .irq = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
    pthread_t device;

    driver_set_up(&link.driver, RING_SIZE, event_idx ? EVENT_BIT : 0);
    assert_int_equal(pthread_create(&device, NULL, device_main, &link), 0);
    drive(&link);
    pthread_join(device, NULL);
    assert_int_equal(link.served, BUFFERS);
    driver_tear_down(&link.driver);
    close(link.kick);
    close(link.irq);
}

static void nothing_is_lost_with_event_indices(void **state)
{
    (void)state;
    run(true);
}

static void nothing_is_lost_with_flags(void **state)
{
    (void)state;
    run(false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_lost_with_event_indices),
        cmocka_unit_test(nothing_is_lost_with_flags),
    };

    return cmocka_run_group_tests_name("virtq_threads", tests, NULL, NULL);
}
