/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* A vCPU's state by name, MSRs, CPUID, address translation; needs KVM. */
#include <errno.h>
#include <stdlib.h>

#include "tiny_guest.h"

static const struct vmm_irqchip_config irqchip = {.pit = false};

static struct tiny_guest halting_guest(void **state)
{
    return tiny_new(state, "\xf4", 1, &irqchip);
}

/* ---- by name ------------------------------------------------------------ */

static void each_state_can_be_set_to_what_was_got(void **state)
{
    static const char *const names[] = {
        "regs",      "sregs",    "fpu",         "xsave",   "xcrs",  "lapic",
        "debugregs", "mp_state", "vcpu_events", "tsc_khz", "cpuid", "sregs2",
    };
    struct tiny_guest g = halting_guest(state);
    const struct kvm_cpuid2 *cpuid;

    assert_ok(vmm_kvm_supported_cpuid(*state, &cpuid, &err));
    assert_ok(vmm_vcpu_set_cpuid(g.vcpu, cpuid, &err));
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        static uint8_t before[32768], after[32768];
        size_t size = sizeof(before), again = sizeof(after);

        assert_ok(vmm_vcpu_get_state(g.vcpu, names[i], before, &size, &err));
        assert_true(size > 0);
        assert_ok(vmm_vcpu_set_state(g.vcpu, names[i], before, size, &err));
        assert_ok(vmm_vcpu_get_state(g.vcpu, names[i], after, &again, &err));
        assert_int_equal(again, size);
        if (memcmp(before, after, size) != 0)
            fail_msg("%s came back changed", names[i]);
    }
    tiny_free(&g);
}

static void cpuid_read_back_has_the_entries_that_were_set(void **state)
{
    struct tiny_guest g = halting_guest(state);
    const struct kvm_cpuid2 *set;
    static uint8_t buffer[32768];
    size_t size = sizeof(buffer);
    uint32_t count;

    assert_ok(vmm_kvm_supported_cpuid(*state, &set, &err));
    assert_ok(vmm_vcpu_set_cpuid(g.vcpu, set, &err));
    assert_ok(vmm_vcpu_get_state(g.vcpu, "cpuid", buffer, &size, &err));
    memcpy(&count, buffer, sizeof(count));
    assert_int_equal(count, set->nent);
    assert_int_equal(size, sizeof(*set) + count * sizeof(set->entries[0]));
    tiny_free(&g);
}

static void every_msr_listed_can_be_read(void **state)
{
    struct tiny_guest g = halting_guest(state);
    static uint32_t indices[1024];
    size_t count = 2, read = 0;

    assert_refused(vmm_kvm_msr_list(*state, indices, &count, &err), E2BIG,
                   "KVM_GET_MSR_INDEX_LIST, room for 2: Argument list too "
                   "long");
    assert_in_range(count, 10, 1024);
    assert_ok(vmm_kvm_msr_list(*state, indices, &count, &err));
    for (size_t i = 0; i < count; i++) {
        struct kvm_msr_entry entry = {.index = indices[i]};
        read += vmm_vcpu_get_msrs(g.vcpu, &entry, 1, NULL) == 0;
    }
    /* Some wait for a CPUID bit or for Hyper-V to be enabled. */
    assert_in_range(read, count / 4, count);
    tiny_free(&g);
}

static void nested_state_moves_where_kvm_nests(void **state)
{
    struct tiny_guest g = halting_guest(state);
    static uint8_t buffer[32768];
    size_t size = sizeof(buffer);
    struct vmm_error none;

    if (vmm_vcpu_get_state(g.vcpu, "nested", buffer, &size, &none) == -ENOTSUP)
        assert_string_equal(none.text,
                            "state \"nested\": this KVM nests no guests");
    else
        assert_ok(vmm_vcpu_set_state(g.vcpu, "nested", buffer, size, &err));
    assert_refused(vmm_vcpu_set_state(g.vcpu, "nested", buffer, 7, &err),
                   EINVAL, "state \"nested\" is 128 bytes or more, given 7");
    tiny_free(&g);
}

/* Two vCPUs: what one is told reaches it, not the other. */
static void state_moves_from_one_vcpu_to_another(void **state)
{
    struct tiny_guest g = halting_guest(state);
    struct vmm_vcpu *other;
    struct kvm_fpu fpu;
    struct kvm_debugregs debug;
    struct kvm_mp_state mp = {.mp_state = KVM_MP_STATE_HALTED};
    size_t size;

    assert_ok(vmm_vcpu_new(g.vm, 1, &other, &err));
    size = sizeof(fpu);
    assert_ok(vmm_vcpu_get_state(g.vcpu, "fpu", &fpu, &size, &err));
    fpu.fcw = 0x27f;
    memset(fpu.xmm[3], 0xa5, sizeof(fpu.xmm[3]));
    assert_ok(vmm_vcpu_set_state(other, "fpu", &fpu, size, &err));
    memset(&fpu, 0, sizeof(fpu));
    assert_ok(vmm_vcpu_get_state(other, "fpu", &fpu, &size, &err));
    assert_int_equal(fpu.fcw, 0x27f);
    assert_int_equal(fpu.xmm[3][15], 0xa5);
    assert_ok(vmm_vcpu_get_state(g.vcpu, "fpu", &fpu, &size, &err));
    assert_int_equal(fpu.xmm[3][15], 0);

    size = sizeof(debug);
    assert_ok(vmm_vcpu_get_state(other, "debugregs", &debug, &size, &err));
    debug.db[2] = 0x123000;
    assert_ok(vmm_vcpu_set_state(other, "debugregs", &debug, size, &err));
    debug.db[2] = 0;
    assert_ok(vmm_vcpu_get_state(other, "debugregs", &debug, &size, &err));
    assert_int_equal(debug.db[2], 0x123000);

    assert_ok(vmm_vcpu_set_state(other, "mp_state", &mp, sizeof(mp), &err));
    mp.mp_state = 0;
    size = sizeof(mp);
    assert_ok(vmm_vcpu_get_state(other, "mp_state", &mp, &size, &err));
    assert_int_equal(mp.mp_state, KVM_MP_STATE_HALTED);
    vmm_vcpu_free(other);
    tiny_free(&g);
}

static void registers_keep_what_they_are_set_to(void **state)
{
    struct tiny_guest g = halting_guest(state);
    struct kvm_regs regs = {.rax = 1, .r15 = 15, .rip = 0x1234, .rflags = 2};
    struct kvm_sregs sregs;

    assert_ok(vmm_vcpu_set_regs(g.vcpu, &regs, &err));
    memset(&regs, 0, sizeof(regs));
    assert_ok(vmm_vcpu_get_regs(g.vcpu, &regs, &err));
    assert_int_equal(regs.rax, 1);
    assert_int_equal(regs.r15, 15);
    assert_int_equal(regs.rip, 0x1234);

    assert_ok(vmm_vcpu_get_sregs(g.vcpu, &sregs, &err));
    sregs.gdt.base = 0x5000;
    sregs.gdt.limit = 0x1f;
    assert_ok(vmm_vcpu_set_sregs(g.vcpu, &sregs, &err));
    memset(&sregs, 0, sizeof(sregs));
    assert_ok(vmm_vcpu_get_sregs(g.vcpu, &sregs, &err));
    assert_int_equal(sregs.gdt.base, 0x5000);
    assert_int_equal(sregs.gdt.limit, 0x1f);
    tiny_free(&g);
}

static void bad_names_and_sizes_of_state_are_refused(void **state)
{
    struct tiny_guest g = halting_guest(state);
    struct kvm_regs regs;
    struct kvm_cpuid2 cpuid = {.nent = 257};
    size_t size = 8;

    assert_refused(vmm_vcpu_get_state(g.vcpu, "rip", &regs, &size, &err),
                   ENOENT,
                   "no vCPU state \"rip\": one of regs, sregs, sregs2, fpu, "
                   "xsave, xcrs, lapic, debugregs, mp_state, vcpu_events, "
                   "tsc_khz, tsc_offset, cpuid, nested");
    assert_refused(vmm_vcpu_get_state(g.vcpu, "regs", &regs, &size, &err),
                   ENOBUFS, "state \"regs\" takes 144 bytes, room for 8");
    assert_int_equal(size, sizeof(regs));
    assert_refused(vmm_vcpu_set_state(g.vcpu, "regs", &regs, 143, &err), EINVAL,
                   "state \"regs\" is 144 bytes, given 143");
    assert_refused(vmm_vcpu_set_state(g.vcpu, "cpuid", &cpuid, 4, &err), EINVAL,
                   "state \"cpuid\" is 8 bytes or more, given 4");
    assert_refused(vmm_vcpu_set_state(g.vcpu, "cpuid", &cpuid, 8, &err), E2BIG,
                   "257 cpuid entries: up to 256");
    cpuid.nent = 2;
    assert_refused(vmm_vcpu_set_state(g.vcpu, "cpuid", &cpuid, 8, &err), EINVAL,
                   "state \"cpuid\" is 88 bytes, given 8");
    tiny_free(&g);
}

static void what_kvm_refuses_is_named(void **state)
{
    struct tiny_guest g = tiny_new(state, "\xf4", 1, NULL);
    struct kvm_lapic_state lapic;
    struct kvm_sregs sregs;
    size_t size = sizeof(lapic);

    assert_refused(vmm_vcpu_get_state(g.vcpu, "lapic", &lapic, &size, &err),
                   EINVAL,
                   "vCPU 0: KVM can't get lapic without an irqchip: Invalid "
                   "argument");
    assert_ok(vmm_vcpu_get_sregs(g.vcpu, &sregs, &err));
    sregs.cr0 = 0x80000000; /* paging without protection */
    sregs.efer = 0x500;
    assert_refused(vmm_vcpu_set_sregs(g.vcpu, &sregs, &err), EINVAL,
                   "vCPU 0: KVM can't set sregs: Invalid argument");
    tiny_free(&g);
}

/* ---- MSRs --------------------------------------------------------------- */

#define LSTAR       0xc0000082
#define NO_SUCH_MSR 0x12345678

static void msrs_keep_what_they_are_set_to(void **state)
{
    struct tiny_guest g = halting_guest(state);
    const struct kvm_msr_entry in[] = {
        {.index = LSTAR, .data = 0xffff800012345678},
        {.index = 0xc0000081, .data = 0x0023001000000000}, /* STAR */
    };
    struct kvm_msr_entry out[] = {{.index = 0xc0000081}, {.index = LSTAR}};

    assert_ok(vmm_vcpu_set_msrs(g.vcpu, in, 2, &err));
    assert_ok(vmm_vcpu_get_msrs(g.vcpu, out, 2, &err));
    assert_int_equal(out[0].data, 0x0023001000000000);
    assert_int_equal(out[1].data, 0xffff800012345678);
    assert_ok(vmm_vcpu_get_msrs(g.vcpu, NULL, 0, &err));
    tiny_free(&g);
}

static void a_refused_msr_is_named(void **state)
{
    struct tiny_guest g = halting_guest(state);
    struct kvm_msr_entry entries[] = {
        {.index = LSTAR, .data = 1},
        {.index = NO_SUCH_MSR, .data = 0xab},
        {.index = LSTAR, .data = 2},
    };

    assert_refused(vmm_vcpu_get_msrs(g.vcpu, entries, 3, &err), EINVAL,
                   "vCPU 0: KVM refuses to read MSR 0x12345678");
    assert_refused(vmm_vcpu_set_msrs(g.vcpu, entries, 3, &err), EINVAL,
                   "vCPU 0: KVM refuses 0xab for MSR 0x12345678");
    tiny_free(&g);
}

static void more_msrs_than_one_call_takes_are_moved_whole(void **state)
{
    struct tiny_guest g = halting_guest(state);
    struct kvm_msr_entry entries[600] = {0};

    for (size_t i = 0; i < 600; i++)
        entries[i] = (struct kvm_msr_entry){.index = LSTAR, .data = i};
    assert_ok(vmm_vcpu_set_msrs(g.vcpu, entries, 600, &err));
    assert_ok(vmm_vcpu_get_msrs(g.vcpu, entries, 600, &err));
    for (size_t i = 0; i < 600; i++)
        assert_int_equal(entries[i].data, 599);

    entries[512].index = NO_SUCH_MSR;
    assert_refused(vmm_vcpu_set_msrs(g.vcpu, entries, 600, &err), EINVAL,
                   "vCPU 0: KVM refuses 0x257 for MSR 0x12345678");
    tiny_free(&g);
}

/* ---- CPUID, translation ------------------------------------------------- */

static void cpuid_entries_come_back(void **state)
{
    struct tiny_guest g = halting_guest(state);
    static uint8_t buffer[sizeof(struct kvm_cpuid2) +
                          256 * sizeof(struct kvm_cpuid_entry2)];
    struct kvm_cpuid2 *cpuid = (struct kvm_cpuid2 *)buffer;
    size_t size = sizeof(buffer);

    cpuid->nent = 2;
    cpuid->entries[0] = (struct kvm_cpuid_entry2){.function = 0, .eax = 1};
    cpuid->entries[1] =
        (struct kvm_cpuid_entry2){.function = 0x40000000, .ebx = 0x4d4d5621};
    assert_ok(vmm_vcpu_set_cpuid(g.vcpu, cpuid, &err));
    memset(buffer, 0, sizeof(buffer));
    assert_ok(vmm_vcpu_get_state(g.vcpu, "cpuid", buffer, &size, &err));
    assert_int_equal(cpuid->nent, 2);
    assert_int_equal(size, sizeof(struct kvm_cpuid2) +
                               2 * sizeof(struct kvm_cpuid_entry2));
    assert_int_equal(cpuid->entries[1].function, 0x40000000);
    assert_int_equal(cpuid->entries[1].ebx, 0x4d4d5621);

    size = 10;
    assert_refused(vmm_vcpu_get_state(g.vcpu, "cpuid", buffer, &size, &err),
                   ENOBUFS, "state \"cpuid\" takes 88 bytes, room for 10");
    assert_int_equal(size, 88);
    tiny_free(&g);
}

/* Page tables (Intel SDM vol. 3, 4.5) that map 0x7000 to 0x3000, no more. */
static void set_up_paging(struct tiny_guest *g)
{
    const uint64_t present_writable = 3;
    struct kvm_sregs sregs;

    vmm_memory_store_u64(g->memory, 0x4000, 0x5000 | present_writable);
    vmm_memory_store_u64(g->memory, 0x5000, 0x6000 | present_writable);
    vmm_memory_store_u64(g->memory, 0x6000, 0x8000 | present_writable);
    vmm_memory_store_u64(g->memory, 0x8000 + 7 * 8, 0x3000 | present_writable);
    assert_ok(vmm_vcpu_get_sregs(g->vcpu, &sregs, &err));
    sregs.cr3 = 0x4000;
    sregs.cr4 |= 1 << 5; /* PAE */
    sregs.cr0 |= 0x80000001;
    sregs.efer |= 0x500; /* LME, LMA */
    sregs.cs.l = 1;
    sregs.cs.db = 0;
    assert_ok(vmm_vcpu_set_sregs(g->vcpu, &sregs, &err));
}

static void virtual_addresses_are_translated(void **state)
{
    struct tiny_guest g = halting_guest(state);
    vmm_gpa_t gpa = 0;

    assert_ok(vmm_vcpu_translate(g.vcpu, 0x7abc, &gpa, &err));
    assert_int_equal(gpa, 0x7abc);
    set_up_paging(&g);
    assert_ok(vmm_vcpu_translate(g.vcpu, 0x7abc, &gpa, &err));
    assert_int_equal(gpa, 0x3abc);
    assert_refused(vmm_vcpu_translate(g.vcpu, 0x9000, &gpa, &err), EFAULT,
                   "vCPU 0: virtual address 0x9000 is not mapped");
    tiny_free(&g);
}

/* ---- while it runs ------------------------------------------------------ */

static void state_waits_for_the_vcpu_to_be_paused(void **state)
{
    /* mov al, 'r'; out 0x70, al; 1: inc bx; jmp 1b */
    static const uint8_t code[] = {0xb0, 'r', 0xe6, 0x70, 0x43, 0xeb, 0xfd};
    struct tiny_guest g = tiny_new(state, code, sizeof(code), &irqchip);
    struct tiny_log log = TINY_LOG;
    struct kvm_regs regs;
    vmm_gpa_t gpa;

    tiny_start(&g, &log);
    tiny_wait_writes(&log, 1);
    assert_refused(vmm_vcpu_get_regs(g.vcpu, &regs, &err), EBUSY,
                   "vCPU 0 runs: pause it to get its state");
    assert_refused(vmm_vcpu_set_regs(g.vcpu, &regs, &err), EBUSY,
                   "vCPU 0 runs: pause it to set its state");
    assert_refused(vmm_vcpu_get_msrs(g.vcpu, NULL, 0, &err), EBUSY,
                   "vCPU 0 runs: pause it to get MSRs");
    assert_refused(vmm_vcpu_set_msrs(g.vcpu, NULL, 0, &err), EBUSY,
                   "vCPU 0 runs: pause it to set MSRs");
    assert_refused(vmm_vcpu_translate(g.vcpu, 0, &gpa, &err), EBUSY,
                   "vCPU 0 runs: pause it to translate an address");
    vmm_vcpu_request_pause(g.vcpu);
    tiny_wait_stopped(&g);
    assert_ok(vmm_vcpu_get_regs(g.vcpu, &regs, &err));
    assert_in_range(regs.rip, TINY_CODE_GPA + 4, TINY_CODE_GPA + 6);
    tiny_free(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_state_can_be_set_to_what_was_got),
        cmocka_unit_test(cpuid_read_back_has_the_entries_that_were_set),
        cmocka_unit_test(every_msr_listed_can_be_read),
        cmocka_unit_test(nested_state_moves_where_kvm_nests),
        cmocka_unit_test(state_moves_from_one_vcpu_to_another),
        cmocka_unit_test(registers_keep_what_they_are_set_to),
        cmocka_unit_test(bad_names_and_sizes_of_state_are_refused),
        cmocka_unit_test(what_kvm_refuses_is_named),
        cmocka_unit_test(msrs_keep_what_they_are_set_to),
        cmocka_unit_test(a_refused_msr_is_named),
        cmocka_unit_test(more_msrs_than_one_call_takes_are_moved_whole),
        cmocka_unit_test(cpuid_entries_come_back),
        cmocka_unit_test(virtual_addresses_are_translated),
        cmocka_unit_test(state_waits_for_the_vcpu_to_be_paused),
    };

    return cmocka_run_group_tests(tests, tiny_open_kvm, tiny_close_kvm);
}
