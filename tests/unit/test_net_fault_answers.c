/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Faults that ask: frames wait for answers, while faults come and go. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "net_fault_fixture.h"

/* ---- answers ---- */

static void on_ask(void *context)
{
    ((struct fixture *)context)->asked++;
}

static void ask_me(struct fixture *f)
{
    use(f, &(struct vmm_net_fault_config){.ask = on_ask, .context = f});
}

static uint64_t question(struct fixture *f, uint32_t number)
{
    static uint8_t frame[VMM_NET_FRAME_MAX];
    uint64_t ticket;
    uint32_t found;
    unsigned way;

    assert_int_equal(vmm_net_fault_question(f->fault, frame, &way, &ticket),
                     100);
    memcpy(&found, frame, sizeof(found));
    assert_int_equal(found, number);
    assert_int_equal(way, VMM_NET_TX);
    return ticket;
}

static void answer(struct fixture *f, uint64_t ticket,
                   struct vmm_net_verdict verdict)
{
    vmm_net_fault_answer(f->fault, ticket, &verdict);
    f->ends[0].net->ops->flush(f->ends[0].net);
}

static void frames_wait_for_answers(void **state)
{
    struct fixture *f = *state;
    uint32_t numbers[10], number;
    uint64_t tickets[4];

    ask_me(f);
    send_many(&f->ends[0], 4);
    assert_int_equal(f->asked, 4);
    assert_int_equal(drain(&f->ends[1], numbers, 10), 0);
    for (uint32_t i = 0; i < 4; i++)
        tickets[i] = question(f, i);
    answer(f, tickets[0], (struct vmm_net_verdict){0});
    assert_int_equal(f->ends[0].room, 1);
    answer(f, tickets[1], (struct vmm_net_verdict){.drop = true});
    answer(f, tickets[2], (struct vmm_net_verdict){.duplicate = true});
    assert_int_equal(drain(&f->ends[1], numbers, 10), 3);
    assert_int_equal(numbers[0], 0);
    assert_int_equal(numbers[1], 2);
    assert_int_equal(numbers[2], 2);
    answer(f, tickets[3], (struct vmm_net_verdict){.delay_ns = 5 * MS});
    await_frame(f, &number);
    assert_int_equal(number, 3);
    assert_int_equal(stats(f).dropped, 1);
    answer(f, tickets[3], (struct vmm_net_verdict){0}); /* once more */
    answer(f, 12345, (struct vmm_net_verdict){0});
    assert_int_equal(drain(&f->ends[1], numbers, 10), 0);
}

static void an_answer_for_a_frame_that_is_gone_does_nothing(void **state)
{
    struct fixture *f = *state;
    uint32_t numbers[10];

    ask_me(f);
    send_many(&f->ends[0], 2);
    uint64_t ticket = question(f, 0);
    f->ends[0].net->ops->stop(f->ends[0].net);
    f->ends[0].net->ops->start(f->ends[0].net, 0);
    answer(f, ticket, (struct vmm_net_verdict){.duplicate = true});
    assert_int_equal(drain(&f->ends[1], numbers, 10), 0);
    send_many(&f->ends[0], 1);
    answer(f, question(f, 0), (struct vmm_net_verdict){0});
    assert_int_equal(drain(&f->ends[1], numbers, 10), 1);
}

static void unanswered_frames_pass_when_the_fault_ends(void **state)
{
    struct fixture *f = *state;
    uint32_t numbers[10];

    ask_me(f);
    send_many(&f->ends[0], 3);
    vmm_net_fault_end(f->fault);
    f->ends[0].net->ops->flush(f->ends[0].net);
    assert_int_equal(drain(&f->ends[1], numbers, 10), 3);
    assert_int_equal(numbers[2], 2);
    f->asked = 0;
    send_many(&f->ends[0], 3);
    assert_int_equal(f->asked, 0);
    assert_int_equal(drain(&f->ends[1], numbers, 10), 3);
}

static void unanswered_frames_are_bounded(void **state)
{
    struct fixture *f = *state;

    ask_me(f);
    send_many(&f->ends[0], VMM_NET_FAULT_FRAMES + 100);
    assert_int_equal(f->asked, VMM_NET_FAULT_FRAMES);
    assert_int_equal(stats(f).overflowed, 100);
}

/* ---- with threads ---- */

static void *set_faults(void *context)
{
    struct fixture *f = context;
    struct vmm_net_fault_config configs[] = {
        {.drop = 0.5},
        {.duplicate = 0.5, .reorder = 0.5},
        {.ask = on_ask, .context = f},
    };
    static uint8_t frame[VMM_NET_FRAME_MAX];
    struct vmm_net_verdict pass = {0};
    struct vmm_net_fault *fault;
    uint64_t ticket;
    unsigned way;

    for (unsigned i = 0; i < 3000; i++) {
        MUST(vmm_net_fault_new(&configs[i % 3], &fault, NULL));
        vmm_link_set_fault(f->link, fault);
        for (int j = 0; j < 5; j++)
            if (vmm_net_fault_question(fault, frame, &way, &ticket))
                vmm_net_fault_answer(fault, ticket, &pass);
        vmm_net_fault_end(fault);
        vmm_net_fault_unref(fault);
    }
    vmm_link_set_fault(f->link, NULL);
    return NULL;
}

static void faults_come_and_go_while_frames_do(void **state)
{
    struct fixture *f = *state;
    struct vmm_net *from = f->ends[0].net;
    uint32_t number;
    pthread_t thread;
    size_t len;

    MUST(pthread_create(&thread, NULL, set_faults, f));
    for (uint32_t i = 0; i < 30000; i++) {
        send_one(&f->ends[0], i, 100);
        from->ops->flush(from);
        while (take(&f->ends[1], &number, &len))
            assert_int_equal(len, 100);
        if (i % 1000 == 0) {
            from->ops->stop(from);
            from->ops->start(from, 0);
        }
    }
    pthread_join(thread, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(frames_wait_for_answers),
        TEST(an_answer_for_a_frame_that_is_gone_does_nothing),
        TEST(unanswered_frames_pass_when_the_fault_ends),
        TEST(unanswered_frames_are_bounded),
        TEST(faults_come_and_go_while_frames_do),
    };

    return cmocka_run_group_tests_name("net_fault_answers", tests, NULL, NULL);
}
