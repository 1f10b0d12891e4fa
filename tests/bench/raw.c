/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/*
 * The yardstick of `make bench`: the least KVM program that does what the
 * product does to run a flat 32-bit guest, and nothing else.
 *
 *   raw first IMAGE          the first byte that the guest sends on COM1 goes
 *                            to stdout
 *   raw exits IMAGE COUNT    COUNT becomes the image's loop count; prints the
 *                            microseconds of CPU time from the first KVM_RUN
 *                            to the guest's HLT, by exit
 *
 * With "first" the VM has an in-kernel irqchip, as machines have; with "exits"
 * it has none, so that HLT comes out.
 */
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define RAM_BYTES    (256u << 20)
#define LOAD_GPA     0x100000u
#define COUNT_OFFSET 4u /* in the image of a loop guest */
#define CPUID_MAX    256

struct raw {
    int kvm, vm, vcpu;
    uint8_t *ram;
    struct kvm_run *run;
};

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static int call(int fd, unsigned long request, void *argument, const char *what)
{
    int ret = ioctl(fd, request, argument);

    if (ret < 0)
        die(what);
    return ret;
}

static uint64_t cpu_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void create_vm(struct raw *raw, bool irqchip)
{
    struct kvm_userspace_memory_region slot = {.memory_size = RAM_BYTES};
    uint64_t identity_map = 0xfffbc000;

    raw->kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    if (raw->kvm < 0)
        die("/dev/kvm");
    if (call(raw->kvm, KVM_GET_API_VERSION, NULL, "KVM_GET_API_VERSION") != 12)
        die("KVM API version");
    raw->vm = call(raw->kvm, KVM_CREATE_VM, NULL, "KVM_CREATE_VM");
    raw->ram = mmap(NULL, RAM_BYTES, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (raw->ram == MAP_FAILED)
        die("mmap");
    slot.userspace_addr = (uintptr_t)raw->ram;
    call(raw->vm, KVM_SET_USER_MEMORY_REGION, &slot,
         "KVM_SET_USER_MEMORY_REGION");
    if (!irqchip)
        return;
    if (ioctl(raw->vm, KVM_SET_TSS_ADDR, 0xfffbd000ul) < 0)
        die("KVM_SET_TSS_ADDR");
    call(raw->vm, KVM_SET_IDENTITY_MAP_ADDR, &identity_map,
         "KVM_SET_IDENTITY_MAP_ADDR");
    call(raw->vm, KVM_CREATE_IRQCHIP, NULL, "KVM_CREATE_IRQCHIP");
}

static void create_vcpu(struct raw *raw)
{
    struct {
        struct kvm_cpuid2 head;
        struct kvm_cpuid_entry2 entries[CPUID_MAX];
    } cpuid = {.head.nent = CPUID_MAX};
    int bytes;

    raw->vcpu = call(raw->vm, KVM_CREATE_VCPU, NULL, "KVM_CREATE_VCPU");
    bytes =
        call(raw->kvm, KVM_GET_VCPU_MMAP_SIZE, NULL, "KVM_GET_VCPU_MMAP_SIZE");
    raw->run = mmap(NULL, (size_t)bytes, PROT_READ | PROT_WRITE, MAP_SHARED,
                    raw->vcpu, 0);
    if (raw->run == MAP_FAILED)
        die("mmap of kvm_run");
    call(raw->kvm, KVM_GET_SUPPORTED_CPUID, &cpuid, "KVM_GET_SUPPORTED_CPUID");
    call(raw->vcpu, KVM_SET_CPUID2, &cpuid, "KVM_SET_CPUID2");
}

/* 32-bit protected mode, flat segments, no paging. */
static void set_registers(struct raw *raw)
{
    struct kvm_regs regs = {.rip = LOAD_GPA, .rsp = 0x8ff0, .rflags = 2};
    struct kvm_segment code = {.limit = 0xffffffff,
                               .selector = 0x10,
                               .type = 11,
                               .present = 1,
                               .db = 1,
                               .s = 1,
                               .g = 1};
    struct kvm_segment data = code;
    struct kvm_sregs sregs;

    data.selector = 0x18;
    data.type = 3;
    call(raw->vcpu, KVM_GET_SREGS, &sregs, "KVM_GET_SREGS");
    sregs.cs = code;
    sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = data;
    sregs.cr0 |= 1; /* PE */
    call(raw->vcpu, KVM_SET_SREGS, &sregs, "KVM_SET_SREGS");
    call(raw->vcpu, KVM_SET_REGS, &regs, "KVM_SET_REGS");
}

static void load(struct raw *raw, const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        die(path);
    if (read(fd, raw->ram + LOAD_GPA, RAM_BYTES - LOAD_GPA) <= 0)
        die(path);
    close(fd);
}

static void first_exit(const struct raw *raw)
{
    const struct kvm_run *run = raw->run;

    call(raw->vcpu, KVM_RUN, NULL, "KVM_RUN");
    if (run->exit_reason != KVM_EXIT_IO || run->io.port != 0x3f8) {
        fprintf(stderr, "raw: unexpected exit %u\n", run->exit_reason);
        exit(1);
    }
    if (write(1, (const uint8_t *)run + run->io.data_offset, 1) != 1)
        die("stdout");
}

/* What a VMM cannot avoid: look at the exit, count, run again. */
static void count_exits(struct raw *raw, uint32_t count)
{
    uint64_t begin = cpu_ns();
    uint32_t exits = 0;

    for (;;) {
        call(raw->vcpu, KVM_RUN, NULL, "KVM_RUN");
        if (raw->run->exit_reason != KVM_EXIT_IO &&
            raw->run->exit_reason != KVM_EXIT_MMIO)
            break;
        exits++;
    }
    if (raw->run->exit_reason != KVM_EXIT_HLT || exits != count) {
        fprintf(stderr, "raw: exit %u after %u exits of %u\n",
                raw->run->exit_reason, exits, count);
        exit(1);
    }
    printf("%.3f\n", (double)(cpu_ns() - begin) / 1e3 / count);
}

int main(int argc, char **argv)
{
    bool exits = argc == 4 && strcmp(argv[1], "exits") == 0;
    bool first = argc == 3 && strcmp(argv[1], "first") == 0;
    struct raw raw;

    if (!exits && !first) {
        fputs("usage: raw first IMAGE | raw exits IMAGE COUNT\n", stderr);
        return 2;
    }
    create_vm(&raw, first);
    load(&raw, argv[2]);
    create_vcpu(&raw);
    set_registers(&raw);
    if (first) {
        first_exit(&raw);
    } else {
        uint32_t count = (uint32_t)strtoul(argv[3], NULL, 10);

        memcpy(raw.ram + LOAD_GPA + COUNT_OFFSET, &count, sizeof(count));
        count_exits(&raw, count);
    }
    return 0;
}
