/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Interrupts into a tiny guest and eventfds out of it; needs KVM. */
#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "tiny_guest.h"

static const struct vmm_irqchip_config irqchip = {.pit = false};

/*
 * The guest: writes 'r' to port 0x70 when ready, then halts for ever with
 * interrupts on; vector 0x0c writes 'i', any of the others the tests use 'm'.
 * The interrupt service routines end both the PIC's and the APIC's interrupt
 * as far as real mode reaches: the PIC's by port 0x20.
 */
static const uint8_t waiting_code[] = {
    0xfb,       /* sti */
    0xb0, 'r',  /* mov al, 'r' */
    0xe6, 0x70, /* out 0x70, al */
    0xf4,       /* 1: hlt */
    0xeb, 0xfd, /* jmp 1b */
};
#define LINE_ISR_GPA 0x1100
static const uint8_t line_isr[] = {
    0xb0, 0x20, 0xe6, 0x20, /* mov al, 0x20; out 0x20, al: EOI */
    0xb0, 'i',  0xe6, 0x70, /* mov al, 'i'; out 0x70, al */
    0xcf,                   /* iret */
};
#define MESSAGE_ISR_GPA 0x1200
static const uint8_t message_isr[] = {
    0xb0, 'm', 0xe6, 0x70, /* mov al, 'm'; out 0x70, al */
    0xcf,                  /* iret */
};

#define LINE_VECTOR    0x0c /* the PIC's base 8, line 4 */
#define MESSAGE_VECTOR 0x40

static void set_vector(struct tiny_guest *g, unsigned vector, uint16_t ip)
{
    assert_int_equal(vmm_memory_store_u16(g->memory, 4 * vector, ip), 0);
    assert_int_equal(vmm_memory_store_u16(g->memory, 4 * vector + 2, 0), 0);
}

/* Firmware's part: the PIC's vector base, and the local APIC on. */
static void set_up_controllers(struct tiny_guest *g)
{
    struct kvm_irqchip pic;
    struct kvm_lapic_state lapic;
    size_t size = sizeof(pic);
    const size_t spiv = 0xf0; /* Intel SDM vol. 3, 11.9 */

    assert_ok(vmm_vm_get_state(g->vm, "pic_master", &pic, &size, &err));
    pic.chip.pic.irq_base = 8;
    assert_ok(vmm_vm_set_state(g->vm, "pic_master", &pic, size, &err));
    size = sizeof(lapic);
    assert_ok(vmm_vcpu_get_state(g->vcpu, "lapic", &lapic, &size, &err));
    lapic.regs[spiv + 1] |= 1; /* bit 8: enabled */
    assert_ok(vmm_vcpu_set_state(g->vcpu, "lapic", &lapic, size, &err));
}

/* A guest that has said it is ready, on its thread. */
static struct tiny_guest start_waiting(void **state, struct tiny_log *log)
{
    struct tiny_guest g =
        tiny_new(state, waiting_code, sizeof(waiting_code), &irqchip);

    vmm_memory_write(g.memory, LINE_ISR_GPA, line_isr, sizeof(line_isr));
    vmm_memory_write(g.memory, MESSAGE_ISR_GPA, message_isr,
                     sizeof(message_isr));
    set_vector(&g, LINE_VECTOR, LINE_ISR_GPA);
    set_vector(&g, MESSAGE_VECTOR, MESSAGE_ISR_GPA);
    set_vector(&g, MESSAGE_VECTOR + 1, MESSAGE_ISR_GPA);
    set_up_controllers(&g);
    tiny_start(&g, log);
    assert_int_equal(tiny_wait_writes(log, 1), 'r');
    return g;
}

/* ---- lines -------------------------------------------------------------- */

static void each_rise_of_a_line_interrupts_the_guest_once(void **state)
{
    struct tiny_log log = TINY_LOG;
    struct tiny_guest g = start_waiting(state, &log);
    struct vmm_irq_line line;

    assert_ok(vmm_vm_irq_line(g.vm, 4, &line, &err));
    for (unsigned i = 1; i <= 3; i++) {
        vmm_irq_set(&line, true);
        assert_int_equal(tiny_wait_writes(&log, 1 + i), 'i');
        vmm_irq_set(&line, false);
    }
    tiny_free(&g);
    assert_int_equal(log.writes, 4);
}

static void lines_of_one_vm_do_not_mix(void **state)
{
    struct tiny_guest g = tiny_new(state, "\xf4", 1, &irqchip);
    struct vmm_irq_line four, five;
    struct kvm_irqchip pic;
    size_t size = sizeof(pic);

    assert_ok(vmm_vm_irq_line(g.vm, 4, &four, &err));
    assert_ok(vmm_vm_irq_line(g.vm, 5, &five, &err));
    vmm_irq_set(&four, true);
    vmm_irq_set(&five, true);
    vmm_irq_set(&four, false);
    assert_ok(vmm_vm_get_state(g.vm, "pic_master", &pic, &size, &err));
    assert_int_equal(pic.chip.pic.last_irr, 1 << 5);
    tiny_free(&g);
}

static void lines_that_cannot_work_are_refused(void **state)
{
    struct tiny_guest with = tiny_new(state, "\xf4", 1, &irqchip);
    struct tiny_guest without = tiny_new(state, "\xf4", 1, NULL);
    struct vmm_irq_line line;

    assert_refused(vmm_vm_irq_line(with.vm, 1024, &line, &err), EINVAL,
                   "irq line 1024: 0 to 1023");
    assert_refused(vmm_vm_irq_line(without.vm, 4, &line, &err), ENXIO,
                   "irq line 4: this VM has no irqchip; create it first");
    assert_int_equal(vmm_vm_set_irq(with.vm, 4, true), 0);
    assert_int_equal(vmm_vm_set_irq(without.vm, 4, true), -ENXIO);
    tiny_free(&with);
    tiny_free(&without);
}

/* ---- messages, eventfds, routing ---------------------------------------- */

static void a_message_interrupts_the_guest(void **state)
{
    struct tiny_log log = TINY_LOG;
    struct tiny_guest g = start_waiting(state, &log);

    assert_int_equal(vmm_vm_signal_msi(g.vm, 0xfee00000, MESSAGE_VECTOR), 0);
    assert_int_equal(tiny_wait_writes(&log, 2), 'm');
    tiny_free(&g);
}

static void bump(int fd)
{
    assert_int_equal(eventfd_write(fd, 1), 0);
}

static void an_irqfd_pulses_its_line(void **state)
{
    struct tiny_log log = TINY_LOG;
    struct tiny_guest g = start_waiting(state, &log);
    int fd = eventfd(0, EFD_CLOEXEC);

    assert_ok(vmm_vm_irqfd(g.vm, fd, -1, 4, true, &err));
    for (unsigned i = 1; i <= 3; i++) {
        bump(fd);
        assert_int_equal(tiny_wait_writes(&log, 1 + i), 'i');
    }
    assert_ok(vmm_vm_irqfd(g.vm, fd, -1, 4, false, &err));
    tiny_free(&g);
    close(fd);
}

static void bad_irqfds_are_refused(void **state)
{
    struct tiny_guest g = tiny_new(state, "\xf4", 1, &irqchip);
    struct tiny_guest without = tiny_new(state, "\xf4", 1, NULL);
    int fd = eventfd(0, EFD_CLOEXEC);

    assert_refused(vmm_vm_irqfd(g.vm, -1, -1, 4, true, &err), EBADF,
                   "KVM_IRQFD of gsi 4: Bad file descriptor");
    assert_refused(vmm_vm_irqfd(without.vm, fd, -1, 4, true, &err), EINVAL,
                   "KVM_IRQFD of gsi 4 without an irqchip: Invalid argument");
    tiny_free(&g);
    tiny_free(&without);
    close(fd);
}

static void routing_turns_a_line_into_a_message(void **state)
{
    struct tiny_log log = TINY_LOG;
    struct tiny_guest g = start_waiting(state, &log);
    struct kvm_irq_routing_entry route = {
        .gsi = 30,
        .type = KVM_IRQ_ROUTING_MSI,
        .u.msi = {.address_lo = 0xfee00000, .data = MESSAGE_VECTOR},
    };
    int fd = eventfd(0, EFD_CLOEXEC);

    assert_ok(vmm_vm_set_routing(g.vm, &route, 1, &err));
    assert_ok(vmm_vm_irqfd(g.vm, fd, -1, 30, true, &err));
    bump(fd);
    assert_int_equal(tiny_wait_writes(&log, 2), 'm');
    tiny_free(&g);
    close(fd);
}

static void more_routes_than_kvm_takes_are_refused(void **state)
{
    struct tiny_guest g = tiny_new(state, "\xf4", 1, &irqchip);
    int most = vmm_kvm_capability(*state, KVM_CAP_IRQ_ROUTING);
    static const struct kvm_irq_routing_entry routes[1];
    char expected[80];

    snprintf(expected, sizeof(expected),
             "%d interrupt routes: KVM takes up to %d", most + 1, most);
    assert_refused(vmm_vm_set_routing(g.vm, routes, (size_t)most + 1, &err),
                   EINVAL, expected);
    tiny_free(&g);
}

static void a_device_s_route_keeps_all_others(void **state)
{
    struct tiny_log log = TINY_LOG;
    struct tiny_guest g = start_waiting(state, &log);
    struct vmm_msi_lines a, b;

    assert_ok(vmm_vm_msi_lines(g.vm, 24, 2, &a, &err));
    assert_ok(vmm_vm_msi_lines(g.vm, 1022, 2, &b, &err));
    assert_int_equal(a.route(a.context, 1, 0xfee00000, MESSAGE_VECTOR), 0);
    assert_int_equal(b.route(b.context, 0, 0xfee00000, MESSAGE_VECTOR + 1), 0);
    a.raise(a.context, 1);
    assert_int_equal(tiny_wait_writes(&log, 2), 'm');
    b.raise(b.context, 0); /* its ISR is the first one's neighbour */
    assert_int_equal(tiny_wait_writes(&log, 3), 'm');
    assert_int_equal(vmm_vm_set_irq(g.vm, 4, true), 0);
    assert_int_equal(tiny_wait_writes(&log, 4), 'i');
    tiny_free(&g);
}

static void what_others_raise_may_be_held_and_comes_as_one(void **state)
{
    struct tiny_log log = TINY_LOG;
    struct tiny_guest g = start_waiting(state, &log);
    struct vmm_msi_lines lines;

    assert_ok(vmm_vm_msi_lines(g.vm, 24, 2, &lines, &err));
    assert_int_equal(lines.route(lines.context, 1, 0xfee00000, MESSAGE_VECTOR),
                     0);
    int fd = lines.fd(lines.context, 1);
    bump(fd);
    assert_int_equal(tiny_wait_writes(&log, 2), 'm');

    lines.hold(lines.context, 1, true);
    assert_false(lines.kept(lines.context, 1, false));
    bump(fd);
    bump(fd);
    assert_true(lines.kept(lines.context, 1, false));
    lines.hold(lines.context, 1, false);
    assert_int_equal(tiny_wait_writes(&log, 3), 'm');

    /* And what has been taken does not come: the line's write is the next. */
    lines.hold(lines.context, 1, true);
    bump(fd);
    assert_true(lines.kept(lines.context, 1, true));
    assert_false(lines.kept(lines.context, 1, true));
    lines.hold(lines.context, 1, false);
    assert_int_equal(vmm_vm_set_irq(g.vm, 4, true), 0);
    assert_int_equal(tiny_wait_writes(&log, 4), 'i');
    tiny_free(&g);
}

static void gsis_of_messages_are_one_device_s(void **state)
{
    struct tiny_guest g = tiny_new(state, "\xf4", 1, &irqchip);
    struct vmm_msi_lines lines, other;

    assert_ok(vmm_vm_msi_lines(g.vm, 30, 4, &lines, &err));
    assert_refused(vmm_vm_msi_lines(g.vm, 28, 3, &other, &err), EBUSY,
                   "gsi 30 is in use");
    assert_refused(vmm_vm_msi_lines(g.vm, 23, 1, &other, &err), EINVAL,
                   "1 message(s) from gsi 23: 24 to 1023");
    assert_refused(vmm_vm_msi_lines(g.vm, 1023, 2, &other, &err), EINVAL,
                   "2 message(s) from gsi 1023: 24 to 1023");
    /* Refused, it has left nothing behind; closed, neither. */
    assert_ok(vmm_vm_msi_lines(g.vm, 28, 2, &other, &err));
    vmm_vm_msi_close(&lines);
    assert_ok(vmm_vm_msi_lines(g.vm, 30, 4, &lines, &err));
    tiny_free(&g);
}

/* ---- notifications ------------------------------------------------------ */

/* mov al, 5; out 0x42, al; mov al, 7; out 0x42, al; mov [0xf000...]; hlt */
static void
a_matching_port_write_wakes_the_eventfd_without_an_exit(void **state)
{
    static const uint8_t code[] = {0xb0, 7, 0xe6, 0x42, /* matches */
                                   0xb0, 5, 0xe6, 0x42, /* does not */
                                   0xf4};
    struct tiny_guest g = tiny_new(state, code, sizeof(code), NULL);
    struct vmm_ioeventfd at = {
        .address = 0x42, .len = 1, .pio = true, .match = true, .value = 7};
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    eventfd_t count = 0;

    assert_ok(vmm_vm_ioeventfd(g.vm, &at, fd, true, &err));
    struct vmm_exit exit = tiny_run(&g, VMM_EXIT_PIO_WRITE);
    assert_int_equal(exit.u.io.data[0], 5);
    assert_int_equal(eventfd_read(fd, &count), 0);
    assert_int_equal(count, 1);
    tiny_run(&g, VMM_EXIT_HALT);

    assert_ok(vmm_vm_ioeventfd(g.vm, &at, fd, false, &err));
    tiny_real_mode(g.vcpu);
    exit = tiny_run(&g, VMM_EXIT_PIO_WRITE);
    assert_int_equal(exit.u.io.data[0], 7);
    tiny_free(&g);
    close(fd);
}

static void a_memory_write_of_any_length_wakes_the_eventfd(void **state)
{
    /* mov ax, 0x2000; mov ds, ax; mov [0x50], al; mov [0x50], ax; hlt */
    static const uint8_t code[] = {0xb8, 0x00, 0x20, 0x8e, 0xd8, 0xa2,
                                   0x50, 0x00, 0xa3, 0x50, 0x00, 0xf4};
    struct tiny_guest g = tiny_new(state, code, sizeof(code), NULL);
    struct vmm_ioeventfd at = {.address = 0x20050};
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    eventfd_t count = 0;

    assert_ok(vmm_vm_ioeventfd(g.vm, &at, fd, true, &err));
    tiny_run(&g, VMM_EXIT_HALT);
    assert_int_equal(eventfd_read(fd, &count), 0);
    assert_int_equal(count, 2);
    tiny_free(&g);
    close(fd);
}

static void bad_ioeventfds_are_refused(void **state)
{
    static const struct {
        struct vmm_ioeventfd at;
        const char *text;
    } bad[] = {
        {{.address = 0xd0000000, .len = 3},
         "ioeventfd at memory 0xd0000000: length 3 is not one of 0, 1, 2, 4, "
         "8"},
        {{.address = 0x42, .len = 8, .pio = true},
         "ioeventfd at port 0x42: length 8 is not one of 0, 1, 2, 4"},
        {{.address = 0xfffd, .len = 4, .pio = true},
         "ioeventfd at port 0xfffd: ports end at 0xffff"},
        {{.address = 0x10000, .pio = true},
         "ioeventfd at port 0x10000: ports end at 0xffff"},
        {{.address = 0x42, .pio = true, .match = true},
         "ioeventfd at port 0x42: a value to match needs a length"},
        {{.address = 0x42, .len = 1, .pio = true, .match = true, .value = 256},
         "ioeventfd at port 0x42: value 0x100 does not fit in 1 bytes"},
    };
    struct tiny_guest g = tiny_new(state, "\xf4", 1, NULL);
    int fd = eventfd(0, EFD_CLOEXEC);

    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        assert_refused(vmm_vm_ioeventfd(g.vm, &bad[i].at, fd, true, &err),
                       EINVAL, bad[i].text);
    assert_refused(
        vmm_vm_ioeventfd(g.vm, &(struct vmm_ioeventfd){.address = 0xd0000000},
                         fd, false, &err),
        ENOENT,
        "KVM_IOEVENTFD at memory 0xd0000000: No such file or directory");
    tiny_free(&g);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_rise_of_a_line_interrupts_the_guest_once),
        cmocka_unit_test(lines_of_one_vm_do_not_mix),
        cmocka_unit_test(lines_that_cannot_work_are_refused),
        cmocka_unit_test(a_message_interrupts_the_guest),
        cmocka_unit_test(an_irqfd_pulses_its_line),
        cmocka_unit_test(bad_irqfds_are_refused),
        cmocka_unit_test(routing_turns_a_line_into_a_message),
        cmocka_unit_test(more_routes_than_kvm_takes_are_refused),
        cmocka_unit_test(a_device_s_route_keeps_all_others),
        cmocka_unit_test(what_others_raise_may_be_held_and_comes_as_one),
        cmocka_unit_test(gsis_of_messages_are_one_device_s),
        cmocka_unit_test(
            a_matching_port_write_wakes_the_eventfd_without_an_exit),
        cmocka_unit_test(a_memory_write_of_any_length_wakes_the_eventfd),
        cmocka_unit_test(bad_ioeventfds_are_refused),
    };

    return cmocka_run_group_tests(tests, tiny_open_kvm, tiny_close_kvm);
}
