/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* The guest's time across a pause: noted when vCPUs stop, and set back. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/ioctl.h>

#include <vmm/loop.h>

#include "kvm/internal.h"
#include "kvm/time.h"

#define NS_PER_MS 1000000

#define MSR_TSC_DEADLINE 0x6e0

/* The local APIC's page, and its timer's mode (SDM 3A, section 11.5.4). */
enum {
    LVT_TIMER = 0x320,
    TIMER_INITIAL_COUNT = 0x380,
    TIMER_CURRENT_COUNT = 0x390,

    TIMER_MODE = 3 << 17,
    TIMER_MODE_DEADLINE = 2 << 17,
};

static uint32_t lapic_read(const struct kvm_lapic_state *lapic, size_t offset)
{
    uint32_t value;

    memcpy(&value, lapic->regs + offset, sizeof(value));
    return value;
}

/* A timer that counts down: one-shot or periodic, and started. */
static bool counts_down(const struct kvm_lapic_state *lapic)
{
    return (lapic_read(lapic, LVT_TIMER) & TIMER_MODE) != TIMER_MODE_DEADLINE &&
           lapic_read(lapic, TIMER_INITIAL_COUNT) != 0;
}

static int get_clock(const struct vmm_vm *vm, uint64_t *ns)
{
    struct kvm_clock_data clock = {0};

    if (ioctl(vm->fd, KVM_GET_CLOCK, &clock) < 0)
        return -errno;
    *ns = clock.clock;
    return 0;
}

/* ---- at the pause -------------------------------------------------------- */

void vmm_vcpu_note_time(struct vmm_vcpu *vcpu)
{
    struct kvm_lapic_state lapic;

    struct kvm_device_attr offset = {
        .group = KVM_VCPU_TSC_CTRL,
        .attr = KVM_VCPU_TSC_OFFSET,
        .addr = (uintptr_t)&vcpu->paused_offset,
    };

    vcpu->paused_clock = 0;
    vcpu->timer_count = 0;
    if (!vcpu->vm || get_clock(vcpu->vm, &vcpu->paused_clock) < 0 ||
        ioctl(vcpu->fd, KVM_GET_DEVICE_ATTR, &offset) < 0)
        return;
    if (vcpu->vm->has_irqchip && ioctl(vcpu->fd, KVM_GET_LAPIC, &lapic) == 0 &&
        counts_down(&lapic))
        vcpu->timer_count = lapic_read(&lapic, TIMER_CURRENT_COUNT);
}

/* A guest whose watchdog then finds much time gone by asks whether it was
 * stopped.  Nobody to tell: its kvmclock is not in use. */
void vmm_vcpu_tell_paused(struct vmm_vcpu *vcpu)
{
    if (vcpu->vm)
        ioctl(vcpu->fd, KVM_KVMCLOCK_CTRL);
}

int vmm_vcpu_paused_clock(struct vmm_vcpu *vcpu, uint64_t *ns,
                          struct vmm_error *err)
{
    vmm_error_clear(err);
    int r = vmm_vcpu_hold(vcpu, "set its time back", err);
    if (r < 0)
        return r;
    /* In a handler its own thread holds it: it goes on, with time as it is. */
    if (vcpu->state == VMM_VCPU_RUNNING || vcpu->state == VMM_VCPU_STOPPING)
        r = vmm_error_set(err, EBUSY,
                          "vCPU %" PRIu32 " is in a handler: its time goes on",
                          vcpu->id);
    *ns = vcpu->state == VMM_VCPU_PAUSED ? vcpu->paused_clock : 0;
    vmm_vcpu_release(vcpu);
    return r;
}

/* ---- setting back, or ahead ------------------------------------------------
 */

/*
 * The clock goes on while it is read and set.  How far it was set back is what
 * it lacks of the host's time between two readings, one before and one after:
 * the TSCs have to go back by just that.
 */
int vmm_vm_set_clock_back(struct vmm_vm *vm, uint64_t to_ns, uint64_t *by_ns,
                          struct vmm_error *err)
{
    struct kvm_clock_data clock = {.clock = to_ns};
    uint64_t before = 0, after = 0;

    vmm_error_clear(err);
    *by_ns = 0;
    uint64_t start = vmm_now_ns();
    int r = get_clock(vm, &before);
    if (r == 0 && before <= to_ns)
        return 0;
    if (r == 0 && ioctl(vm->fd, KVM_SET_CLOCK, &clock) < 0)
        r = -errno;
    if (r == 0)
        r = get_clock(vm, &after);
    if (r < 0)
        return vmm_error_set(err, -r, "KVM can't set the VM's clock back: %s",
                             strerror(-r));
    int64_t missing =
        (int64_t)(vmm_now_ns() - start) - (int64_t)(after - before);
    *by_ns = missing > 0 ? (uint64_t)missing : 0;
    return 0;
}

int vmm_vm_set_clock_ahead(struct vmm_vm *vm, uint64_t by_ns,
                           struct vmm_error *err)
{
    struct kvm_clock_data clock = {0};
    uint64_t now = 0;

    vmm_error_clear(err);
    int r = get_clock(vm, &now);
    if (r == 0) {
        clock.clock = now + by_ns;
        if (ioctl(vm->fd, KVM_SET_CLOCK, &clock) < 0)
            r = -errno;
    }
    if (r < 0)
        return vmm_error_set(err, -r, "KVM can't set the VM's clock ahead: %s",
                             strerror(-r));
    return 0;
}

/* KVM has computed when the deadline comes with the offset of that time: given
 * it anew, it computes it anew.  One that has passed comes at once; 0 is none,
 * or another mode of the timer. */
static int renew_deadline(struct vmm_vcpu *vcpu, struct vmm_error *err)
{
    struct kvm_msr_entry deadline = {.index = MSR_TSC_DEADLINE};

    if (vmm_vcpu_get_msrs(vcpu, &deadline, 1, NULL) < 0 || !deadline.data)
        return 0;
    return vmm_vcpu_set_msrs(vcpu, &deadline, 1, err);
}

/*
 * From the offset as noted: where the host's TSC is unstable, KVM has the
 * guest's stand still while the vCPU does not run, and only later catch up.
 */
static int move_tsc(struct vmm_vcpu *vcpu, uint64_t by_ns, bool ahead,
                    struct vmm_error *err)
{
    uint32_t khz;
    size_t size = sizeof(khz);

    int r = vmm_vcpu_get_state(vcpu, "tsc_khz", &khz, &size, err);
    if (r < 0)
        return r;
    uint64_t ticks =
        by_ns / NS_PER_MS * khz + by_ns % NS_PER_MS * khz / NS_PER_MS;
    /* Both wrap around, as the TSC does. */
    uint64_t offset = vcpu->paused_offset + (ahead ? ticks : -ticks);
    r = vmm_vcpu_set_state(vcpu, "tsc_offset", &offset, sizeof(offset), err);
    if (r < 0)
        return r;
    vcpu->paused_offset = offset;
    return renew_deadline(vcpu, err);
}

int vmm_vcpu_set_tsc_back(struct vmm_vcpu *vcpu, uint64_t by_ns,
                          struct vmm_error *err)
{
    return move_tsc(vcpu, by_ns, false, err);
}

int vmm_vcpu_set_tsc_ahead(struct vmm_vcpu *vcpu, uint64_t by_ns,
                           struct vmm_error *err)
{
    return move_tsc(vcpu, by_ns, true, err);
}

bool vmm_vcpu_timer_counts(struct vmm_vcpu *vcpu)
{
    if (vmm_vcpu_hold(vcpu, "set its timer back", NULL) < 0)
        return false;
    bool counts = vcpu->timer_count != 0;
    vmm_vcpu_release(vcpu);
    return counts;
}

/* All but the count is as it is now: interrupts have come since the pause. */
int vmm_vcpu_set_timer_back(struct vmm_vcpu *vcpu, struct vmm_error *err)
{
    struct kvm_lapic_state lapic;
    size_t size = sizeof(lapic);

    int r = vmm_vcpu_get_state(vcpu, "lapic", &lapic, &size, err);
    if (r < 0 || !counts_down(&lapic))
        return r;
    memcpy(lapic.regs + TIMER_CURRENT_COUNT, &vcpu->timer_count,
           sizeof(vcpu->timer_count));
    return vmm_vcpu_set_state(vcpu, "lapic", &lapic, size, err);
}
