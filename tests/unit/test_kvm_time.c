/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* What is noted of a guest's time at a pause, and set back; needs KVM. */
#include <errno.h>

#include "kvm/time.h"
#include "tiny_guest.h"

#include <vmm/loop.h>
#include <vmm/machine.h>

#define SECOND_NS  1000000000ull
#define HOUR_NS    (3600 * SECOND_NS)
#define LVT_TIMER  0x320
#define INITIAL    0x380
#define CURRENT    0x390
#define MASKED     0x10000u /* one-shot */
#define FULL_COUNT 0xffffffffu

static const struct vmm_irqchip_config irqchip = {.pit = false};

/* mov al, 'r'; out 0x70, al; 1: jmp 1b */
static const uint8_t code[] = {0xb0, 'r', 0xe6, 0x70, 0xeb, 0xfe};

struct paused {
    struct tiny_guest guest;
    struct tiny_log log;
};

static void start(struct paused *p, void **state)
{
    *p = (struct paused){.log = TINY_LOG};
    p->guest = tiny_new(state, code, sizeof(code), &irqchip);
}

static void run_and_pause(struct paused *p)
{
    tiny_start(&p->guest, &p->log);
    tiny_wait_writes(&p->log, 1);
    vmm_vcpu_request_pause(p->guest.vcpu);
    tiny_wait_stopped(&p->guest);
}

static uint64_t clock_of(struct paused *p)
{
    struct kvm_clock_data clock;
    size_t size = sizeof(clock);

    assert_ok(vmm_vm_get_state(p->guest.vm, "clock", &clock, &size, &err));
    return clock.clock;
}

static struct kvm_lapic_state lapic_of(struct paused *p)
{
    struct kvm_lapic_state lapic;
    size_t size = sizeof(lapic);

    assert_ok(vmm_vcpu_get_state(p->guest.vcpu, "lapic", &lapic, &size, &err));
    return lapic;
}

static uint32_t lapic_read(struct paused *p, size_t offset)
{
    struct kvm_lapic_state lapic = lapic_of(p);
    uint32_t value;

    memcpy(&value, lapic.regs + offset, sizeof(value));
    return value;
}

static void lapic_write(struct kvm_lapic_state *lapic, size_t offset,
                        uint32_t value)
{
    memcpy(lapic->regs + offset, &value, sizeof(value));
}

/* Have the timer count down from its highest count, at a count in 2 ns. */
static void start_timer(struct paused *p)
{
    struct kvm_lapic_state lapic = lapic_of(p);

    lapic_write(&lapic, LVT_TIMER, MASKED);
    lapic_write(&lapic, INITIAL, FULL_COUNT);
    lapic_write(&lapic, CURRENT, FULL_COUNT);
    assert_ok(vmm_vcpu_set_state(p->guest.vcpu, "lapic", &lapic, sizeof(lapic),
                                 &err));
}

static void the_clock_is_noted_at_the_pause_only(void **state)
{
    struct paused p;
    uint64_t at = 1;

    start(&p, state);
    assert_ok(vmm_vcpu_paused_clock(p.guest.vcpu, &at, &err));
    assert_int_equal(at, 0);
    uint64_t before = clock_of(&p);
    tiny_start(&p.guest, &p.log);
    tiny_wait_writes(&p.log, 1);
    assert_refused(vmm_vcpu_paused_clock(p.guest.vcpu, &at, &err), EBUSY,
                   "vCPU 0 runs: pause it to set its time back");
    vmm_vcpu_request_pause(p.guest.vcpu);
    tiny_wait_stopped(&p.guest);
    assert_ok(vmm_vcpu_paused_clock(p.guest.vcpu, &at, &err));
    assert_in_range(at, before + 1, clock_of(&p));
    uint64_t again;
    assert_ok(vmm_vcpu_paused_clock(p.guest.vcpu, &again, &err));
    assert_int_equal(again, at);
    tiny_free(&p.guest);
}

/* Else time would go back for what the guest saw of it in that run. */
static void
the_clock_is_noted_anew_when_a_paused_vcpu_has_run_once(void **state)
{
    struct paused p;
    struct vmm_exit exit;
    uint64_t at;

    start(&p, state);
    run_and_pause(&p);
    uint64_t before = clock_of(&p);
    vmm_vcpu_kick(p.guest.vcpu);
    assert_ok(vmm_vcpu_run_once(p.guest.vcpu, &exit, &err));
    assert_ok(vmm_vcpu_paused_clock(p.guest.vcpu, &at, &err));
    assert_in_range(at, before, clock_of(&p));
    tiny_free(&p.guest);
}

static void a_single_run_before_the_first_pause_is_none(void **state)
{
    struct paused p;
    struct vmm_exit exit;
    uint64_t at = 1;

    start(&p, state);
    vmm_vcpu_kick(p.guest.vcpu);
    assert_ok(vmm_vcpu_run_once(p.guest.vcpu, &exit, &err));
    assert_ok(vmm_vcpu_paused_clock(p.guest.vcpu, &at, &err));
    assert_int_equal(at, 0);
    tiny_free(&p.guest);
}

static void the_clock_is_set_back_by_what_is_told(void **state)
{
    struct paused p;
    uint64_t by;

    start(&p, state);
    struct kvm_clock_data hour = {.clock = HOUR_NS};
    assert_ok(vmm_vm_set_state(p.guest.vm, "clock", &hour, sizeof(hour), &err));
    uint64_t host = vmm_now_ns();
    assert_ok(vmm_vm_set_clock_back(p.guest.vm, SECOND_NS, &by, &err));
    assert_in_range(by, HOUR_NS - SECOND_NS,
                    HOUR_NS - SECOND_NS + (vmm_now_ns() - host) + 1000000);
    assert_in_range(clock_of(&p), SECOND_NS,
                    SECOND_NS + (vmm_now_ns() - host) + 1000000);
    tiny_free(&p.guest);
}

static void the_clock_is_never_set_forward(void **state)
{
    struct paused p;
    uint64_t by = 1;

    start(&p, state);
    assert_ok(vmm_vm_set_clock_back(p.guest.vm, HOUR_NS, &by, &err));
    assert_int_equal(by, 0);
    assert_in_range(clock_of(&p), 0, HOUR_NS / 2);
    tiny_free(&p.guest);
}

static void a_timer_that_counts_goes_back_to_its_count(void **state)
{
    struct paused p;

    start(&p, state);
    start_timer(&p);
    run_and_pause(&p);
    assert_true(vmm_vcpu_timer_counts(p.guest.vcpu));
    uint32_t first = lapic_read(&p, CURRENT);
    while (first - lapic_read(&p, CURRENT) < 10000000) /* 20 ms */
        ;
    assert_ok(vmm_vcpu_set_timer_back(p.guest.vcpu, &err));
    assert_in_range(lapic_read(&p, CURRENT), first - 9000000, FULL_COUNT - 1);
    assert_int_equal(lapic_read(&p, INITIAL), FULL_COUNT);
    tiny_free(&p.guest);
}

static void a_timer_that_does_not_count_is_left_alone(void **state)
{
    struct paused p;

    start(&p, state);
    run_and_pause(&p);
    assert_false(vmm_vcpu_timer_counts(p.guest.vcpu));
    start_timer(&p);
    assert_false(vmm_vcpu_timer_counts(p.guest.vcpu));
    tiny_free(&p.guest);
}

/* ---- the TSC ------------------------------------------------------------ */

static uint64_t offset_of(struct paused *p)
{
    uint64_t offset;
    size_t size = sizeof(offset);

    assert_ok(
        vmm_vcpu_get_state(p->guest.vcpu, "tsc_offset", &offset, &size, &err));
    return offset;
}

/* By how much a TSC has moved that was set back; not where KVM says that it
 * cannot do that. */
static void a_tsc_is_set_back_or_kvm_says_that_it_cannot(void **state)
{
    struct paused p;
    struct vmm_error err;
    uint32_t khz;
    size_t size = sizeof(khz);

    start(&p, state);
    run_and_pause(&p);
    assert_int_equal(
        vmm_vcpu_get_state(p.guest.vcpu, "tsc_khz", &khz, &size, &err), 0);
    uint64_t before = offset_of(&p);
    int r = vmm_vcpu_set_tsc_back(p.guest.vcpu, 3 * SECOND_NS, &err);
    if (r == 0) {
        assert_int_equal(before - offset_of(&p), 3000ull * khz);
    } else {
        assert_int_equal(r, -ENOTSUP);
        assert_string_equal(err.text,
                            "state \"tsc_offset\": the guest's TSC is the "
                            "host's on this KVM, and can't be moved");
        assert_int_equal(offset_of(&p), before);
    }
    tiny_free(&p.guest);
}

static void an_offset_has_its_size(void **state)
{
    struct paused p;
    uint64_t offset = 0;
    size_t size = 7;

    start(&p, state);
    assert_refused(
        vmm_vcpu_get_state(p.guest.vcpu, "tsc_offset", &offset, &size, &err),
        ENOBUFS, "state \"tsc_offset\" takes 8 bytes, room for 7");
    assert_refused(
        vmm_vcpu_set_state(p.guest.vcpu, "tsc_offset", &offset, 9, &err),
        EINVAL, "state \"tsc_offset\" is 8 bytes, given 9");
    offset = offset_of(&p);
    assert_ok(vmm_vcpu_set_state(p.guest.vcpu, "tsc_offset", &offset, 8, &err));
    tiny_free(&p.guest);
}

/* ---- a machine ---------------------------------------------------------- */

static void a_machine_that_has_never_run_has_no_pause(void **state)
{
    struct vmm_machine *machine;
    struct vmm_vcpu *vcpu;
    uint64_t by = 1;

    assert_ok(vmm_machine_new(tiny_kvm(state), "still", &machine, &err));
    assert_ok(vmm_machine_stand_still(machine, &by, &err));
    assert_int_equal(by, 0);
    assert_ok(vmm_machine_add_vcpu(machine, 0, &vcpu, &err));
    by = 1;
    assert_ok(vmm_machine_stand_still(machine, &by, &err));
    assert_int_equal(by, 0);
    vmm_machine_free(machine);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_clock_is_noted_at_the_pause_only),
        cmocka_unit_test(
            the_clock_is_noted_anew_when_a_paused_vcpu_has_run_once),
        cmocka_unit_test(a_single_run_before_the_first_pause_is_none),
        cmocka_unit_test(the_clock_is_set_back_by_what_is_told),
        cmocka_unit_test(the_clock_is_never_set_forward),
        cmocka_unit_test(a_timer_that_counts_goes_back_to_its_count),
        cmocka_unit_test(a_timer_that_does_not_count_is_left_alone),
        cmocka_unit_test(a_tsc_is_set_back_or_kvm_says_that_it_cannot),
        cmocka_unit_test(an_offset_has_its_size),
        cmocka_unit_test(a_machine_that_has_never_run_has_no_pause),
    };
    return cmocka_run_group_tests(tests, tiny_open_kvm, tiny_close_kvm);
}
