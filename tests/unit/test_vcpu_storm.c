/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Requests to one vCPU from many threads at once. */
#include "fake_vcpu.h"

struct tormentor {
    struct fake *fake;
    unsigned seed;
    unsigned bad; /* replies that make no sense */
};

static void torment_once(struct tormentor *t)
{
    struct vmm_vcpu *vcpu = &t->fake->vcpu;
    struct vmm_error err;
    struct kvm_regs regs;
    int r;

    switch (rand_r(&t->seed) % 6) {
    case 0:
        vmm_vcpu_request_pause(vcpu);
        break;
    case 1:
        vmm_vcpu_kick(vcpu);
        break;
    case 2:
        r = vmm_vcpu_wait_stopped(vcpu, 100000);
        t->bad += r != 0 && r != -ETIMEDOUT;
        break;
    case 3:
        r = vmm_vcpu_get_regs(vcpu, &regs, &err);
        t->bad += r != -EBUSY && r != -EBADF;
        break;
    default:
        vmm_vcpu_request_resume(vcpu);
        break;
    }
}

static void *torment(void *argument)
{
    struct tormentor *t = argument;

    for (unsigned i = 0; i < 3000; i++)
        torment_once(t);
    return NULL;
}

static int pause_now_and_then(struct fake *fake)
{
    if (atomic_load(&fake->exits) % 7 == 0)
        vmm_vcpu_request_pause(&fake->vcpu);
    return 0;
}

static void requests_from_many_threads_leave_a_vcpu_that_obeys(void **state)
{
    (void)state;
    struct fake *fake = fake_start(FAKE_MIXES, pause_now_and_then);
    struct tormentor tormentors[4];
    pthread_t threads[4];

    for (unsigned i = 0; i < 4; i++) {
        tormentors[i] = (struct tormentor){.fake = fake, .seed = i};
        assert_int_equal(
            pthread_create(&threads[i], NULL, torment, &tormentors[i]), 0);
    }
    for (unsigned i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(tormentors[i].bad, 0);
    }

    vmm_vcpu_request_pause(&fake->vcpu);
    wait_stopped(fake);
    assert_state(fake, VMM_VCPU_PAUSED);
    assert_false(atomic_load(&fake->incomplete));
    unsigned entries = atomic_load(&fake->entries);
    vmm_vcpu_request_resume(&fake->vcpu);
    wait_until_more(fake, &fake->entries, entries);
    vmm_vcpu_request_stop(&fake->vcpu);
    wait_stopped(fake);
    assert_state(fake, VMM_VCPU_FINISHED);
    fake_free(fake);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_from_many_threads_leave_a_vcpu_that_obeys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
