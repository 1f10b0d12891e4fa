/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* One vCPU, run one exit at a time; needs KVM. */
#include <errno.h>
#include <sys/ioctl.h>

#include "tiny_guest.h"

static const struct vmm_irqchip_config irqchip = {.pit = false};

static uint64_t rip_of(struct tiny_guest *g)
{
    struct kvm_regs regs;

    assert_ok(vmm_vcpu_get_regs(g->vcpu, &regs, &err));
    return regs.rip;
}

/* ---- ports -------------------------------------------------------------- */

static void a_port_write_brings_its_byte(void **state)
{
    /* mov al, 'A'; out 0x42, al; hlt */
    static const uint8_t code[] = {0xb0, 'A', 0xe6, 0x42, 0xf4};
    struct tiny_guest g = tiny_new(state, code, sizeof(code), NULL);

    struct vmm_exit exit = tiny_run(&g, VMM_EXIT_PIO_WRITE);
    assert_int_equal(exit.number, KVM_EXIT_IO);
    assert_int_equal(exit.u.io.port, 0x42);
    assert_int_equal(exit.u.io.size, 1);
    assert_int_equal(exit.u.io.count, 1);
    assert_int_equal(exit.u.io.data[0], 'A');
    tiny_run(&g, VMM_EXIT_HALT);
    tiny_free(&g);
}

static void a_port_read_takes_what_the_handler_put(void **state)
{
    /* in ax, 0x60; out 0x61, ax */
    static const uint8_t code[] = {0xe5, 0x60, 0xe7, 0x61};
    struct tiny_guest g = tiny_new(state, code, sizeof(code), NULL);

    struct vmm_exit exit = tiny_run(&g, VMM_EXIT_PIO_READ);
    assert_int_equal(exit.u.io.port, 0x60);
    assert_int_equal(exit.u.io.size, 2);
    memcpy(exit.u.io.data, "\x34\x12", 2);
    exit = tiny_run(&g, VMM_EXIT_PIO_WRITE);
    assert_int_equal(exit.u.io.port, 0x61);
    assert_memory_equal(exit.u.io.data, "\x34\x12", 2);
    tiny_free(&g);
}

static void string_output_brings_every_byte_in_order(void **state)
{
    /* mov si, 0x1010; mov cx, 5; mov dx, 0x3f8; rep outsb; hlt */
    static const uint8_t code[] = {0xbe, 0x10, 0x10, 0xb9, 0x05, 0x00, 0xba,
                                   0xf8, 0x03, 0xf3, 0x6e, 0xf4, 0,    0,
                                   0,    0,    'h',  'e',  'l',  'l',  'o'};
    struct tiny_guest g = tiny_new(state, code, sizeof(code), NULL);
    struct vmm_exit exit;
    char text[16] = "";
    size_t len = 0;

    /* How many accesses an exit carries is up to KVM. */
    while (len < 5) {
        exit = tiny_run(&g, VMM_EXIT_PIO_WRITE);
        assert_int_equal(exit.u.io.port, 0x3f8);
        assert_int_equal(exit.u.io.size, 1);
        assert_in_range(exit.u.io.count, 1, 5 - len);
        memcpy(text + len, exit.u.io.data, exit.u.io.count);
        len += exit.u.io.count;
    }
    assert_string_equal(text, "hello");
    tiny_run(&g, VMM_EXIT_HALT);
    tiny_free(&g);
}

static void string_input_takes_every_byte_in_order(void **state)
{
    /* mov di, 0x3000; mov cx, 4; mov dx, 0x1f0; rep insb; hlt */
    static const uint8_t code[] = {0xbf, 0x00, 0x30, 0xb9, 0x04, 0x00,
                                   0xba, 0xf0, 0x01, 0xf3, 0x6c, 0xf4};
    struct tiny_guest g = tiny_new(state, code, sizeof(code), NULL);
    char text[5] = "";
    size_t len = 0;

    while (len < 4) {
        struct vmm_exit exit = tiny_run(&g, VMM_EXIT_PIO_READ);

        assert_in_range(exit.u.io.count, 1, 4 - len);
        memcpy(exit.u.io.data, &"disk"[len], exit.u.io.count);
        len += exit.u.io.count;
    }
    tiny_run(&g, VMM_EXIT_HALT);
    assert_int_equal(vmm_memory_read(g.memory, 0x3000, text, 4), 0);
    assert_string_equal(text, "disk");
    tiny_free(&g);
}

/* ---- memory-mapped I/O -------------------------------------------------- */

static void memory_accesses_outside_of_ram_come_with_their_address(void **state)
{
    /* mov ax, 0x2000; mov ds, ax; mov eax, [0x10]; mov [0x20], eax; hlt */
    static const uint8_t code[] = {0xb8, 0x00, 0x20, 0x8e, 0xd8, 0x66, 0xa1,
                                   0x10, 0x00, 0x66, 0xa3, 0x20, 0x00, 0xf4};
    struct tiny_guest g = tiny_new(state, code, sizeof(code), NULL);

    struct vmm_exit exit = tiny_run(&g, VMM_EXIT_MMIO_READ);
    assert_int_equal(exit.number, KVM_EXIT_MMIO);
    assert_int_equal(exit.u.mmio.gpa, 0x20010);
    assert_int_equal(exit.u.mmio.size, 4);
    memcpy(exit.u.mmio.data, "\x78\x56\x34\x12", 4);
    exit = tiny_run(&g, VMM_EXIT_MMIO_WRITE);
    assert_int_equal(exit.u.mmio.gpa, 0x20020);
    assert_int_equal(exit.u.mmio.size, 4);
    assert_memory_equal(exit.u.mmio.data, "\x78\x56\x34\x12", 4);
    tiny_run(&g, VMM_EXIT_HALT);
    tiny_free(&g);
}

/* ---- completion --------------------------------------------------------- */

static void completing_a_read_shows_its_value_in_the_registers(void **state)
{
    /* in al, 0x60; hlt */
    static const uint8_t code[] = {0xe4, 0x60, 0xf4};
    struct tiny_guest g = tiny_new(state, code, sizeof(code), NULL);
    struct kvm_regs regs;

    struct vmm_exit exit = tiny_run(&g, VMM_EXIT_PIO_READ);
    exit.u.io.data[0] = 0x5a;
    assert_ok(vmm_vcpu_complete_io(g.vcpu, &err));
    assert_ok(vmm_vcpu_get_regs(g.vcpu, &regs, &err));
    assert_int_equal(regs.rax & 0xff, 0x5a);
    assert_int_equal(regs.rip, TINY_CODE_GPA + 2);
    assert_ok(vmm_vcpu_complete_io(g.vcpu, &err));
    assert_int_equal(rip_of(&g), TINY_CODE_GPA + 2);
    tiny_run(&g, VMM_EXIT_HALT);
    tiny_free(&g);
}

static void
completing_an_access_across_pages_brings_its_second_half(void **state)
{
    /* mov ax, 0x2000; mov ds, ax; mov eax, [0x0ffe]; hlt */
    static const uint8_t code[] = {0xb8, 0x00, 0x20, 0x8e, 0xd8,
                                   0x66, 0xa1, 0xfe, 0x0f, 0xf4};
    struct tiny_guest g = tiny_new(state, code, sizeof(code), NULL);
    struct kvm_regs regs;

    struct vmm_exit exit = tiny_run(&g, VMM_EXIT_MMIO_READ);
    assert_int_equal(exit.u.mmio.gpa, 0x20ffe);
    assert_int_equal(exit.u.mmio.size, 2);
    memcpy(exit.u.mmio.data, "\x11\x22", 2);
    assert_refused(vmm_vcpu_complete_io(g.vcpu, &err), EAGAIN,
                   "vCPU 0: the instruction made another access: handle the "
                   "exit that running it once gives next");

    exit = tiny_run(&g, VMM_EXIT_MMIO_READ);
    assert_int_equal(exit.u.mmio.gpa, 0x21000);
    assert_int_equal(exit.u.mmio.size, 2);
    memcpy(exit.u.mmio.data, "\x33\x44", 2);
    assert_ok(vmm_vcpu_complete_io(g.vcpu, &err));
    assert_ok(vmm_vcpu_get_regs(g.vcpu, &regs, &err));
    assert_int_equal(regs.rax & 0xffffffff, 0x44332211);
    tiny_free(&g);
}

/* ---- the other exits ---------------------------------------------------- */

static void a_triple_fault_is_a_shutdown(void **state)
{
    /* ud2, in protected mode without an interrupt table */
    static const uint8_t code[] = {0x0f, 0x0b};
    struct tiny_guest g = tiny_new(state, code, sizeof(code), NULL);
    struct kvm_sregs sregs;

    assert_ok(vmm_vcpu_get_sregs(g.vcpu, &sregs, &err));
    sregs.cr0 |= 1;
    sregs.cs.db = sregs.cs.g = 1;
    sregs.cs.limit = 0xffffffff;
    sregs.idt.limit = 0;
    assert_ok(vmm_vcpu_set_sregs(g.vcpu, &sregs, &err));
    tiny_run(&g, VMM_EXIT_SHUTDOWN);
    tiny_free(&g);
}

static void code_outside_of_ram_is_an_internal_error(void **state)
{
    /* jmp 0x2000:0x0010 */
    static const uint8_t code[] = {0xea, 0x10, 0x00, 0x00, 0x20};
    struct tiny_guest g = tiny_new(state, code, sizeof(code), NULL);

    struct vmm_exit exit = tiny_run(&g, VMM_EXIT_INTERNAL_ERROR);
    assert_int_equal(exit.u.internal.suberror, KVM_INTERNAL_ERROR_EMULATION);
    assert_in_range(exit.u.internal.byte_count, 0, 15);
    tiny_free(&g);
}

static void an_unknown_msr_is_an_exit_when_asked_for(void **state)
{
    /* mov ecx, 0x12345678; rdmsr; wrmsr; hlt */
    static const uint8_t code[] = {0x66, 0xb9, 0x78, 0x56, 0x34, 0x12,
                                   0x0f, 0x32, 0x0f, 0x30, 0xf4};
    struct tiny_guest g = tiny_new(state, code, sizeof(code), NULL);

    assert_ok(vmm_vm_trap_msrs(g.vm, true, &err));
    struct vmm_exit exit = tiny_run(&g, VMM_EXIT_MSR_READ);
    assert_int_equal(exit.u.msr.index, 0x12345678);
    *exit.u.msr.data = 0x1122334455667788;
    exit = tiny_run(&g, VMM_EXIT_MSR_WRITE);
    assert_int_equal(exit.u.msr.index, 0x12345678);
    assert_int_equal(*exit.u.msr.data, 0x1122334455667788);
    tiny_run(&g, VMM_EXIT_HALT);
    tiny_free(&g);
}

static void a_single_step_is_a_debug_exit(void **state)
{
    /* nop; nop; hlt */
    static const uint8_t code[] = {0x90, 0x90, 0xf4};
    struct tiny_guest g = tiny_new(state, code, sizeof(code), NULL);
    struct kvm_guest_debug debug = {.control = KVM_GUESTDBG_ENABLE |
                                               KVM_GUESTDBG_SINGLESTEP};

    assert_int_equal(ioctl(vmm_vcpu_fd(g.vcpu), KVM_SET_GUEST_DEBUG, &debug),
                     0);
    for (unsigned i = 1; i <= 2; i++) {
        struct vmm_exit exit = tiny_run(&g, VMM_EXIT_DEBUG);

        assert_int_equal(exit.u.debug.pc, TINY_CODE_GPA + i);
        assert_int_equal(exit.u.debug.exception, 1); /* #DB */
    }
    tiny_free(&g);
}

static void a_kick_before_the_run_gives_no_exit(void **state)
{
    /* mov al, 1; out 0x42, al */
    static const uint8_t code[] = {0xb0, 0x01, 0xe6, 0x42};
    struct tiny_guest g = tiny_new(state, code, sizeof(code), NULL);

    vmm_vcpu_kick(g.vcpu);
    tiny_run(&g, VMM_EXIT_NONE);
    assert_int_equal(rip_of(&g), TINY_CODE_GPA);
    tiny_run(&g, VMM_EXIT_PIO_WRITE);
    tiny_free(&g);
}

/* ---- NMI ---------------------------------------------------------------- */

/* cli; mov al, 'r'; out 0x70, al; 1: hlt; jmp 1b */
static const uint8_t halting_code[] = {0xfa, 0xb0, 'r',  0xe6,
                                       0x70, 0xf4, 0xeb, 0xfd};
/* mov al, 'n'; out 0x70, al; iret */
static const uint8_t nmi_isr[] = {0xb0, 'n', 0xe6, 0x70, 0xcf};

static struct tiny_guest new_with_nmi_isr(void **state)
{
    struct tiny_guest g =
        tiny_new(state, halting_code, sizeof(halting_code), &irqchip);

    vmm_memory_write(g.memory, 0x1100, nmi_isr, sizeof(nmi_isr));
    vmm_memory_store_u32(g.memory, 2 * 4, 0x1100);
    return g;
}

static void an_nmi_reaches_a_vcpu_that_does_not_run(void **state)
{
    struct tiny_guest g = new_with_nmi_isr(state);

    tiny_run(&g, VMM_EXIT_PIO_WRITE);
    assert_ok(vmm_vcpu_nmi(g.vcpu, &err));
    struct vmm_exit exit = tiny_run(&g, VMM_EXIT_PIO_WRITE);
    assert_int_equal(exit.u.io.data[0], 'n');
    tiny_free(&g);
}

static void an_nmi_reaches_a_vcpu_halted_on_its_thread(void **state)
{
    struct tiny_guest g = new_with_nmi_isr(state);
    struct tiny_log log = TINY_LOG;

    tiny_start(&g, &log);
    for (unsigned i = 1; i <= 5; i++) {
        tiny_wait_writes(&log, i);
        assert_ok(vmm_vcpu_nmi(g.vcpu, &err));
    }
    assert_int_equal(tiny_wait_writes(&log, 6), 'n');
    tiny_free(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_port_write_brings_its_byte),
        cmocka_unit_test(a_port_read_takes_what_the_handler_put),
        cmocka_unit_test(string_output_brings_every_byte_in_order),
        cmocka_unit_test(string_input_takes_every_byte_in_order),
        cmocka_unit_test(
            memory_accesses_outside_of_ram_come_with_their_address),
        cmocka_unit_test(completing_a_read_shows_its_value_in_the_registers),
        cmocka_unit_test(
            completing_an_access_across_pages_brings_its_second_half),
        cmocka_unit_test(a_triple_fault_is_a_shutdown),
        cmocka_unit_test(code_outside_of_ram_is_an_internal_error),
        cmocka_unit_test(an_unknown_msr_is_an_exit_when_asked_for),
        cmocka_unit_test(a_single_step_is_a_debug_exit),
        cmocka_unit_test(a_kick_before_the_run_gives_no_exit),
        cmocka_unit_test(an_nmi_reaches_a_vcpu_that_does_not_run),
        cmocka_unit_test(an_nmi_reaches_a_vcpu_halted_on_its_thread),
    };

    return cmocka_run_group_tests(tests, tiny_open_kvm, tiny_close_kvm);
}
