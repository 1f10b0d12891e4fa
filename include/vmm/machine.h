/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* A whole VM: KVM VM, buses, vCPU threads, one I/O thread, and how it ended. */
#ifndef VMM_MACHINE_H
#define VMM_MACHINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vmm/bus.h>
#include <vmm/devices.h>
#include <vmm/error.h>
#include <vmm/export.h>
#include <vmm/kvm.h>
#include <vmm/loop.h>
#include <vmm/vcpu.h>

struct vmm_machine;

/* Create the KVM VM, both buses and the I/O loop.  kvm must outlive it. */
VMM_API int vmm_machine_new(struct vmm_kvm *kvm, const char *name,
                            struct vmm_machine **machine,
                            struct vmm_error *err);
/* Stop, join, free everything.  Idempotent on NULL.  -EDEADLK (and nothing
 * freed) from one of its vCPU threads. */
VMM_API int vmm_machine_free(struct vmm_machine *machine);

VMM_API const char *vmm_machine_name(const struct vmm_machine *machine);
VMM_API struct vmm_vm *vmm_machine_vm(struct vmm_machine *machine);
VMM_API struct vmm_bus *vmm_machine_pio(struct vmm_machine *machine);
VMM_API struct vmm_bus *vmm_machine_mmio(struct vmm_machine *machine);
VMM_API struct vmm_loop *vmm_machine_loop(struct vmm_machine *machine);

/* Ids need not be dense; at most 1024 vCPUs. */
VMM_API int vmm_machine_add_vcpu(struct vmm_machine *machine, uint32_t id,
                                 struct vmm_vcpu **vcpu, struct vmm_error *err);
VMM_API size_t vmm_machine_vcpu_count(const struct vmm_machine *machine);
VMM_API struct vmm_vcpu *vmm_machine_vcpu(const struct vmm_machine *machine,
                                          size_t index);

/* ---- life ---------------------------------------------------------------- */

/* Start the I/O thread and every vCPU.  Once.  _paused: no instruction runs
 * before the first resume. */
VMM_API int vmm_machine_start(struct vmm_machine *machine,
                              struct vmm_error *err);
VMM_API int vmm_machine_start_paused(struct vmm_machine *machine,
                                     struct vmm_error *err);
/* Pause every vCPU and wait until none runs (timeout_ns < 0: for ever);
 * resume.  From a vCPU thread of its own, pause only asks.  After -ETIMEDOUT
 * the request stands: wait again, or resume.  -ECANCELED: a vCPU has been
 * resumed by somebody else meanwhile. */
VMM_API int vmm_machine_pause(struct vmm_machine *machine, int64_t timeout_ns);
VMM_API int vmm_machine_resume(struct vmm_machine *machine);
/*
 * Of a paused machine, before it is resumed: have the guest's time go on from
 * where it stood when the last vCPU was paused: kvmclock, TSCs, and the timers
 * of local APICs and PIT.  (The RTC is the host's clock and goes on.)  Without
 * this call, time has gone on meanwhile.  *by_ns: how long it has stood still.
 * -EBUSY while a vCPU runs; -ENOTSUP, and nothing is changed, where KVM cannot
 * move a TSC.
 */
VMM_API int vmm_machine_stand_still(struct vmm_machine *machine,
                                    uint64_t *by_ns, struct vmm_error *err);

/*
 * Of a paused machine, before it is resumed: have the guest's time leap ahead:
 * kvmclock, TSCs, and the timers of local APICs that wait for a TSC deadline.
 * (PIT, counting timers and the RTC stay as they are.)  Nothing happens before
 * the first instruction.  -EBUSY while a vCPU runs; -ENOTSUP, and nothing is
 * changed, where KVM cannot move a TSC.
 */
VMM_API int vmm_machine_step_time(struct vmm_machine *machine, uint64_t by_ns,
                                  struct vmm_error *err);

/* How it ended. */
enum vmm_stop_reason {
    VMM_STOP_NONE, /* it has not */
    VMM_STOP_REBOOT,
    VMM_STOP_POWEROFF,
    VMM_STOP_PANIC,
    VMM_STOP_TRIPLE_FAULT,
    VMM_STOP_HALT,
    VMM_STOP_ERROR,
    VMM_STOP_CLOSED,
};
VMM_API const char *vmm_stop_reason_name(enum vmm_stop_reason reason);
struct vmm_stop {
    enum vmm_stop_reason reason;
    char text[VMM_ERROR_TEXT_BYTES]; /* why, for humans; "" when obvious */
};

/* Ask for the end, from any thread: the first reason wins. */
VMM_API void vmm_machine_stop(struct vmm_machine *machine,
                              enum vmm_stop_reason reason, const char *format,
                              ...) __attribute__((format(printf, 3, 4)));
/* Wait until every vCPU thread has finished.  -ETIMEDOUT. */
VMM_API int vmm_machine_wait(struct vmm_machine *machine, int64_t timeout_ns);
/* What is known now; reason VMM_STOP_NONE while it lives. */
VMM_API void vmm_machine_stopped(struct vmm_machine *machine,
                                 struct vmm_stop *stop);
/* Readable (and stays so) once every vCPU thread has finished. */
VMM_API int vmm_machine_stopped_fd(const struct vmm_machine *machine);

/* A line for i8042 and ACPI: reset stops with "reboot", off with "poweroff". */
VMM_API void vmm_machine_power_line(struct vmm_machine *machine,
                                    struct vmm_power_line *line);

/* ---- exits ----------------------------------------------------------------
 */

/*
 * One exit by the default table: PIO and MMIO to the buses, HLT, triple fault,
 * system events and errors to vmm_machine_stop.  Returns 0 to go on, 1 when
 * the vCPU should finish.  This is what the vCPU threads call; a loop of one's
 * own around vmm_vcpu_run_once may call it as well.
 */
VMM_API int vmm_machine_dispatch(struct vmm_machine *machine,
                                 struct vmm_vcpu *vcpu, struct vmm_exit *exit);

/*
 * Asked about exits the table has no taker for: accesses no device wants, MSR
 * exits, debug, hypercalls, unknown ones.  Return 0 to go on, 1 to let the
 * default happen (unclaimed accesses read as all-ones, MSRs raise #GP; the rest
 * stops the VM with an error).  Set before start.
 */
VMM_API void vmm_machine_set_hook(struct vmm_machine *machine,
                                  int (*hook)(void *context,
                                              struct vmm_vcpu *vcpu,
                                              struct vmm_exit *exit),
                                  void *context);

/* Exits so far, by type, over all vCPUs. */
VMM_API void vmm_machine_exit_counts(const struct vmm_machine *machine,
                                     uint64_t counts[VMM_EXIT_TYPES]);

#endif
