/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Breakpoints of a machine, where two vCPUs meet at them; needs KVM. */
#include "machine/debug.h"
#include "tiny_guest.h"

#define PLACE 0x1001 /* of a breakpoint; real mode, no paging */

static struct vmm_machine *machine_with_memory(void **state)
{
    struct vmm_machine *machine;
    struct vmm_vcpu *vcpu;

    assert_ok(vmm_machine_new(tiny_kvm(state), "debugged", &machine, &err));
    struct vmm_memory *memory = tiny_memory(0, TINY_MEMORY_BYTES);
    assert_ok(vmm_vm_map(vmm_machine_vm(machine), memory, &err));
    vmm_memory_unref(memory);
    assert_ok(vmm_machine_add_vcpu(machine, 0, &vcpu, &err));
    return machine;
}

static uint8_t byte_at(struct vmm_machine *machine, vmm_gpa_t gpa)
{
    uint8_t byte;
    struct vmm_memory *memory = vmm_vm_memory(vmm_machine_vm(machine));

    assert_int_equal(vmm_memory_load_u8(memory, gpa, &byte), 0);
    return byte;
}

static void who_has_nothing_to_step_over_covers_no_others_byte(void **state)
{
    const struct vmm_break_config config = {.kind = VMM_BREAK_SOFTWARE,
                                            .gva = PLACE};
    struct vmm_machine *machine = machine_with_memory(state);
    struct machine_debug *debug = machine->debug;
    struct vmm_memory *memory = vmm_vm_memory(machine->vm);
    uint64_t id;

    assert_ok(vmm_machine_add_break(machine, &config, &id, &err));
    assert_int_equal(byte_at(machine, PLACE), DEBUG_INT3);
    atomic_store(&debug->stepping, true); /* another vCPU steps over it */
    debug_table_lift(&debug->table, memory, PLACE);
    assert_int_equal(byte_at(machine, PLACE), 0);
    /* Its own has been removed meanwhile. */
    machine->vcpus[0]->debug_told = true;
    assert_int_equal(
        debug_step_over(machine, machine->vcpus[0], PLACE + 8, PLACE + 8), 0);
    assert_false(machine->vcpus[0]->debug_told);
    assert_int_equal(byte_at(machine, PLACE), 0);
    debug_table_cover(&debug->table, memory, PLACE);
    assert_int_equal(byte_at(machine, PLACE), DEBUG_INT3);
    vmm_machine_free(machine);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_has_nothing_to_step_over_covers_no_others_byte),
    };
    return cmocka_run_group_tests(tests, tiny_open_kvm, tiny_close_kvm);
}
