/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Messages of devices: a GSI each, with an irqfd and a route.  KVM takes all
 * routes of a VM at once, so they are kept here, whoever's they are. */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/uio.h>
#include <unistd.h>

#include "kvm/internal.h"

/* What KVM routes to its chips by itself: GSIs 0 to 15 to both, up to 23 to the
 * IOAPIC.  A table of our own has to have them as well. */
#define PIC_PINS       8
#define PIC_GSIS       16
#define IOAPIC_PINS    24
#define CHIP_ROUTES    (PIC_GSIS + IOAPIC_PINS)
#define FIRST_MSI_GSI  IOAPIC_PINS
#define MSI_ROUTES_MAX (VMM_GSI_COUNT - FIRST_MSI_GSI)

static struct kvm_irq_routing_entry chip_route(uint32_t gsi, uint32_t chip,
                                               uint32_t pin)
{
    return (struct kvm_irq_routing_entry){
        .gsi = gsi,
        .type = KVM_IRQ_ROUTING_IRQCHIP,
        .u.irqchip = {.irqchip = chip, .pin = pin},
    };
}

static size_t chip_routes(struct kvm_irq_routing_entry *routes)
{
    size_t count = 0;

    for (uint32_t gsi = 0; gsi < IOAPIC_PINS; gsi++)
        routes[count++] = chip_route(gsi, KVM_IRQCHIP_IOAPIC, gsi);
    for (uint32_t gsi = 0; gsi < PIC_GSIS; gsi++)
        routes[count++] = chip_route(gsi,
                                     gsi < PIC_PINS ? KVM_IRQCHIP_PIC_MASTER
                                                    : KVM_IRQCHIP_PIC_SLAVE,
                                     gsi % PIC_PINS);
    return count;
}

/* Tell KVM of all routes.  routes_lock held. */
static int publish(struct vmm_vm *vm)
{
    struct kvm_irq_routing_entry routes[CHIP_ROUTES + MSI_ROUTES_MAX];
    size_t count = chip_routes(routes);

    for (uint32_t gsi = FIRST_MSI_GSI; gsi < VMM_GSI_COUNT; gsi++) {
        const struct vmm_irq_pin *pin = &vm->pins[gsi];

        if (!pin->routed)
            continue;
        routes[count] = (struct kvm_irq_routing_entry){
            .gsi = gsi, .type = KVM_IRQ_ROUTING_MSI};
        routes[count].u.msi.address_lo = (uint32_t)pin->message_address;
        routes[count].u.msi.address_hi = (uint32_t)(pin->message_address >> 32);
        routes[count++].u.msi.data = pin->message_data;
    }
    return vmm_vm_set_routing(vm, routes, count, NULL);
}

static int route(void *context, unsigned vector, uint64_t address,
                 uint32_t data)
{
    struct vmm_irq_pin *pin = (struct vmm_irq_pin *)context + vector;
    struct vmm_vm *vm = pin->vm;

    pthread_mutex_lock(&vm->routes_lock);
    struct vmm_irq_pin before = *pin;
    pin->routed = true;
    pin->message_address = address;
    pin->message_data = data;
    int r = publish(vm);
    if (r < 0) { /* KVM has kept its table */
        pin->routed = before.routed;
        pin->message_address = before.message_address;
        pin->message_data = before.message_data;
    }
    pthread_mutex_unlock(&vm->routes_lock);
    return r;
}

static void send_message(void *context, unsigned vector)
{
    const struct vmm_irq_pin *pin = (struct vmm_irq_pin *)context + vector;

    eventfd_write(pin->edge_fd, 1);
}

/* ---- for others to raise --------------------------------------------------
 */

static int message_fd(void *context, unsigned vector)
{
    return ((struct vmm_irq_pin *)context + vector)->edge_fd;
}

/* An eventfd that is no irqfd for a while counts; once it is one again, KVM
 * finds that it has been raised, and sends the message. */
static void hold(void *context, unsigned vector, bool on)
{
    const struct vmm_irq_pin *pin = (struct vmm_irq_pin *)context + vector;

    vmm_vm_irqfd(pin->vm, pin->edge_fd, -1, pin->gsi, !on, NULL);
}

/* Who has got the eventfd may have made it one that blocks. */
static bool kept(void *context, unsigned vector, bool take)
{
    const struct vmm_irq_pin *pin = (struct vmm_irq_pin *)context + vector;
    struct pollfd ready = {.fd = pin->edge_fd, .events = POLLIN};
    eventfd_t count;
    const struct iovec bytes = {&count, sizeof(count)};

    return take ? preadv2(pin->edge_fd, &bytes, 1, -1, RWF_NOWAIT) > 0
                : poll(&ready, 1, 0) == 1;
}

/* ---- the lines ------------------------------------------------------------
 */

static int open_pin(struct vmm_irq_pin *pin, struct vmm_error *err)
{
    if (pin->edge_fd >= 0)
        return vmm_error_set(err, EBUSY, "gsi %" PRIu32 " is in use", pin->gsi);
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (fd < 0)
        return vmm_error_errno(err, "eventfd");
    int r = vmm_vm_irqfd(pin->vm, fd, -1, pin->gsi, true, err);
    if (r < 0) {
        close(fd);
        return r;
    }
    pin->edge_fd = fd;
    return 0;
}

static void close_pin(struct vmm_irq_pin *pin)
{
    vmm_vm_irqfd(pin->vm, pin->edge_fd, -1, pin->gsi, false, NULL);
    close(pin->edge_fd);
    pin->edge_fd = -1;
    pin->routed = false;
}

static void close_pins(struct vmm_irq_pin *pins, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        close_pin(&pins[i]);
}

void vmm_vm_msi_close(const struct vmm_msi_lines *lines)
{
    struct vmm_irq_pin *pins = lines->context;

    pthread_mutex_lock(&pins->vm->routes_lock);
    close_pins(pins, lines->count);
    pthread_mutex_unlock(&pins->vm->routes_lock);
}

int vmm_vm_msi_lines(struct vmm_vm *vm, uint32_t first_gsi, unsigned count,
                     struct vmm_msi_lines *lines, struct vmm_error *err)
{
    int r = 0;

    vmm_error_clear(err);
    if (first_gsi < FIRST_MSI_GSI || count == 0 ||
        count > VMM_GSI_COUNT - first_gsi)
        return vmm_error_set(
            err, EINVAL, "%u message(s) from gsi %" PRIu32 ": %d to %d", count,
            first_gsi, FIRST_MSI_GSI, VMM_GSI_COUNT - 1);
    struct vmm_irq_pin *pins = &vm->pins[first_gsi];
    unsigned opened = 0;
    while (opened < count && (r = open_pin(&pins[opened], err)) == 0)
        opened++;
    if (r < 0) {
        close_pins(pins, opened);
        return r;
    }
    *lines = (struct vmm_msi_lines){.route = route,
                                    .raise = send_message,
                                    .context = pins,
                                    .count = count,
                                    .fd = message_fd,
                                    .hold = hold,
                                    .kept = kept};
    return 0;
}
