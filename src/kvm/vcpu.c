/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* A vCPU fd: its kvm_run page, one run at a time, and small requests to it. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "kvm/internal.h"

static int enter_kvm(struct vmm_vcpu *vcpu)
{
    return ioctl(vcpu->fd, KVM_RUN, 0) < 0 ? -errno : 0;
}

int vmm_vcpu_init(struct vmm_vcpu *vcpu, uint32_t id, struct kvm_run *run,
                  int (*enter)(struct vmm_vcpu *vcpu))
{
    pthread_condattr_t attr;

    vcpu->id = id;
    vcpu->run = run;
    vcpu->enter = enter;
    vcpu->state = VMM_VCPU_NO_THREAD;

    int r = pthread_mutex_init(&vcpu->lock, NULL);
    if (r)
        return -r;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    r = pthread_cond_init(&vcpu->changed, &attr);
    pthread_condattr_destroy(&attr);
    if (r)
        pthread_mutex_destroy(&vcpu->lock);
    return -r;
}

void vmm_vcpu_fini(struct vmm_vcpu *vcpu)
{
    pthread_cond_destroy(&vcpu->changed);
    pthread_mutex_destroy(&vcpu->lock);
}

static int create(struct vmm_vm *vm, uint32_t id, struct vmm_error *err)
{
    int fd = ioctl(vm->fd, KVM_CREATE_VCPU, (unsigned long)id);

    if (fd >= 0)
        return fd;
    if (errno == EEXIST)
        return vmm_error_set(err, EEXIST,
                             "this VM has a vCPU %" PRIu32 " already", id);
    return vmm_error_errno(err, "KVM_CREATE_VCPU %" PRIu32, id);
}

int vmm_vcpu_new(struct vmm_vm *vm, uint32_t id, struct vmm_vcpu **out,
                 struct vmm_error *err)
{
    int r;

    vmm_error_clear(err);
    if (id > VMM_VCPU_ID_MAX)
        return vmm_error_set(err, EINVAL, "vCPU id %" PRIu32 ": 0 to %d", id,
                             VMM_VCPU_ID_MAX);

    struct vmm_vcpu *vcpu = calloc(1, sizeof(*vcpu));
    if (!vcpu)
        return vmm_error_set(err, ENOMEM, "out of memory");
    vcpu->vm = vm;
    vcpu->run_bytes = vm->kvm->run_bytes;

    vcpu->fd = create(vm, id, err);
    if (vcpu->fd < 0) {
        r = vcpu->fd;
        goto free_vcpu;
    }
    void *run = mmap(NULL, vcpu->run_bytes, PROT_READ | PROT_WRITE, MAP_SHARED,
                     vcpu->fd, 0);
    if (run == MAP_FAILED) {
        r = vmm_error_errno(err, "mmap of vCPU %" PRIu32 "'s kvm_run", id);
        goto close_fd;
    }
    r = vmm_vcpu_init(vcpu, id, run, enter_kvm);
    if (r < 0) {
        vmm_error_set(err, -r, "vCPU %" PRIu32 ": no mutex", id);
        goto unmap;
    }
    atomic_fetch_add(&vm->vcpu_count, 1);
    *out = vcpu;
    return 0;

unmap:
    munmap(run, vcpu->run_bytes);
close_fd:
    close(vcpu->fd);
free_vcpu:
    free(vcpu);
    return r;
}

void vmm_vcpu_free(struct vmm_vcpu *vcpu)
{
    /* Its own thread can't wait for itself: nothing is freed then. */
    if (!vcpu || vmm_vcpu_join(vcpu) < 0)
        return;
    vmm_vcpu_fini(vcpu);
    /* The mapping refers to the VM: left behind, it would keep it alive. */
    munmap(vcpu->run, vcpu->run_bytes);
    close(vcpu->fd);
    atomic_fetch_sub(&vcpu->vm->vcpu_count, 1);
    free(vcpu);
}

uint32_t vmm_vcpu_id(const struct vmm_vcpu *vcpu)
{
    return vcpu->id;
}

int vmm_vcpu_fd(const struct vmm_vcpu *vcpu)
{
    return vcpu->fd;
}

static int run_failed(const struct vmm_vcpu *vcpu, int r, struct vmm_error *err)
{
    errno = -r;
    return vmm_error_errno(
        err, "vCPU %" PRIu32 ": KVM_RUN%s", vcpu->id,
        r == -EFAULT ? " met guest memory the host can't provide" : "");
}

/* Somebody may wait for it to be out of the guest. */
static void tell_left(struct vmm_vcpu *vcpu)
{
    pthread_mutex_lock(&vcpu->lock);
    if (atomic_exchange(&vcpu->in_turn, false) && vcpu->holds)
        vmm_vcpu_kick_locked(vcpu);
    pthread_cond_broadcast(&vcpu->changed);
    pthread_mutex_unlock(&vcpu->lock);
}

int vmm_vcpu_step(struct vmm_vcpu *vcpu, struct vmm_exit *exit,
                  struct vmm_error *err)
{
    if (!vcpu->exit_ready) {
        atomic_store(&vcpu->entered, true);
        int r = vcpu->enter(vcpu);
        atomic_store(&vcpu->entered, false);

        if (__atomic_load_n(&vcpu->run->immediate_exit, __ATOMIC_SEQ_CST) ||
            atomic_load(&vcpu->in_turn))
            tell_left(vcpu);
        if (r == -EINTR || r == -EAGAIN) {
            /* exit_reason is stale now; what was pending is completed. */
            vcpu->io_pending = false;
            exit->type = VMM_EXIT_NONE;
            exit->number = KVM_EXIT_INTR;
            return 0;
        }
        if (r < 0)
            return run_failed(vcpu, r, err);
    }
    vcpu->exit_ready = false;
    vcpu->io_pending = vmm_exit_decode(vcpu->run, exit);
    return 0;
}

int vmm_vcpu_settle(struct vmm_vcpu *vcpu, struct vmm_error *err)
{
    uint8_t *immediate_exit = &vcpu->run->immediate_exit;

    if (vcpu->exit_ready)
        return -EAGAIN;
    if (!vcpu->io_pending)
        return 0;

    uint8_t kicked = __atomic_exchange_n(immediate_exit, 1, __ATOMIC_SEQ_CST);
    int r = vcpu->enter(vcpu);
    __atomic_store_n(immediate_exit, kicked, __ATOMIC_SEQ_CST);

    if (r == 0) {
        /* An access in several pieces: the next piece wants its handler. */
        vcpu->exit_ready = true;
        return -EAGAIN;
    }
    if (r != -EINTR && r != -EAGAIN)
        return run_failed(vcpu, r, err);
    vcpu->io_pending = false;
    return 0;
}

static int lock_stopped(struct vmm_vcpu *vcpu, bool held_suffices,
                        const char *doing, struct vmm_error *err)
{
    pthread_mutex_lock(&vcpu->lock);
    if (vmm_vcpu_is_self(vcpu))
        return 0;
    if (!vcpu->borrowed && vcpu->state != VMM_VCPU_RUNNING &&
        vcpu->state != VMM_VCPU_STOPPING)
        return 0;
    if (held_suffices && !vcpu->borrowed && vcpu->holds) {
        /* It may look in, and come out at once, or have a turn. */
        while (atomic_load(&vcpu->entered) || atomic_load(&vcpu->in_turn))
            pthread_cond_wait(&vcpu->changed, &vcpu->lock);
        return 0;
    }
    pthread_mutex_unlock(&vcpu->lock);
    return vmm_error_set(err, EBUSY, "vCPU %" PRIu32 " runs: pause it to %s",
                         vcpu->id, doing);
}

int vmm_vcpu_hold(struct vmm_vcpu *vcpu, const char *doing,
                  struct vmm_error *err)
{
    return lock_stopped(vcpu, false, doing, err);
}

int vmm_vcpu_hold_held(struct vmm_vcpu *vcpu, const char *doing,
                       struct vmm_error *err)
{
    return lock_stopped(vcpu, true, doing, err);
}

void vmm_vcpu_release(struct vmm_vcpu *vcpu)
{
    pthread_mutex_unlock(&vcpu->lock);
}

/* The caller may block all signals, as programs do that read them elsewhere. */
static sigset_t open_kick(void)
{
    sigset_t kick, before;

    sigemptyset(&kick);
    sigaddset(&kick, VMM_KICK_SIGNAL);
    pthread_sigmask(SIG_UNBLOCK, &kick, &before);
    return before;
}

/* Run it outside of its thread, which waits meanwhile. */
static int run_borrowed(struct vmm_vcpu *vcpu, struct vmm_exit *exit,
                        struct vmm_error *err)
{
    int r = vmm_vcpu_install_kick(VMM_KICK_SIGNAL, err);
    if (r < 0)
        return r;
    while ((r = vmm_vcpu_hold(vcpu, "run it once", err)) == 0 && vcpu->holds) {
        pthread_cond_wait(&vcpu->changed, &vcpu->lock);
        vmm_vcpu_release(vcpu);
    }
    if (r < 0)
        return r;
    vcpu->borrowed = true;
    vcpu->borrower = pthread_self();
    vmm_vcpu_release(vcpu);

    sigset_t before = open_kick();
    r = vmm_vcpu_step(vcpu, exit, err);
    pthread_sigmask(SIG_SETMASK, &before, NULL);

    pthread_mutex_lock(&vcpu->lock);
    vcpu->borrowed = false;
    /* It has not stood still since the pause, but since now. */
    if (vcpu->state == VMM_VCPU_PAUSED && vcpu->paused_clock)
        vmm_vcpu_note_time(vcpu);
    if (r == 0 && exit->type == VMM_EXIT_NONE)
        __atomic_store_n(&vcpu->run->immediate_exit, 0, __ATOMIC_SEQ_CST);
    pthread_cond_broadcast(&vcpu->changed);
    pthread_mutex_unlock(&vcpu->lock);
    return r;
}

int vmm_vcpu_run_once(struct vmm_vcpu *vcpu, struct vmm_exit *exit,
                      struct vmm_error *err)
{
    vmm_error_clear(err);
    /* Held, it has been kicked: KVM_RUN comes back without the guest. */
    if (vmm_vcpu_is_self(vcpu))
        return vmm_vcpu_step(vcpu, exit, err);
    return run_borrowed(vcpu, exit, err);
}

int vmm_vcpu_complete_io(struct vmm_vcpu *vcpu, struct vmm_error *err)
{
    vmm_error_clear(err);

    int r = vmm_vcpu_hold(vcpu, "complete its I/O", err);
    if (r < 0)
        return r;
    r = vmm_vcpu_settle(vcpu, err);
    vmm_vcpu_release(vcpu);
    if (r == -EAGAIN)
        vmm_error_set(err, EAGAIN,
                      "vCPU %" PRIu32 ": the instruction made another access: "
                      "handle the exit that running it once gives next",
                      vcpu->id);
    return r;
}

int vmm_vcpu_translate(struct vmm_vcpu *vcpu, uint64_t gva, vmm_gpa_t *gpa,
                       struct vmm_error *err)
{
    struct kvm_translation translation = {.linear_address = gva};

    vmm_error_clear(err);
    int r = vmm_vcpu_hold_held(vcpu, "translate an address", err);
    if (r < 0)
        return r;
    if (ioctl(vcpu->fd, KVM_TRANSLATE, &translation) < 0)
        r = vmm_error_errno(err, "KVM_TRANSLATE of 0x%" PRIx64, gva);
    vmm_vcpu_release(vcpu);
    if (r < 0)
        return r;
    if (!translation.valid)
        return vmm_error_set(err, EFAULT,
                             "vCPU %" PRIu32 ": virtual address 0x%" PRIx64
                             " is not mapped",
                             vcpu->id, gva);
    *gpa = translation.physical_address;
    return 0;
}
