/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* A VM fd: its memory slots and the interrupt controllers KVM emulates. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "kvm/internal.h"

/*
 * Guest-physical pages that KVM takes once there is an irqchip:
 *
 *   0xfec00000  IOAPIC
 *   0xfee00000  local APIC
 *   0xfffbc000  identity-mapped page table, for real mode on older VMX
 *   0xfffbd000  task state segment, three pages, likewise
 *
 * The last two are where we tell KVM to put them: the pages below what a BIOS
 * of 256 KiB would take.
 */
#define IDENTITY_MAP_GPA 0xfffbc000ull
#define TSS_GPA          0xfffbd000ull

static const struct kvm_page {
    const char *name;
    vmm_gpa_t base;
    uint64_t size_bytes;
} kvm_pages[] = {
    {"the IOAPIC", 0xfec00000, 0x1000},
    {"the local APIC", 0xfee00000, 0x1000},
    {"KVM's identity map", IDENTITY_MAP_GPA, 0x1000},
    {"KVM's task state segment", TSS_GPA, 0x3000},
};

static int create_vm(int kvm_fd)
{
    int fd;

    /* A signal may cut the creation short, without side effect. */
    do
        fd = ioctl(kvm_fd, KVM_CREATE_VM, 0);
    while (fd < 0 && errno == EINTR);
    return fd;
}

int vmm_vm_new(struct vmm_kvm *kvm, struct vmm_vm **out, struct vmm_error *err)
{
    vmm_error_clear(err);

    struct vmm_vm *vm = calloc(1, sizeof(*vm));
    if (!vm)
        return vmm_error_set(err, ENOMEM, "out of memory");
    vm->kvm = kvm;
    vm->fd = create_vm(kvm->fd);
    if (vm->fd < 0) {
        int r = vmm_error_errno(err, "KVM_CREATE_VM");
        free(vm);
        return r;
    }
    pthread_mutex_init(&vm->routes_lock, NULL);
    for (uint32_t gsi = 0; gsi < VMM_GSI_COUNT; gsi++)
        vm->pins[gsi] =
            (struct vmm_irq_pin){.vm = vm, .gsi = gsi, .edge_fd = -1};
    *out = vm;
    return 0;
}

void vmm_vm_free(struct vmm_vm *vm)
{
    if (!vm)
        return;
    /*
     * The slots go with the fd; only then may the memory be unmapped.  Since
     * Linux 6.18 this waits some 15 ms for SRCU when the VM got its irqchip
     * or an ioeventfd less than that ago; else it takes 0.3 ms.
     */
    close(vm->fd);
    for (uint32_t gsi = 0; gsi < VMM_GSI_COUNT; gsi++)
        if (vm->pins[gsi].edge_fd >= 0)
            close(vm->pins[gsi].edge_fd);
    vmm_memory_unref(vm->memory);
    pthread_mutex_destroy(&vm->routes_lock);
    free(vm);
}

int vmm_vm_fd(const struct vmm_vm *vm)
{
    return vm->fd;
}

struct vmm_kvm *vmm_vm_kvm(const struct vmm_vm *vm)
{
    return vm->kvm;
}

struct vmm_memory *vmm_vm_memory(const struct vmm_vm *vm)
{
    return vm->memory;
}

bool vmm_vm_has_irqchip(const struct vmm_vm *vm)
{
    return vm->has_irqchip;
}

/* Size 0 removes the slot. */
static int set_slot(struct vmm_vm *vm, size_t slot, vmm_gpa_t base,
                    uint64_t size_bytes, const void *host)
{
    struct kvm_userspace_memory_region region = {
        .slot = (uint32_t)slot,
        .guest_phys_addr = base,
        .memory_size = size_bytes,
        .userspace_addr = (uintptr_t)host,
    };

    return ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &region);
}

int vmm_vm_map(struct vmm_vm *vm, struct vmm_memory *memory,
               struct vmm_error *err)
{
    vmm_error_clear(err);
    if (vm->memory)
        return vmm_error_set(err, EBUSY, "this VM's memory is mapped already");
    if (vm->has_irqchip)
        return vmm_error_set(err, EBUSY,
                             "map memory before creating the irqchip: "
                             "afterwards each slot takes 7 ms");

    size_t count = vmm_memory_region_count(memory);
    for (size_t i = 0; i < count; i++) {
        struct vmm_memory_region r = vmm_memory_region(memory, i);

        if (set_slot(vm, i, r.base, r.size_bytes, r.host) == 0)
            continue;
        int code =
            vmm_error_errno(err,
                            "KVM_SET_USER_MEMORY_REGION of slot %zu, 0x%" PRIx64
                            " bytes at 0x%" PRIx64,
                            i, r.size_bytes, r.base);
        while (i-- > 0)
            set_slot(vm, i, 0, 0, NULL);
        return code;
    }
    vm->memory = vmm_memory_ref(memory);
    return 0;
}

/* RAM under a page that KVM takes would fail at the first vCPU, with EEXIST
 * and no word why. */
static int check_kvm_pages(const struct vmm_vm *vm, struct vmm_error *err)
{
    size_t count = vm->memory ? vmm_memory_region_count(vm->memory) : 0;

    for (size_t i = 0; i < count; i++) {
        struct vmm_memory_region r = vmm_memory_region(vm->memory, i);

        for (size_t k = 0; k < sizeof(kvm_pages) / sizeof(*kvm_pages); k++) {
            const struct kvm_page *page = &kvm_pages[k];

            if (r.base < page->base + page->size_bytes &&
                page->base < r.base + r.size_bytes)
                return vmm_error_set(
                    err, EINVAL,
                    "guest memory of 0x%" PRIx64 " bytes at 0x%" PRIx64
                    " covers %s at 0x%" PRIx64
                    ": leave 0xd0000000 to 0xffffffff free",
                    r.size_bytes, r.base, page->name, page->base);
        }
    }
    return 0;
}

static int create_pit(struct vmm_vm *vm, struct vmm_error *err)
{
    /* The flag lets KVM answer port 0x61 too, by which guests calibrate. */
    struct kvm_pit_config config = {.flags = KVM_PIT_SPEAKER_DUMMY};

    if (!vmm_kvm_capability(vm->kvm, KVM_CAP_PIT2))
        return vmm_error_set(err, ENOTSUP,
                             "this kernel's KVM lacks KVM_CAP_PIT2");
    if (ioctl(vm->fd, KVM_CREATE_PIT2, &config) < 0)
        return vmm_error_errno(err, "KVM_CREATE_PIT2");
    vm->has_pit = true;
    return 0;
}

int vmm_vm_create_irqchip(struct vmm_vm *vm,
                          const struct vmm_irqchip_config *config,
                          struct vmm_error *err)
{
    uint64_t identity_map = IDENTITY_MAP_GPA;

    vmm_error_clear(err);
    if (vm->has_irqchip)
        return vmm_error_set(err, EEXIST, "this VM has an irqchip already");
    if (atomic_load(&vm->vcpu_count) > 0)
        return vmm_error_set(err, EBUSY,
                             "create the irqchip before the first vCPU");

    int r = check_kvm_pages(vm, err);
    if (r < 0)
        return r;
    if (ioctl(vm->fd, KVM_SET_TSS_ADDR, TSS_GPA) < 0)
        return vmm_error_errno(err, "KVM_SET_TSS_ADDR");
    if (ioctl(vm->fd, KVM_SET_IDENTITY_MAP_ADDR, &identity_map) < 0)
        return vmm_error_errno(err, "KVM_SET_IDENTITY_MAP_ADDR");
    if (ioctl(vm->fd, KVM_CREATE_IRQCHIP, 0) < 0)
        return vmm_error_errno(err, "KVM_CREATE_IRQCHIP");
    vm->has_irqchip = true;
    return config && config->pit ? create_pit(vm, err) : 0;
}
