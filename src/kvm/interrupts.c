/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Interrupts into a VM and notifications out of it: lines, MSI, eventfds. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "kvm/internal.h"

int vmm_vm_set_irq(struct vmm_vm *vm, uint32_t gsi, bool level)
{
    struct kvm_irq_level line = {.irq = gsi, .level = level};

    return ioctl(vm->fd, KVM_IRQ_LINE, &line) < 0 ? -errno : 0;
}

/* A device has nobody to tell of an error; vmm_vm_irq_line has ruled out
 * those that KVM_IRQ_LINE knows. */
static void drive_line(void *context, bool level)
{
    const struct vmm_irq_pin *pin = context;

    vmm_vm_set_irq(pin->vm, pin->gsi, level);
}

/* Each rise is one write, in whatever thread; nothing is to be done at a fall.
 */
static void pulse_edge(void *context, bool level)
{
    const struct vmm_irq_pin *pin = context;

    if (level)
        eventfd_write(pin->edge_fd, 1);
}

static int check_gsi(const struct vmm_vm *vm, uint32_t gsi,
                     struct vmm_error *err)
{
    vmm_error_clear(err);
    if (gsi >= VMM_GSI_COUNT)
        return vmm_error_set(err, EINVAL, "irq line %" PRIu32 ": 0 to %d", gsi,
                             VMM_GSI_COUNT - 1);
    if (!vm->has_irqchip)
        return vmm_error_set(err, ENXIO,
                             "irq line %" PRIu32
                             ": this VM has no irqchip; create it first",
                             gsi);
    return 0;
}

int vmm_vm_irq_line(struct vmm_vm *vm, uint32_t gsi, struct vmm_irq_line *line,
                    struct vmm_error *err)
{
    int r = check_gsi(vm, gsi, err);

    if (r < 0)
        return r;
    *line = (struct vmm_irq_line){
        .set = drive_line,
        .context = &vm->pins[gsi],
    };
    return 0;
}

int vmm_vm_edge_line(struct vmm_vm *vm, uint32_t gsi, struct vmm_irq_line *line,
                     struct vmm_error *err)
{
    int r = check_gsi(vm, gsi, err);

    if (r < 0)
        return r;
    struct vmm_irq_pin *pin = &vm->pins[gsi];
    if (pin->edge_fd < 0) {
        int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (fd < 0)
            return vmm_error_errno(err, "eventfd");
        r = vmm_vm_irqfd(vm, fd, -1, gsi, true, err);
        if (r < 0) {
            close(fd);
            return r;
        }
        pin->edge_fd = fd;
    }
    *line = (struct vmm_irq_line){.set = pulse_edge, .context = pin};
    return 0;
}

int vmm_vm_signal_msi(struct vmm_vm *vm, uint64_t address, uint32_t data)
{
    struct kvm_msi msi = {
        .address_lo = (uint32_t)address,
        .address_hi = (uint32_t)(address >> 32),
        .data = data,
    };

    return ioctl(vm->fd, KVM_SIGNAL_MSI, &msi) < 0 ? -errno : 0;
}

int vmm_vm_irqfd(struct vmm_vm *vm, int event_fd, int resample_fd, uint32_t gsi,
                 bool assign, struct vmm_error *err)
{
    struct kvm_irqfd irqfd = {
        .fd = (uint32_t)event_fd,
        .gsi = gsi,
    };

    vmm_error_clear(err);
    if (!assign)
        irqfd.flags |= KVM_IRQFD_FLAG_DEASSIGN;
    if (assign && resample_fd >= 0) {
        irqfd.flags |= KVM_IRQFD_FLAG_RESAMPLE;
        irqfd.resamplefd = (uint32_t)resample_fd;
    }
    if (ioctl(vm->fd, KVM_IRQFD, &irqfd) < 0)
        return vmm_error_errno(err, "KVM_IRQFD of gsi %" PRIu32 "%s", gsi,
                               vm->has_irqchip ? "" : " without an irqchip");
    return 0;
}

int vmm_vm_set_routing(struct vmm_vm *vm,
                       const struct kvm_irq_routing_entry *entries,
                       size_t count, struct vmm_error *err)
{
    struct kvm_irq_routing *table;
    int r = 0;

    vmm_error_clear(err);
    size_t most = (size_t)vmm_kvm_capability(vm->kvm, KVM_CAP_IRQ_ROUTING);
    if (count > most)
        return vmm_error_set(err, EINVAL,
                             "%zu interrupt routes: KVM takes up to %zu", count,
                             most);

    table = calloc(1, sizeof(*table) + count * sizeof(*entries));
    if (!table)
        return vmm_error_set(err, ENOMEM, "out of memory");
    table->nr = (uint32_t)count;
    if (count > 0)
        memcpy(table->entries, entries, count * sizeof(*entries));
    if (ioctl(vm->fd, KVM_SET_GSI_ROUTING, table) < 0)
        r = vmm_error_errno(err, "KVM_SET_GSI_ROUTING of %zu entries%s", count,
                            vm->has_irqchip ? "" : " without an irqchip");
    free(table);
    return r;
}

static int check_ioeventfd(const struct vmm_ioeventfd *at,
                           struct vmm_error *err)
{
    const char *space = at->pio ? "port" : "memory";
    uint32_t len = at->len;
    bool len_fits =
        len == 0 || len == 1 || len == 2 || len == 4 || (len == 8 && !at->pio);

    if (!len_fits)
        return vmm_error_set(err, EINVAL,
                             "ioeventfd at %s 0x%" PRIx64 ": length %" PRIu32
                             " is not one of 0, 1, 2, 4%s",
                             space, at->address, len, at->pio ? "" : ", 8");
    if (at->pio && at->address > 0x10000u - (len ? len : 1))
        return vmm_error_set(
            err, EINVAL, "ioeventfd at port 0x%" PRIx64 ": ports end at 0xffff",
            at->address);
    if (at->match && len == 0)
        return vmm_error_set(err, EINVAL,
                             "ioeventfd at %s 0x%" PRIx64
                             ": a value to match needs a length",
                             space, at->address);
    if (at->match && len < 8 && at->value >> (8 * len))
        return vmm_error_set(err, EINVAL,
                             "ioeventfd at %s 0x%" PRIx64 ": value 0x%" PRIx64
                             " does not fit in %" PRIu32 " bytes",
                             space, at->address, at->value, len);
    return 0;
}

int vmm_vm_ioeventfd(struct vmm_vm *vm, const struct vmm_ioeventfd *at,
                     int event_fd, bool assign, struct vmm_error *err)
{
    vmm_error_clear(err);

    int r = check_ioeventfd(at, err);
    if (r < 0)
        return r;

    struct kvm_ioeventfd ioeventfd = {
        .datamatch = at->match ? at->value : 0,
        .addr = at->address,
        .len = at->len,
        .fd = event_fd,
        .flags = (at->match ? KVM_IOEVENTFD_FLAG_DATAMATCH : 0) |
                 (at->pio ? KVM_IOEVENTFD_FLAG_PIO : 0) |
                 (assign ? 0 : KVM_IOEVENTFD_FLAG_DEASSIGN),
    };
    if (ioctl(vm->fd, KVM_IOEVENTFD, &ioeventfd) < 0)
        return vmm_error_errno(err, "KVM_IOEVENTFD at %s 0x%" PRIx64,
                               at->pio ? "port" : "memory", at->address);
    return 0;
}
