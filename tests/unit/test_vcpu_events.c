/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* What a vCPU thread tells beside exits: kicks, pauses, resumes. */
#include "fake_vcpu.h"

/* The events so far; written on the vCPU's thread. */
struct told {
    struct fake *fake;
    atomic_uint counts[VMM_VCPU_SETTLED + 1];
    atomic_uint first; /* which was told first, plus one */
};

static struct told *told_of(struct fake *fake)
{
    return (struct told *)fake->seen;
}

static int see_exit(void *context, struct vmm_vcpu *vcpu, struct vmm_exit *exit)
{
    struct told *told = context;

    (void)vcpu;
    (void)exit;
    count(told->fake, &told->fake->exits);
    return 0;
}

static void see_error(void *context, struct vmm_vcpu *vcpu,
                      const struct vmm_error *err)
{
    struct told *told = context;

    (void)vcpu;
    (void)err;
    count(told->fake, &told->fake->errors);
}

static void see_event(void *context, struct vmm_vcpu *vcpu,
                      enum vmm_vcpu_event event)
{
    struct told *told = context;
    unsigned none = 0;

    if (!vmm_vcpu_is_self(vcpu))
        count(told->fake, &told->fake->oddities);
    atomic_compare_exchange_strong(&told->first, &none, event + 1u);
    count(told->fake, &told->counts[event]);
}

static struct fake *start(enum fake_guest guest)
{
    struct fake *fake = fake_new(guest);
    struct told *told = calloc(1, sizeof(*told));
    struct vmm_vcpu_thread_config config = {
        .on_exit = see_exit,
        .on_error = see_error,
        .on_event = see_event,
        .context = told,
    };
    struct vmm_error err;

    assert_non_null(told);
    told->fake = fake;
    fake->seen = (unsigned long)told;
    if (vmm_vcpu_start(&fake->vcpu, &config, &err) < 0)
        fail_msg("start: %s", err.text);
    return fake;
}

static void end(struct fake *fake)
{
    struct told *told = told_of(fake);

    fake_free(fake);
    free(told);
}

static unsigned times(struct fake *fake, enum vmm_vcpu_event event)
{
    return atomic_load(&told_of(fake)->counts[event]);
}

static void the_first_entry_is_told_as_a_resume(void **state)
{
    struct fake *fake = start(FAKE_HALTS);

    (void)state;
    vmm_vcpu_request_resume(&fake->vcpu);
    wait_until_more(fake, &fake->halts, 0);
    assert_int_equal(times(fake, VMM_VCPU_RESUMED), 1);
    assert_int_equal(atomic_load(&told_of(fake)->first), VMM_VCPU_RESUMED + 1);
    end(fake);
}

static void
every_pause_is_told_before_whoever_waits_for_it_goes_on(void **state)
{
    struct fake *fake = start(FAKE_HALTS);

    (void)state;
    for (unsigned n = 1; n <= 50; n++) {
        unsigned halts = atomic_load(&fake->halts);
        vmm_vcpu_request_resume(&fake->vcpu);
        wait_until_more(fake, &fake->halts, halts);
        vmm_vcpu_request_pause(&fake->vcpu);
        wait_stopped(fake);
        assert_int_equal(times(fake, VMM_VCPU_SETTLED), n);
        assert_int_equal(times(fake, VMM_VCPU_RESUMED), n);
        assert_int_equal(times(fake, VMM_VCPU_KICKED), 0);
    }
    end(fake);
}

static void
a_kick_is_told_whether_it_finds_the_vcpu_in_the_guest_or_not(void **state)
{
    static const enum fake_guest guests[] = {FAKE_HALTS, FAKE_WRITES};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct fake *fake = start(guests[i]);
        vmm_vcpu_request_resume(&fake->vcpu);
        wait_until_more(fake, &fake->entries, 0);
        for (unsigned n = 0; n < 50; n++) {
            vmm_vcpu_kick(&fake->vcpu);
            wait_until_more(fake, &told_of(fake)->counts[VMM_VCPU_KICKED], n);
            assert_int_equal(times(fake, VMM_VCPU_KICKED), n + 1);
        }
        assert_int_equal(times(fake, VMM_VCPU_SETTLED), 0);
        end(fake);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_entry_is_told_as_a_resume),
        cmocka_unit_test(
            every_pause_is_told_before_whoever_waits_for_it_goes_on),
        cmocka_unit_test(
            a_kick_is_told_whether_it_finds_the_vcpu_in_the_guest_or_not),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
