/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* KVM_SET_GUEST_DEBUG in our words, and a run that comes back in time. */
#include <errno.h>
#include <inttypes.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "kvm/internal.h"

#define NS_PER_S INT64_C(1000000000)

/* DR7 (Intel SDM volume 3, section 17.2.4): for register i the bits L(i) at
 * 2i + 1 (the global enable), R/W at 16 + 4i, LEN at 18 + 4i. */
#define DR7_GE    (UINT64_C(1) << 9)
#define DR7_FIXED (UINT64_C(1) << 10)

static uint64_t dr7_bits(unsigned i, enum vmm_hardware_break_kind kind,
                         uint8_t len)
{
    static const uint8_t access[] = {[VMM_HARDWARE_EXECUTE] = 0,
                                     [VMM_HARDWARE_WRITE] = 1,
                                     [VMM_HARDWARE_ACCESS] = 3};
    static const uint8_t lengths[] = {[1] = 0, [2] = 1, [4] = 3, [8] = 2};

    if (kind == VMM_HARDWARE_NONE)
        return 0;
    return UINT64_C(2) << 2 * i | (uint64_t)access[kind] << (16 + 4 * i) |
           (uint64_t)lengths[len] << (18 + 4 * i);
}

static bool is_valid(enum vmm_hardware_break_kind kind, uint64_t gva,
                     uint8_t len)
{
    switch (kind) {
    case VMM_HARDWARE_NONE:
        return true;
    case VMM_HARDWARE_EXECUTE:
        return len == 1;
    case VMM_HARDWARE_WRITE:
    case VMM_HARDWARE_ACCESS:
        return (len == 1 || len == 2 || len == 4 || len == 8) && gva % len == 0;
    }
    return false;
}

/* Interrupts are blocked only by kernels that know how: others refuse. */
static uint32_t block_irqs(const struct vmm_vcpu *vcpu)
{
    int known = ioctl(vcpu->vm->fd, KVM_CHECK_EXTENSION,
                      (unsigned long)KVM_CAP_SET_GUEST_DEBUG2);

    return known > 0 ? (uint32_t)known & KVM_GUESTDBG_BLOCKIRQ : 0;
}

static uint32_t control_of(const struct vmm_vcpu *vcpu,
                           const struct vmm_vcpu_debug *debug)
{
    uint32_t control = 0;

    if (debug->software)
        control |= KVM_GUESTDBG_USE_SW_BP;
    if (debug->hardware)
        control |= KVM_GUESTDBG_USE_HW_BP;
    if (debug->single_step)
        control |= KVM_GUESTDBG_SINGLESTEP;
    if (debug->block_irqs)
        control |= block_irqs(vcpu);
    if (control)
        control |= KVM_GUESTDBG_ENABLE;
    if (debug->inject_breakpoint)
        control |= KVM_GUESTDBG_INJECT_BP;
    if (debug->inject_debug)
        control |= KVM_GUESTDBG_INJECT_DB;
    return control;
}

int vmm_vcpu_set_debug(struct vmm_vcpu *vcpu,
                       const struct vmm_vcpu_debug *debug,
                       struct vmm_error *err)
{
    struct kvm_guest_debug state = {.control = control_of(vcpu, debug)};

    vmm_error_clear(err);
    state.arch.debugreg[7] = DR7_FIXED | DR7_GE;
    for (unsigned i = 0; i < VMM_HARDWARE_BREAKS; i++) {
        if (!is_valid(debug->at[i].kind, debug->at[i].gva, debug->at[i].len))
            return vmm_error_set(
                err, EINVAL,
                "hardware breakpoint %u: %u bytes at 0x%" PRIx64
                " can't be watched",
                i, debug->at[i].len, debug->at[i].gva);
        state.arch.debugreg[i] = debug->at[i].gva;
        state.arch.debugreg[7] |=
            dr7_bits(i, debug->at[i].kind, debug->at[i].len);
    }
    int r = vmm_vcpu_hold_held(vcpu, "debug it", err);
    if (r < 0)
        return r;
    if (ioctl(vcpu->fd, KVM_SET_GUEST_DEBUG, &state) < 0)
        r = vmm_error_errno(err, "vCPU %" PRIu32 ": KVM_SET_GUEST_DEBUG",
                            vcpu->id);
    vmm_vcpu_release(vcpu);
    return r;
}

int vmm_vcpu_place(struct vmm_vcpu *vcpu, uint64_t *rip, uint64_t *rsp,
                   struct vmm_error *err)
{
    struct kvm_regs regs;
    struct kvm_sregs sregs;

    vmm_error_clear(err);
    int r = vmm_vcpu_hold_held(vcpu, "tell where it is", err);
    if (r < 0)
        return r;
    if (ioctl(vcpu->fd, KVM_GET_REGS, &regs) < 0 ||
        ioctl(vcpu->fd, KVM_GET_SREGS, &sregs) < 0)
        r = vmm_error_errno(err, "vCPU %" PRIu32 ": its registers", vcpu->id);
    vmm_vcpu_release(vcpu);
    if (r < 0)
        return r;
    *rip = regs.rip + (sregs.cs.l ? 0 : sregs.cs.base);
    *rsp = regs.rsp;
    return 0;
}

/* Send the kick signal to the calling thread after limit_ns, and again and
 * again, for the first one may come just before KVM_RUN. */
static int start_alarm(int signal_number, int64_t limit_ns, timer_t *timer)
{
    struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID,
                             .sigev_signo = signal_number};
    struct itimerspec times = {
        .it_value = {.tv_sec = limit_ns / NS_PER_S,
                     .tv_nsec = limit_ns % NS_PER_S},
        .it_interval = {.tv_nsec = NS_PER_S / 100},
    };

    event._sigev_un._tid = (pid_t)syscall(SYS_gettid);
    if (timer_create(CLOCK_MONOTONIC, &event, timer) < 0)
        return -errno;
    if (timer_settime(*timer, 0, &times, NULL) == 0)
        return 0;
    int r = -errno;
    timer_delete(*timer);
    return r;
}

int vmm_vcpu_run_limited(struct vmm_vcpu *vcpu, struct vmm_exit *exit,
                         int64_t limit_ns, struct vmm_error *err)
{
    int signal_number = VMM_KICK_SIGNAL;
    timer_t timer;

    vmm_error_clear(err);
    if (vmm_vcpu_is_self(vcpu))
        signal_number = vcpu->config.kick_signal;
    int r = vmm_vcpu_install_kick(signal_number, err);
    if (r < 0)
        return r;
    r = start_alarm(signal_number, limit_ns > 0 ? limit_ns : 1, &timer);
    if (r < 0)
        return vmm_error_set(err, -r, "vCPU %" PRIu32 ": no timer", vcpu->id);
    r = vmm_vcpu_run_once(vcpu, exit, err);
    timer_delete(timer);
    return r;
}
