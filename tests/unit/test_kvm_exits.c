/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* From kvm_run to a typed exit, for exits that no guest makes at will; no KVM
 * needed. */
#include "kvm/internal.h"
#include "tiny_guest.h"

static struct vmm_exit decode(struct kvm_run *run)
{
    struct vmm_exit exit = {0};

    vmm_exit_decode(run, &exit);
    return exit;
}

static void a_failed_entry_tells_reason_and_cpu(void **state)
{
    struct kvm_run run = {.exit_reason = KVM_EXIT_FAIL_ENTRY};

    (void)state;
    run.fail_entry.hardware_entry_failure_reason = 0x80000021;
    run.fail_entry.cpu = 3;
    struct vmm_exit exit = decode(&run);
    assert_int_equal(exit.type, VMM_EXIT_FAIL_ENTRY);
    assert_int_equal(exit.u.fail_entry.reason, 0x80000021);
    assert_int_equal(exit.u.fail_entry.cpu, 3);
}

static void a_system_event_tells_its_type(void **state)
{
    struct kvm_run run = {.exit_reason = KVM_EXIT_SYSTEM_EVENT};

    (void)state;
    run.system_event.type = KVM_SYSTEM_EVENT_RESET;
    struct vmm_exit exit = decode(&run);
    assert_int_equal(exit.type, VMM_EXIT_SYSTEM_EVENT);
    assert_int_equal(exit.u.system_event.type, KVM_SYSTEM_EVENT_RESET);
}

static struct kvm_run emulation_failure(void)
{
    struct kvm_run run = {.exit_reason = KVM_EXIT_INTERNAL_ERROR};
    static const uint8_t bytes[15] = {0x0f, 0xc7, 0x0e, 1, 2,  3,  4, 5,
                                      6,    7,    8,    9, 10, 11, 12};

    run.emulation_failure.suberror = KVM_INTERNAL_ERROR_EMULATION;
    run.emulation_failure.ndata = 3;
    run.emulation_failure.flags =
        KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES;
    run.emulation_failure.insn_size = 3;
    memcpy(run.emulation_failure.insn_bytes, bytes, sizeof(bytes));
    return run;
}

static void an_emulation_failure_tells_the_bytes(void **state)
{
    struct kvm_run run = emulation_failure();
    static const uint8_t bytes[] = {0x0f, 0xc7, 0x0e};

    (void)state;
    struct vmm_exit exit = decode(&run);
    assert_int_equal(exit.type, VMM_EXIT_INTERNAL_ERROR);
    assert_int_equal(exit.u.internal.suberror, KVM_INTERNAL_ERROR_EMULATION);
    assert_int_equal(exit.u.internal.byte_count, 3);
    assert_memory_equal(exit.u.internal.bytes, bytes, 3);
}

static void more_instruction_bytes_than_there_is_room_for_are_cut(void **state)
{
    struct kvm_run run = emulation_failure();

    (void)state;
    run.emulation_failure.insn_size = 200;
    assert_int_equal(decode(&run).u.internal.byte_count, 15);
}

static void bytes_that_kvm_does_not_vouch_for_are_not_told(void **state)
{
    struct kvm_run no_flag = emulation_failure();
    struct kvm_run no_data = emulation_failure();
    struct kvm_run other = emulation_failure();

    (void)state;
    no_flag.emulation_failure.flags = 0;
    assert_int_equal(decode(&no_flag).u.internal.byte_count, 0);
    no_data.emulation_failure.ndata = 0;
    assert_int_equal(decode(&no_data).u.internal.byte_count, 0);
    other.internal.suberror = KVM_INTERNAL_ERROR_DELIVERY_EV;
    struct vmm_exit exit = decode(&other);
    assert_int_equal(exit.u.internal.byte_count, 0);
    assert_int_equal(exit.u.internal.suberror, KVM_INTERNAL_ERROR_DELIVERY_EV);
}

static void a_hypercall_is_answered_in_place(void **state)
{
    struct kvm_run run = {.exit_reason = KVM_EXIT_HYPERCALL};

    (void)state;
    run.hypercall.nr = 12;
    run.hypercall.args[5] = 66;
    struct vmm_exit exit = {0};
    assert_true(vmm_exit_decode(&run, &exit));
    assert_int_equal(exit.type, VMM_EXIT_HYPERCALL);
    assert_int_equal(exit.u.hypercall.nr, 12);
    assert_int_equal(exit.u.hypercall.args[5], 66);
    *exit.u.hypercall.ret = 99;
    assert_int_equal(run.hypercall.ret, 99);
}

static void an_msr_access_is_answered_in_place(void **state)
{
    struct kvm_run run = {.exit_reason = KVM_EXIT_X86_WRMSR};

    (void)state;
    run.msr.index = 0x1a0;
    run.msr.data = 5;
    run.msr.reason = KVM_MSR_EXIT_REASON_FILTER;
    struct vmm_exit exit = decode(&run);
    assert_int_equal(exit.type, VMM_EXIT_MSR_WRITE);
    assert_int_equal(exit.u.msr.index, 0x1a0);
    assert_int_equal(exit.u.msr.reason, KVM_MSR_EXIT_REASON_FILTER);
    assert_int_equal(*exit.u.msr.data, 5);
    *exit.u.msr.error = 1;
    assert_int_equal(run.msr.error, 1);

    run.exit_reason = KVM_EXIT_X86_RDMSR;
    assert_int_equal(decode(&run).type, VMM_EXIT_MSR_READ);
}

static void exits_without_a_type_keep_their_number(void **state)
{
    static const uint32_t reasons[] = {
        KVM_EXIT_UNKNOWN, KVM_EXIT_EXCEPTION, KVM_EXIT_SET_TPR,
        KVM_EXIT_DCR,     KVM_EXIT_NOTIFY,    0xffffffff,
    };

    (void)state;
    for (size_t i = 0; i < sizeof(reasons) / sizeof(*reasons); i++) {
        struct kvm_run run = {.exit_reason = reasons[i]};
        struct vmm_exit exit = {0};

        assert_false(vmm_exit_decode(&run, &exit));
        assert_int_equal(exit.type, VMM_EXIT_UNKNOWN);
        assert_int_equal(exit.number, reasons[i]);
    }
}

static void plain_exits_have_their_types(void **state)
{
    static const struct {
        uint32_t reason;
        enum vmm_exit_type type;
    } plain[] = {
        {KVM_EXIT_INTR, VMM_EXIT_NONE},
        {KVM_EXIT_HLT, VMM_EXIT_HALT},
        {KVM_EXIT_SHUTDOWN, VMM_EXIT_SHUTDOWN},
        {KVM_EXIT_IRQ_WINDOW_OPEN, VMM_EXIT_IRQ_WINDOW},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(plain) / sizeof(*plain); i++) {
        struct kvm_run run = {.exit_reason = plain[i].reason};
        struct vmm_exit exit = decode(&run);

        assert_int_equal(exit.type, plain[i].type);
        assert_int_equal(exit.number, plain[i].reason);
    }
}

static void only_accesses_are_completed_by_entering_again(void **state)
{
    (void)state;
    for (uint32_t reason = 0; reason < 64; reason++) {
        struct kvm_run run = {.exit_reason = reason};
        struct vmm_exit exit;
        bool access = reason == KVM_EXIT_IO || reason == KVM_EXIT_MMIO ||
                      reason == KVM_EXIT_HYPERCALL ||
                      reason == KVM_EXIT_X86_RDMSR ||
                      reason == KVM_EXIT_X86_WRMSR;

        assert_int_equal(vmm_exit_decode(&run, &exit), access);
    }
}

static void every_type_has_the_name_that_scripts_see(void **state)
{
    static const char *const names[] = {
        "none",       "pio_read",       "pio_write",  "mmio_read",
        "mmio_write", "halt",           "shutdown",   "system_event",
        "fail_entry", "internal_error", "debug",      "msr_read",
        "msr_write",  "hypercall",      "irq_window", "unknown",
    };

    (void)state;
    assert_int_equal(sizeof(names) / sizeof(*names), VMM_EXIT_TYPES);
    for (unsigned type = 0; type < VMM_EXIT_TYPES; type++)
        assert_string_equal(vmm_exit_name(type), names[type]);
    assert_string_equal(vmm_exit_name(VMM_EXIT_TYPES), "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_failed_entry_tells_reason_and_cpu),
        cmocka_unit_test(a_system_event_tells_its_type),
        cmocka_unit_test(an_emulation_failure_tells_the_bytes),
        cmocka_unit_test(more_instruction_bytes_than_there_is_room_for_are_cut),
        cmocka_unit_test(bytes_that_kvm_does_not_vouch_for_are_not_told),
        cmocka_unit_test(a_hypercall_is_answered_in_place),
        cmocka_unit_test(an_msr_access_is_answered_in_place),
        cmocka_unit_test(exits_without_a_type_keep_their_number),
        cmocka_unit_test(plain_exits_have_their_types),
        cmocka_unit_test(only_accesses_are_completed_by_entering_again),
        cmocka_unit_test(every_type_has_the_name_that_scripts_see),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
