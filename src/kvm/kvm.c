/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* The system fd: opening /dev/kvm and what it says of this host. */
#include <cpuid.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "kvm/internal.h"

#define KVM_PATH "/dev/kvm"

static int open_failed(const char *path, struct vmm_error *err)
{
    switch (errno) {
    case ENOENT:
        return vmm_error_set(
            err, ENOENT,
            "%s does not exist: load the kvm_intel or kvm_amd module, or let "
            "this machine's hypervisor or container pass KVM through; without "
            "either, run the same command under `vmm-reference lab`",
            path);
    case EACCES:
    case EPERM:
        return vmm_error_set(
            err, errno,
            "%s: permission denied: add this user to the group that owns it "
            "(usermod -aG kvm NAME, then log in again), or run as root",
            path);
    case ENODEV:
    case ENXIO:
        return vmm_error_set(
            err, errno,
            "%s has no driver behind it: load the kvm_intel or kvm_amd module",
            path);
    default:
        return vmm_error_errno(err, "open %s", path);
    }
}

static int check_extension(void *context, int capability)
{
    return vmm_kvm_capability(context, capability);
}

/* API version, capabilities and the size of kvm_run. */
static int probe(struct vmm_kvm *kvm, const char *path, struct vmm_error *err)
{
    int version = ioctl(kvm->fd, KVM_GET_API_VERSION, 0);

    if (version < 0)
        return vmm_error_errno(err, "%s is not KVM: KVM_GET_API_VERSION", path);
    if (version != KVM_API_VERSION)
        return vmm_error_set(err, ENOTSUP,
                             "%s speaks KVM API version %d, need %d", path,
                             version, KVM_API_VERSION);

    int r = vmm_kvm_check_required(check_extension, kvm, err);
    if (r < 0)
        return r;

    int bytes = ioctl(kvm->fd, KVM_GET_VCPU_MMAP_SIZE, 0);
    if (bytes < 0)
        return vmm_error_errno(err, "KVM_GET_VCPU_MMAP_SIZE");
    if ((size_t)bytes < sizeof(struct kvm_run))
        return vmm_error_set(err, ENOTSUP,
                             "KVM_GET_VCPU_MMAP_SIZE: %d bytes, need %zu",
                             bytes, sizeof(struct kvm_run));
    kvm->run_bytes = (size_t)bytes;
    return 0;
}

int vmm_kvm_open(const char *path, struct vmm_kvm **out, struct vmm_error *err)
{
    vmm_error_clear(err);
    if (!path)
        path = KVM_PATH;

    struct vmm_kvm *kvm = calloc(1, sizeof(*kvm));
    if (!kvm)
        return vmm_error_set(err, ENOMEM, "out of memory");
    pthread_mutex_init(&kvm->cpuid_lock, NULL);

    int r;
    kvm->fd = open(path, O_RDWR | O_CLOEXEC);
    if (kvm->fd < 0)
        r = open_failed(path, err);
    else
        r = probe(kvm, path, err);
    if (r < 0) {
        vmm_kvm_close(kvm);
        return r;
    }
    *out = kvm;
    return 0;
}

void vmm_kvm_close(struct vmm_kvm *kvm)
{
    if (!kvm)
        return;
    if (kvm->fd >= 0)
        close(kvm->fd);
    free(kvm->supported_cpuid);
    pthread_mutex_destroy(&kvm->cpuid_lock);
    free(kvm);
}

int vmm_kvm_fd(const struct vmm_kvm *kvm)
{
    return kvm->fd;
}

int vmm_kvm_capability(const struct vmm_kvm *kvm, int capability)
{
    int r = ioctl(kvm->fd, KVM_CHECK_EXTENSION, capability);

    return r < 0 ? 0 : r;
}

bool vmm_kvm_hardware(void)
{
    unsigned eax, ebx, ecx, edx;

    /* Intel SDM vol. 2A, CPUID.1:ECX[5] VMX. */
    if (__get_cpuid(1, &eax, &ebx, &ecx, &edx) && (ecx & (1u << 5)))
        return true;
    /* AMD APM vol. 3, CPUID Fn8000_0001_ECX[2] SVM. */
    return __get_cpuid(0x80000001, &eax, &ebx, &ecx, &edx) && (ecx & (1u << 2));
}

static int fetch_supported_cpuid(struct vmm_kvm *kvm, struct vmm_error *err)
{
    struct kvm_cpuid2 *cpuid = calloc(
        1, sizeof(*cpuid) + VMM_CPUID_ENTRIES_MAX * sizeof(*cpuid->entries));

    if (!cpuid)
        return vmm_error_set(err, ENOMEM, "out of memory");
    cpuid->nent = VMM_CPUID_ENTRIES_MAX;
    if (ioctl(kvm->fd, KVM_GET_SUPPORTED_CPUID, cpuid) < 0) {
        int r = vmm_error_errno(err, "KVM_GET_SUPPORTED_CPUID");
        free(cpuid);
        return r;
    }
    kvm->supported_cpuid = cpuid;
    return 0;
}

int vmm_kvm_supported_cpuid(struct vmm_kvm *kvm,
                            const struct kvm_cpuid2 **cpuid,
                            struct vmm_error *err)
{
    int r = 0;

    vmm_error_clear(err);
    pthread_mutex_lock(&kvm->cpuid_lock);
    if (!kvm->supported_cpuid)
        r = fetch_supported_cpuid(kvm, err);
    *cpuid = kvm->supported_cpuid;
    pthread_mutex_unlock(&kvm->cpuid_lock);
    return r;
}

int vmm_kvm_msr_list(const struct vmm_kvm *kvm, uint32_t *indices,
                     size_t *count, struct vmm_error *err)
{
    size_t room = *count < VMM_MSRS_MAX ? *count : VMM_MSRS_MAX;
    struct kvm_msr_list *list =
        calloc(1, sizeof(*list) + room * sizeof(*list->indices));
    int r = 0;

    vmm_error_clear(err);
    if (!list)
        return vmm_error_set(err, ENOMEM, "out of memory");
    list->nmsrs = (uint32_t)room;
    if (ioctl(kvm->fd, KVM_GET_MSR_INDEX_LIST, list) < 0)
        r = vmm_error_errno(err, "KVM_GET_MSR_INDEX_LIST, room for %zu", room);
    else
        memcpy(indices, list->indices, list->nmsrs * sizeof(*indices));
    *count = list->nmsrs;
    free(list);
    return r;
}
