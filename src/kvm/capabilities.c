/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* KVM's capabilities by name, and which of them every VM of ours needs. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "kvm/internal.h"

struct capability {
    const char *name; /* without KVM_CAP_ */
    int number;
};

#define CAP(name)                                                              \
    {                                                                          \
#name, KVM_CAP_##name                                                  \
    }

/* Those of x86 and of all architectures (linux/kvm.h; the kernel's
 * Documentation/virt/kvm/api.rst says what each means). */
static const struct capability capabilities[] = {
    CAP(IRQCHIP),
    CAP(HLT),
    CAP(MMU_SHADOW_CACHE_CONTROL),
    CAP(USER_MEMORY),
    CAP(SET_TSS_ADDR),
    CAP(VAPIC),
    CAP(EXT_CPUID),
    CAP(CLOCKSOURCE),
    CAP(NR_VCPUS),
    CAP(NR_MEMSLOTS),
    CAP(PIT),
    CAP(NOP_IO_DELAY),
    CAP(PV_MMU),
    CAP(MP_STATE),
    CAP(COALESCED_MMIO),
    CAP(SYNC_MMU),
    CAP(IOMMU),
    CAP(DESTROY_MEMORY_REGION_WORKS),
    CAP(USER_NMI),
    CAP(SET_GUEST_DEBUG),
    CAP(REINJECT_CONTROL),
    CAP(IRQ_ROUTING),
    CAP(IRQ_INJECT_STATUS),
    CAP(JOIN_MEMORY_REGIONS_WORKS),
    CAP(MCE),
    CAP(IRQFD),
    CAP(PIT2),
    CAP(SET_BOOT_CPU_ID),
    CAP(PIT_STATE2),
    CAP(IOEVENTFD),
    CAP(SET_IDENTITY_MAP_ADDR),
    CAP(XEN_HVM),
    CAP(ADJUST_CLOCK),
    CAP(INTERNAL_ERROR_DATA),
    CAP(VCPU_EVENTS),
    CAP(HYPERV),
    CAP(HYPERV_VAPIC),
    CAP(HYPERV_SPIN),
    CAP(PCI_SEGMENT),
    CAP(INTR_SHADOW),
    CAP(DEBUGREGS),
    CAP(X86_ROBUST_SINGLESTEP),
    CAP(ENABLE_CAP),
    CAP(XSAVE),
    CAP(XCRS),
    CAP(ASYNC_PF),
    CAP(TSC_CONTROL),
    CAP(GET_TSC_KHZ),
    CAP(MAX_VCPUS),
    CAP(ONE_REG),
    CAP(TSC_DEADLINE_TIMER),
    CAP(SYNC_REGS),
    CAP(PCI_2_3),
    CAP(KVMCLOCK_CTRL),
    CAP(SIGNAL_MSI),
    CAP(READONLY_MEM),
    CAP(IRQFD_RESAMPLE),
    CAP(DEVICE_CTRL),
    CAP(EXT_EMUL_CPUID),
    CAP(HYPERV_TIME),
    CAP(IOAPIC_POLARITY_IGNORED),
    CAP(ENABLE_CAP_VM),
    CAP(IOEVENTFD_NO_LENGTH),
    CAP(VM_ATTRIBUTES),
    CAP(CHECK_EXTENSION_VM),
    CAP(DISABLE_QUIRKS),
    CAP(X86_SMM),
    CAP(MULTI_ADDRESS_SPACE),
    CAP(GUEST_DEBUG_HW_BPS),
    CAP(GUEST_DEBUG_HW_WPS),
    CAP(SPLIT_IRQCHIP),
    CAP(IOEVENTFD_ANY_LENGTH),
    CAP(HYPERV_SYNIC),
    CAP(VCPU_ATTRIBUTES),
    CAP(MAX_VCPU_ID),
    CAP(X2APIC_API),
    CAP(MSI_DEVID),
    CAP(IMMEDIATE_EXIT),
    CAP(X86_DISABLE_EXITS),
    CAP(HYPERV_SYNIC2),
    CAP(HYPERV_VP_INDEX),
    CAP(GET_MSR_FEATURES),
    CAP(HYPERV_EVENTFD),
    CAP(HYPERV_TLBFLUSH),
    CAP(NESTED_STATE),
    CAP(MSR_PLATFORM_INFO),
    CAP(HYPERV_SEND_IPI),
    CAP(COALESCED_PIO),
    CAP(HYPERV_ENLIGHTENED_VMCS),
    CAP(EXCEPTION_PAYLOAD),
    CAP(MANUAL_DIRTY_LOG_PROTECT),
    CAP(HYPERV_CPUID),
    CAP(MANUAL_DIRTY_LOG_PROTECT2),
    CAP(PMU_EVENT_FILTER),
    CAP(HYPERV_DIRECT_TLBFLUSH),
    CAP(HALT_POLL),
    CAP(ASYNC_PF_INT),
    CAP(LAST_CPU),
    CAP(SMALLER_MAXPHYADDR),
    CAP(STEAL_TIME),
    CAP(X86_USER_SPACE_MSR),
    CAP(X86_MSR_FILTER),
    CAP(ENFORCE_PV_FEATURE_CPUID),
    CAP(SYS_HYPERV_CPUID),
    CAP(DIRTY_LOG_RING),
    CAP(X86_BUS_LOCK_EXIT),
    CAP(SET_GUEST_DEBUG2),
    CAP(SGX_ATTRIBUTE),
    CAP(VM_COPY_ENC_CONTEXT_FROM),
    CAP(PTP_KVM),
    CAP(HYPERV_ENFORCE_CPUID),
    CAP(SREGS2),
    CAP(EXIT_HYPERCALL),
    CAP(BINARY_STATS_FD),
    CAP(EXIT_ON_EMULATION_FAILURE),
    CAP(VM_MOVE_ENC_CONTEXT_FROM),
    CAP(VM_GPA_BITS),
    CAP(XSAVE2),
    CAP(SYS_ATTRIBUTES),
    CAP(PMU_CAPABILITY),
    CAP(DISABLE_QUIRKS2),
    CAP(VM_TSC_CONTROL),
    CAP(SYSTEM_EVENT_DATA),
    CAP(X86_TRIPLE_FAULT_EVENT),
    CAP(X86_NOTIFY_VMEXIT),
    CAP(VM_DISABLE_NX_HUGE_PAGES),
    CAP(DIRTY_LOG_RING_ACQ_REL),
};

/* Without these no VM of ours runs; what only some use (PIT2, XSAVE2, ...) is
 * asked for where it is used. */
static const int required[] = {
    KVM_CAP_IRQCHIP,
    KVM_CAP_USER_MEMORY,
    KVM_CAP_DESTROY_MEMORY_REGION_WORKS,
    KVM_CAP_SET_TSS_ADDR,
    KVM_CAP_SET_IDENTITY_MAP_ADDR,
    KVM_CAP_EXT_CPUID,
    KVM_CAP_MP_STATE,
    KVM_CAP_IRQ_ROUTING,
    KVM_CAP_IRQFD,
    KVM_CAP_IOEVENTFD,
    KVM_CAP_SIGNAL_MSI,
    KVM_CAP_IMMEDIATE_EXIT,
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

const char *vmm_kvm_capability_name(int capability)
{
    for (size_t i = 0; i < COUNT(capabilities); i++)
        if (capabilities[i].number == capability)
            return capabilities[i].name;
    return NULL;
}

int vmm_kvm_capability_number(const char *name)
{
    static const char prefix[] = "KVM_CAP_";

    if (strncasecmp(name, prefix, sizeof(prefix) - 1) == 0)
        name += sizeof(prefix) - 1;
    for (size_t i = 0; i < COUNT(capabilities); i++)
        if (strcasecmp(capabilities[i].name, name) == 0)
            return capabilities[i].number;
    return -ENOENT;
}

int vmm_kvm_check_required(int (*check)(void *context, int capability),
                           void *context, struct vmm_error *err)
{
    char missing[400] = "";
    size_t used = 0;

    for (size_t i = 0; i < COUNT(required); i++) {
        if (check(context, required[i]) > 0)
            continue;
        int n =
            snprintf(missing + used, sizeof(missing) - used, "%sKVM_CAP_%s",
                     used ? ", " : "", vmm_kvm_capability_name(required[i]));
        used += (size_t)n < sizeof(missing) - used ? (size_t)n : 0;
    }
    if (used == 0)
        return 0;
    return vmm_error_set(err, ENOTSUP, "this kernel's KVM lacks %s", missing);
}
