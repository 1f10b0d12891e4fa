/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/*
 * A VMM in C alone, on libvmm: some bytes of real-mode code talk to a serial
 * port, and halt.
 *
 *   cc hello.c $(pkg-config --cflags --libs vmm) -o hello && ./hello
 */
#include <linux/kvm.h>
#include <stdio.h>
#include <stdlib.h>

#include <vmm/machine.h>
#include <vmm/memory.h>

#define CODE_GPA 0x1000
#define COM1     0x3f8

static const uint8_t code[] = {
    0xbe, 0x0f, 0x10, /* mov si, text */
    0xba, 0xf8, 0x03, /* mov dx, COM1 */
    0xac,             /* next: lodsb */
    0x84, 0xc0,       /* test al, al */
    0x74, 0x03,       /* jz done */
    0xee,             /* out dx, al */
    0xeb, 0xf8,       /* jmp next */
    0xf4,             /* done: hlt */
    'H',  'e',  'l',  'l', 'o', ' ', 'f', 'r', 'o', 'm', ' ', 'C', '\n', 0,
};

static struct vmm_error err;

static void check(int result)
{
    if (result < 0) {
        fprintf(stderr, "hello: %s\n", err.text);
        exit(EXIT_FAILURE);
    }
}

/* What the guest sends.  On the vCPU's thread: a VMM for slow places to print
 * to has a console of vmm/console.h here, which never blocks. */
static size_t print(void *context, const uint8_t *bytes, size_t len)
{
    return fwrite(bytes, 1, len, context);
}

static size_t no_input(void *context, uint8_t *bytes, size_t max)
{
    (void)context, (void)bytes, (void)max;
    return 0;
}

static void add_serial_port(struct vmm_machine *machine)
{
    struct vmm_serial_config config = {
        .output = print, .pull = no_input, .context = stdout};
    struct vmm_device *serial;

    check(vmm_serial_new(&config, &serial, &err));
    check(vmm_bus_add(vmm_machine_pio(machine), COM1, 8, serial, 0, &err));
    vmm_device_unref(serial); /* the bus has it now */
}

/* A vCPU that begins in real mode at 0:CODE_GPA. */
static void add_vcpu(struct vmm_machine *machine)
{
    struct kvm_regs regs = {.rip = CODE_GPA, .rflags = 2};
    struct kvm_sregs sregs;
    struct vmm_vcpu *vcpu;

    check(vmm_machine_add_vcpu(machine, 0, &vcpu, &err));
    check(vmm_vcpu_get_sregs(vcpu, &sregs, &err));
    sregs.cs.base = 0;
    sregs.cs.selector = 0;
    check(vmm_vcpu_set_sregs(vcpu, &sregs, &err));
    check(vmm_vcpu_set_regs(vcpu, &regs, &err));
}

int main(void)
{
    struct vmm_memory_range range = {0, 0x10000};
    struct vmm_memory_config config = {.ranges = &range, .range_count = 1};
    struct vmm_memory *memory;
    struct vmm_machine *machine;
    struct vmm_kvm *kvm;
    struct vmm_stop stop;

    check(vmm_kvm_open(NULL, &kvm, &err));
    check(vmm_machine_new(kvm, "hello", &machine, &err));
    check(vmm_memory_new(&config, &memory, &err));
    check(vmm_vm_map(vmm_machine_vm(machine), memory, &err));
    check(vmm_memory_write(memory, CODE_GPA, code, sizeof(code)));
    add_serial_port(machine);
    add_vcpu(machine);

    check(vmm_machine_start(machine, &err));
    vmm_machine_wait(machine, -1);
    vmm_machine_stopped(machine, &stop);
    printf("the guest ended: %s\n", vmm_stop_reason_name(stop.reason));

    vmm_machine_free(machine);
    vmm_memory_unref(memory);
    vmm_kvm_close(kvm);
    return stop.reason == VMM_STOP_HALT ? EXIT_SUCCESS : EXIT_FAILURE;
}
