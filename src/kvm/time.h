/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* The parts of which a guest's time is set back or ahead; machine/time.c has
 * the order. */
#ifndef KVM_TIME_H
#define KVM_TIME_H

#include <vmm/vcpu.h>

/* The VM's clock when the thread was paused; 0: it is not paused, or none is
 * known.  -EBUSY while it runs. */
int vmm_vcpu_paused_clock(struct vmm_vcpu *vcpu, uint64_t *ns,
                          struct vmm_error *err);

/* Set the VM's clock (of kvmclock) back to to_ns, never forward.  *by_ns: by
 * how much. */
int vmm_vm_set_clock_back(struct vmm_vm *vm, uint64_t to_ns, uint64_t *by_ns,
                          struct vmm_error *err);

/* Set the same clock ahead. */
int vmm_vm_set_clock_ahead(struct vmm_vm *vm, uint64_t by_ns,
                           struct vmm_error *err);

/* Set a vCPU's TSC back; the local APIC's timer, when it waits for a TSC
 * deadline, comes as much later. */
int vmm_vcpu_set_tsc_back(struct vmm_vcpu *vcpu, uint64_t by_ns,
                          struct vmm_error *err);

/* Set it ahead; such a timer comes as much sooner, at once if it is due. */
int vmm_vcpu_set_tsc_ahead(struct vmm_vcpu *vcpu, uint64_t by_ns,
                           struct vmm_error *err);

/* Whether the local APIC's timer was counting down when the vCPU was paused.
 * If so, set it back to that count; no interrupt may come meanwhile. */
bool vmm_vcpu_timer_counts(struct vmm_vcpu *vcpu);
int vmm_vcpu_set_timer_back(struct vmm_vcpu *vcpu, struct vmm_error *err);

#endif
