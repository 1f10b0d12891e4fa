/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* A link of two ports with a fault. */
#ifndef NET_FAULT_FIXTURE_H
#define NET_FAULT_FIXTURE_H

#include <vmm/net_fault.h>

#include "net_ends.h"

#ifndef MUST
#define MUST(call) assert_int_equal(call, 0)
#endif

#define FRAMES 400u
#define MS     UINT64_C(1000000)

struct fixture {
    struct vmm_loop *loop;
    struct vmm_link *link;
    struct vmm_net_fault *fault;
    struct end ends[2];
    unsigned asked;
};

static inline int set_up(void **state)
{
    static struct fixture f;
    struct vmm_error err;

    f = (struct fixture){0};
    MUST(vmm_loop_new(&f.loop, &err));
    MUST(vmm_link_new(NULL, &f.link, &err));
    open_end(&f.ends[0], f.link, f.loop);
    open_end(&f.ends[1], f.link, f.loop);
    *state = &f;
    return 0;
}

static inline int tear_down(void **state)
{
    struct fixture *f = *state;

    close_end(&f->ends[0]);
    close_end(&f->ends[1]);
    vmm_net_fault_unref(f->fault);
    vmm_link_free(f->link);
    vmm_loop_free(f->loop);
    return 0;
}

static inline void use(struct fixture *f,
                       const struct vmm_net_fault_config *config)
{
    struct vmm_error err;

    vmm_net_fault_unref(f->fault);
    MUST(vmm_net_fault_new(config, &f->fault, &err));
    vmm_link_set_fault(f->link, f->fault);
}

static inline struct vmm_net_fault_stats stats(struct fixture *f)
{
    struct vmm_net_fault_stats found;

    vmm_net_fault_stats(f->fault, &found);
    return found;
}

/* Numbers 0 to count - 1, and what is due at once. */
static inline void send_many(struct end *end, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        MUST(send_one(end, i, 100));
    end->net->ops->flush(end->net);
}

/* What has come: numbers; how many. */
static inline unsigned drain(struct end *end, uint32_t *numbers, unsigned max)
{
    unsigned count = 0;
    size_t len;

    while (count < max && take(end, &numbers[count], &len)) {
        assert_int_equal(len, 100);
        count++;
    }
    return count;
}

/* Step the loop, and do as a device that is told of room, until a frame is
 * there. */
static inline void await_frame(struct fixture *f, uint32_t *number)
{
    struct end *from = &f->ends[0];
    size_t len;

    while (!take(&f->ends[1], number, &len)) {
        if (vmm_loop_step(f->loop, 5 * INT64_C(1000000000)) <= 0)
            fail_msg("no frame came");
        from->net->ops->flush(from->net);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

#endif
