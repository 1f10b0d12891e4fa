/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* A VM: memory slots, the irqchip's rules, VM-wide state; needs KVM. */
#include <errno.h>
#include <sys/ioctl.h>

#include "tiny_guest.h"

static struct vmm_vm *new_vm(void **state)
{
    struct vmm_vm *vm;

    assert_ok(vmm_vm_new(tiny_kvm(state), &vm, &err));
    return vm;
}

static const struct vmm_irqchip_config plain_irqchip = {.pit = false};
static const struct vmm_irqchip_config with_pit = {.pit = true};

/* ---- memory ------------------------------------------------------------- */

static void every_region_becomes_memory_and_holes_do_not(void **state)
{
    /* mov ax, 0xffff; mov es, ax; mov byte [es:0x10], 7   1 MiB: region 2
     * mov ax, 0x2000; mov es, ax; mov byte [es:0x10], 8   128 KiB: a hole
     * hlt */
    static const uint8_t code[] = {
        0xb8, 0xff, 0xff, 0x8e, 0xc0, 0x26, 0xc6, 0x06, 0x10, 0x00, 0x07, //
        0xb8, 0x00, 0x20, 0x8e, 0xc0, 0x26, 0xc6, 0x06, 0x10, 0x00, 0x08, //
        0xf4};
    struct vmm_memory_range ranges[] = {{0, 0x10000}, {0x100000, 0x1000}};
    struct vmm_memory_config config = {.ranges = ranges, .range_count = 2};
    struct tiny_guest g;
    uint8_t byte;

    g.vm = new_vm(state);
    assert_ok(vmm_memory_new(&config, &g.memory, &err));
    assert_int_equal(vmm_memory_write(g.memory, TINY_CODE_GPA, code, 23), 0);
    assert_null(vmm_vm_memory(g.vm));
    assert_ok(vmm_vm_map(g.vm, g.memory, &err));
    assert_ptr_equal(vmm_vm_memory(g.vm), g.memory);
    assert_ok(vmm_vcpu_new(g.vm, 0, &g.vcpu, &err));
    tiny_real_mode(g.vcpu);

    struct vmm_exit exit = tiny_run(&g, VMM_EXIT_MMIO_WRITE);
    assert_int_equal(exit.u.mmio.gpa, 0x20010);
    assert_int_equal(exit.u.mmio.data[0], 8);
    assert_int_equal(vmm_memory_load_u8(g.memory, 0x100000, &byte), 0);
    assert_int_equal(byte, 7);
    tiny_free(&g);
}

static void memory_is_mapped_once(void **state)
{
    struct vmm_vm *vm = new_vm(state);
    struct vmm_memory *memory = tiny_memory(0, 0x1000);

    assert_ok(vmm_vm_map(vm, memory, &err));
    assert_refused(vmm_vm_map(vm, memory, &err), EBUSY,
                   "this VM's memory is mapped already");
    vmm_vm_free(vm);
    vmm_memory_unref(memory);
}

static void memory_after_the_irqchip_is_refused(void **state)
{
    struct vmm_vm *vm = new_vm(state);
    struct vmm_memory *memory = tiny_memory(0, 0x1000);

    assert_ok(vmm_vm_create_irqchip(vm, NULL, &err));
    assert_refused(vmm_vm_map(vm, memory, &err), EBUSY,
                   "map memory before creating the irqchip: afterwards each "
                   "slot takes 7 ms");
    vmm_vm_free(vm);
    vmm_memory_unref(memory);
}

/* Give a VM a slot that the library does not know of; 0 bytes remove it. */
static void set_slot(struct vmm_vm *vm, uint64_t base, uint64_t size_bytes,
                     void *host)
{
    struct kvm_userspace_memory_region slot = {
        .slot = 20,
        .guest_phys_addr = base,
        .memory_size = size_bytes,
        .userspace_addr = (uintptr_t)host,
    };

    assert_int_equal(ioctl(vmm_vm_fd(vm), KVM_SET_USER_MEMORY_REGION, &slot),
                     0);
}

static void a_region_that_kvm_refuses_is_named_and_none_stays(void **state)
{
    struct vmm_vm *vm = new_vm(state);
    struct vmm_memory_range ranges[] = {{0, 0x1000}, {0x100000, 0x2000}};
    struct vmm_memory_config config = {.ranges = ranges, .range_count = 2};
    struct vmm_memory *memory;

    assert_ok(vmm_memory_new(&config, &memory, &err));
    set_slot(vm, 0x101000, 0x1000, vmm_memory_region(memory, 0).host);
    assert_refused(vmm_vm_map(vm, memory, &err), EEXIST,
                   "KVM_SET_USER_MEMORY_REGION of slot 1, 0x2000 bytes at "
                   "0x100000: File exists");
    assert_null(vmm_vm_memory(vm));

    /* Where the first region was, something else fits now. */
    set_slot(vm, 0, 0, NULL);
    set_slot(vm, 0, 0x1000, vmm_memory_region(memory, 0).host);
    vmm_vm_free(vm);
    vmm_memory_unref(memory);
}

/* ---- the irqchip -------------------------------------------------------- */

static void an_irqchip_comes_once_and_before_vcpus(void **state)
{
    struct vmm_vm *vm = new_vm(state);
    struct vmm_vcpu *vcpu;

    assert_false(vmm_vm_has_irqchip(vm));
    assert_ok(vmm_vm_create_irqchip(vm, &plain_irqchip, &err));
    assert_true(vmm_vm_has_irqchip(vm));
    assert_refused(vmm_vm_create_irqchip(vm, &plain_irqchip, &err), EEXIST,
                   "this VM has an irqchip already");
    vmm_vm_free(vm);

    vm = new_vm(state);
    assert_ok(vmm_vcpu_new(vm, 0, &vcpu, &err));
    assert_refused(vmm_vm_create_irqchip(vm, &plain_irqchip, &err), EBUSY,
                   "create the irqchip before the first vCPU");
    vmm_vcpu_free(vcpu);
    vmm_vm_free(vm);
}

static void refuses_irqchip_over(void **state, vmm_gpa_t base,
                                 const char *expected)
{
    struct vmm_vm *vm = new_vm(state);
    struct vmm_memory *memory = tiny_memory(base, 0x1000);

    assert_ok(vmm_vm_map(vm, memory, &err));
    assert_refused(vmm_vm_create_irqchip(vm, NULL, &err), EINVAL, expected);
    assert_false(vmm_vm_has_irqchip(vm));
    vmm_vm_free(vm);
    vmm_memory_unref(memory);
}

static void memory_where_the_irqchip_lives_is_refused(void **state)
{
    refuses_irqchip_over(state, 0xfec00000,
                         "guest memory of 0x1000 bytes at 0xfec00000 covers "
                         "the IOAPIC at 0xfec00000: leave 0xd0000000 to "
                         "0xffffffff free");
    refuses_irqchip_over(state, 0xfee00000,
                         "guest memory of 0x1000 bytes at 0xfee00000 covers "
                         "the local APIC at 0xfee00000: leave 0xd0000000 to "
                         "0xffffffff free");
    refuses_irqchip_over(state, 0xfffbf000,
                         "guest memory of 0x1000 bytes at 0xfffbf000 covers "
                         "KVM's task state segment at 0xfffbd000: leave "
                         "0xd0000000 to 0xffffffff free");
}

static void memory_beside_the_irqchip_is_fine(void **state)
{
    struct vmm_vm *vm = new_vm(state);
    struct vmm_memory *memory = tiny_memory(0xfec01000, 0x1000);

    assert_ok(vmm_vm_map(vm, memory, &err));
    assert_ok(vmm_vm_create_irqchip(vm, NULL, &err));
    vmm_vm_free(vm);
    vmm_memory_unref(memory);
}

/* ---- vCPU ids ----------------------------------------------------------- */

static void vcpu_ids_are_checked(void **state)
{
    struct vmm_vm *vm = new_vm(state);
    struct vmm_vcpu *vcpu, *other = NULL;

    assert_ok(vmm_vcpu_new(vm, 3, &vcpu, &err));
    assert_int_equal(vmm_vcpu_id(vcpu), 3);
    assert_refused(vmm_vcpu_new(vm, 3, &other, &err), EEXIST,
                   "this VM has a vCPU 3 already");
    assert_refused(vmm_vcpu_new(vm, 4096, &other, &err), EINVAL,
                   "vCPU id 4096: 0 to 4095");
    assert_null(other);
    vmm_vcpu_free(vcpu);
    vmm_vm_free(vm);
}

/* ---- state -------------------------------------------------------------- */

static void the_clock_is_set_and_goes_on(void **state)
{
    struct vmm_vm *vm = new_vm(state);
    struct kvm_clock_data clock;
    size_t size = sizeof(clock);

    assert_ok(vmm_vm_get_state(vm, "clock", &clock, &size, &err));
    assert_int_equal(size, sizeof(clock));
    clock.clock = 5000000000ull;
    clock.flags &= ~(uint32_t)KVM_CLOCK_REALTIME;
    assert_ok(vmm_vm_set_state(vm, "clock", &clock, size, &err));
    assert_ok(vmm_vm_get_state(vm, "clock", &clock, &size, &err));
    assert_in_range(clock.clock, 5000000000ull, 60000000000ull);
    vmm_vm_free(vm);
}

static void chips_are_read_and_written_by_name(void **state)
{
    static const struct {
        const char *name;
        uint32_t id;
    } chips[] = {{"pic_master", KVM_IRQCHIP_PIC_MASTER},
                 {"pic_slave", KVM_IRQCHIP_PIC_SLAVE},
                 {"ioapic", KVM_IRQCHIP_IOAPIC}};
    struct vmm_vm *vm = new_vm(state);

    assert_ok(vmm_vm_create_irqchip(vm, NULL, &err));
    for (size_t i = 0; i < 3; i++) {
        struct kvm_irqchip chip, again;
        size_t size = sizeof(chip);

        assert_ok(vmm_vm_get_state(vm, chips[i].name, &chip, &size, &err));
        assert_int_equal(size, sizeof(chip));
        assert_int_equal(chip.chip_id, chips[i].id);
        if (chips[i].id == KVM_IRQCHIP_IOAPIC)
            chip.chip.ioapic.redirtbl[4].fields.vector = 0x77;
        else
            chip.chip.pic.irq_base = 0x50;
        assert_ok(vmm_vm_set_state(vm, chips[i].name, &chip, size, &err));
        assert_ok(vmm_vm_get_state(vm, chips[i].name, &again, &size, &err));
        assert_memory_equal(&again, &chip, sizeof(chip));
    }
    vmm_vm_free(vm);
}

static void a_chips_state_under_another_name_is_refused(void **state)
{
    struct vmm_vm *vm = new_vm(state);
    struct kvm_irqchip chip;
    size_t size = sizeof(chip);

    assert_ok(vmm_vm_create_irqchip(vm, NULL, &err));
    assert_ok(vmm_vm_get_state(vm, "pic_slave", &chip, &size, &err));
    assert_refused(vmm_vm_set_state(vm, "ioapic", &chip, size, &err), EINVAL,
                   "state \"ioapic\": chip_id is 1, must be 2");
    vmm_vm_free(vm);
}

static void the_pit_has_state_only_when_asked_for(void **state)
{
    struct kvm_pit_state2 pit;
    size_t size = sizeof(pit);
    struct vmm_vm *vm = new_vm(state);

    assert_refused(vmm_vm_get_state(vm, "ioapic", &pit, &size, &err), ENOBUFS,
                   "state \"ioapic\" takes 520 bytes, room for 112");
    size = sizeof(pit);
    assert_ok(vmm_vm_create_irqchip(vm, &plain_irqchip, &err));
    assert_refused(vmm_vm_get_state(vm, "pit", &pit, &size, &err), ENXIO,
                   "state \"pit\": this VM has no PIT");
    vmm_vm_free(vm);

    vm = new_vm(state);
    assert_ok(vmm_vm_create_irqchip(vm, &with_pit, &err));
    assert_ok(vmm_vm_get_state(vm, "pit", &pit, &size, &err));
    pit.channels[2].mode = 3;
    assert_ok(vmm_vm_set_state(vm, "pit", &pit, size, &err));
    pit.channels[2].mode = 0;
    assert_ok(vmm_vm_get_state(vm, "pit", &pit, &size, &err));
    assert_int_equal(pit.channels[2].mode, 3);
    vmm_vm_free(vm);
}

static void bad_names_and_sizes_of_vm_state_are_refused(void **state)
{
    struct vmm_vm *vm = new_vm(state);
    struct kvm_clock_data clock;
    struct kvm_irqchip chip;
    size_t size = 10;

    assert_refused(vmm_vm_get_state(vm, "rtc", &clock, &size, &err), ENOENT,
                   "no VM state \"rtc\": one of clock, pic_master, pic_slave, "
                   "ioapic, pit");
    assert_refused(vmm_vm_set_state(vm, "rtc", &clock, 1, &err), ENOENT,
                   "no VM state \"rtc\": one of clock, pic_master, pic_slave, "
                   "ioapic, pit");
    assert_refused(vmm_vm_get_state(vm, "clock", &clock, &size, &err), ENOBUFS,
                   "state \"clock\" takes 48 bytes, room for 10");
    assert_int_equal(size, sizeof(clock));
    assert_refused(vmm_vm_set_state(vm, "clock", &clock, 47, &err), EINVAL,
                   "state \"clock\" is 48 bytes, given 47");
    size = sizeof(chip);
    assert_refused(vmm_vm_get_state(vm, "ioapic", &chip, &size, &err), ENXIO,
                   "state \"ioapic\": this VM has no irqchip");
    vmm_vm_free(vm);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_region_becomes_memory_and_holes_do_not),
        cmocka_unit_test(memory_is_mapped_once),
        cmocka_unit_test(memory_after_the_irqchip_is_refused),
        cmocka_unit_test(a_region_that_kvm_refuses_is_named_and_none_stays),
        cmocka_unit_test(an_irqchip_comes_once_and_before_vcpus),
        cmocka_unit_test(memory_where_the_irqchip_lives_is_refused),
        cmocka_unit_test(memory_beside_the_irqchip_is_fine),
        cmocka_unit_test(vcpu_ids_are_checked),
        cmocka_unit_test(the_clock_is_set_and_goes_on),
        cmocka_unit_test(chips_are_read_and_written_by_name),
        cmocka_unit_test(a_chips_state_under_another_name_is_refused),
        cmocka_unit_test(the_pit_has_state_only_when_asked_for),
        cmocka_unit_test(bad_names_and_sizes_of_vm_state_are_refused),
    };

    return cmocka_run_group_tests(tests, tiny_open_kvm, tiny_close_kvm);
}
