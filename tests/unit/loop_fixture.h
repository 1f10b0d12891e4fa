/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* What the tests of the loop share: a loop, a counting timer, patience. */
#ifndef LOOP_FIXTURE_H
#define LOOP_FIXTURE_H

#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include <vmm/loop.h>

#define MS       INT64_C(1000000)
#define PATIENCE (10000 * MS)

struct fixture {
    struct vmm_loop *loop;
    struct vmm_error err;
};

static inline int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    *state = f;
    return vmm_loop_new(&f->loop, &f->err);
}

static inline int tear_down(void **state)
{
    struct fixture *f = *state;

    vmm_loop_free(f->loop);
    free(f);
    return 0;
}

static inline void await(sem_t *sem)
{
    struct timespec deadline;

    clock_gettime(CLOCK_REALTIME, &deadline);
    deadline.tv_sec += 10;
    if (sem_timedwait(sem, &deadline) < 0)
        fail_msg("nothing happened within 10 s");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

/* A timer, and what is known of its firing. */
struct timed {
    struct vmm_timer *timer;
    int calls;
    uint64_t fired_ns;
};

static inline void fire(void *context)
{
    struct timed *t = context;

    t->calls++;
    t->fired_ns = vmm_now_ns();
}

#endif
