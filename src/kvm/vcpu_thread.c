/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* The thread that keeps a vCPU running: a state machine and its kick. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>

#include "kvm/internal.h"

/*
 * Who changes the state, always under the lock:
 *
 *   NO_THREAD -> PAUSED     vmm_vcpu_start
 *   PAUSED    -> RUNNING    request_resume
 *   RUNNING   -> PAUSED     the thread, on pause_requested
 *   PAUSED, RUNNING -> STOPPING   request_stop
 *   any of them     -> FINISHED   the thread, at its end
 *   FINISHED  -> NO_THREAD  vmm_vcpu_join
 *
 * A request that must reach a vCPU inside KVM_RUN sets immediate_exit and
 * sends the signal: KVM_RUN returns at once whether the signal comes before,
 * during or after the entry.
 */

/* ---- the kick ----------------------------------------------------------- */

/* Its arrival is all that counts. */
static void on_kick(int signal_number)
{
    (void)signal_number;
}

/* Installing the same handler twice changes nothing, so that vCPUs of one
 * process need not agree on who does it. */
int vmm_vcpu_install_kick(int signal_number, struct vmm_error *err)
{
    struct sigaction old, action = {.sa_handler = on_kick};

    /* KVM_RUN is never restarted; a handler's system calls should be. */
    action.sa_flags = SA_RESTART;
    sigemptyset(&action.sa_mask);
    if (sigaction(signal_number, NULL, &old) < 0)
        return vmm_error_errno(err, "kick signal %d", signal_number);
    if (!(old.sa_flags & SA_SIGINFO) && old.sa_handler == on_kick)
        return 0;
    if ((old.sa_flags & SA_SIGINFO) ||
        (old.sa_handler != SIG_DFL && old.sa_handler != SIG_IGN))
        return vmm_error_set(err, EBUSY,
                             "kick signal %d has a handler already: choose "
                             "another kick_signal",
                             signal_number);
    if (sigaction(signal_number, &action, NULL) < 0)
        return vmm_error_errno(err, "kick signal %d", signal_number);
    return 0;
}

void vmm_vcpu_kick_locked(struct vmm_vcpu *vcpu)
{
    __atomic_store_n(&vcpu->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
    if (vmm_vcpu_is_self(vcpu))
        return;
    if (vcpu->borrowed)
        pthread_kill(vcpu->borrower, VMM_KICK_SIGNAL);
    else if (vcpu->state == VMM_VCPU_RUNNING ||
             vcpu->state == VMM_VCPU_STOPPING)
        pthread_kill(vcpu->thread, vcpu->config.kick_signal);
}

void vmm_vcpu_kick(struct vmm_vcpu *vcpu)
{
    pthread_mutex_lock(&vcpu->lock);
    vmm_vcpu_kick_locked(vcpu);
    pthread_mutex_unlock(&vcpu->lock);
}

/* ---- the thread's side -------------------------------------------------- */

static void tell(struct vmm_vcpu *vcpu, enum vmm_vcpu_event event)
{
    if (vcpu->config.on_event)
        vcpu->config.on_event(vcpu->config.context, vcpu, event);
}

/* Give one exit to its handler: false when the thread should finish. */
static bool run_and_handle(struct vmm_vcpu *vcpu)
{
    const struct vmm_vcpu_thread_config *config = &vcpu->config;
    struct vmm_exit exit;
    struct vmm_error err;

    vmm_error_clear(&err);
    if (vmm_vcpu_step(vcpu, &exit, &err) < 0) {
        config->on_error(config->context, vcpu, &err);
        return false;
    }
    if (exit.type == VMM_EXIT_NONE)
        return true;
    return config->on_exit(config->context, vcpu, &exit) == 0;
}

/*
 * Complete the pending I/O, so that the vCPU's state is whole while it is
 * paused.  Lock held at entry and return, not while a handler runs.
 * False when the thread should finish.
 */
static bool settle(struct vmm_vcpu *vcpu)
{
    for (;;) {
        struct vmm_error err;
        bool go_on;

        vmm_error_clear(&err);
        int r = vmm_vcpu_settle(vcpu, &err);
        if (r == 0)
            return true;
        pthread_mutex_unlock(&vcpu->lock);
        if (r == -EAGAIN) {
            go_on = run_and_handle(vcpu);
        } else {
            vcpu->config.on_error(vcpu->config.context, vcpu, &err);
            go_on = false;
        }
        pthread_mutex_lock(&vcpu->lock);
        if (!go_on)
            return false;
    }
}

/* Serve a requested NMI: KVM_NMI waits for a running vCPU, so that only its
 * own thread can send it.  Lock held. */
static void serve_nmi(struct vmm_vcpu *vcpu)
{
    if (vcpu->nmi_requested)
        ioctl(vcpu->fd, KVM_NMI);
    vcpu->nmi_requested = false;
}

/* Let the thread run until the next kick, or, held, for one entry; an exit that
 * nobody has handled yet comes before that.  Lock held. */
static void open_gate(struct vmm_vcpu *vcpu)
{
    bool held = vcpu->holds > 0;

    __atomic_store_n(&vcpu->run->immediate_exit, held && vcpu->exit_ready,
                     __ATOMIC_SEQ_CST);
    atomic_store(&vcpu->in_turn, held && !vcpu->exit_ready);
}

/*
 * Serve requests until the vCPU may run, for the first time maybe (true), or
 * should end (false).
 * Lock held at entry and return.
 */
static bool wait_for_turn(struct vmm_vcpu *vcpu, bool first)
{
    bool waited = first;

    for (;;) {
        bool turn = vmm_vcpu_take_turn(vcpu);

        if (vcpu->state == VMM_VCPU_STOPPING)
            return false;
        if (vcpu->state == VMM_VCPU_PAUSED || vcpu->borrowed) {
            waited = true;
            pthread_cond_wait(&vcpu->changed, &vcpu->lock);
        } else if (vcpu->pause_requested) {
            serve_nmi(vcpu);
            if (!settle(vcpu))
                return false;
            /* A handler may have run: is it still to be paused? */
            if (vcpu->state == VMM_VCPU_RUNNING && vcpu->pause_requested) {
                vcpu->pause_requested = false;
                vcpu->state = VMM_VCPU_PAUSED;
                vmm_vcpu_note_time(vcpu);
                tell(vcpu, VMM_VCPU_SETTLED);
                pthread_cond_broadcast(&vcpu->changed);
            }
        } else if (vcpu->holds && !turn) {
            vmm_vcpu_sleep_held(vcpu);
        } else {
            serve_nmi(vcpu);
            tell(vcpu, waited ? VMM_VCPU_RESUMED : VMM_VCPU_KICKED);
            open_gate(vcpu);
            return true;
        }
    }
}

/* Run until a kick asks for attention; false when the thread should finish. */
static bool run_until_kick(struct vmm_vcpu *vcpu)
{
    do {
        if (!run_and_handle(vcpu))
            return false;
    } while (!__atomic_load_n(&vcpu->run->immediate_exit, __ATOMIC_SEQ_CST));
    return true;
}

static void *thread_main(void *argument)
{
    struct vmm_vcpu *vcpu = argument;
    bool go_on = true, first = true;
    char name[16];

    snprintf(name, sizeof(name), "vcpu%" PRIu32, vcpu->id);
    pthread_setname_np(pthread_self(), name);
    atomic_store(&vcpu->self, pthread_self());
    pthread_mutex_lock(&vcpu->lock);
    while (go_on && wait_for_turn(vcpu, first)) {
        first = false;
        pthread_mutex_unlock(&vcpu->lock);
        go_on = run_until_kick(vcpu);
        pthread_mutex_lock(&vcpu->lock);
    }
    /* Its state is read after the end as well. */
    if (!vcpu->borrowed)
        vmm_vcpu_settle(vcpu, NULL);
    vcpu->state = VMM_VCPU_FINISHED;
    vcpu->pause_requested = false;
    pthread_cond_broadcast(&vcpu->changed);
    pthread_mutex_unlock(&vcpu->lock);
    if (vcpu->config.on_finished)
        vcpu->config.on_finished(vcpu->config.context, vcpu);
    atomic_store(&vcpu->self, 0);
    return NULL;
}

int vmm_vcpu_nmi(struct vmm_vcpu *vcpu, struct vmm_error *err)
{
    int r = 0;

    vmm_error_clear(err);
    pthread_mutex_lock(&vcpu->lock);
    if (vcpu->state == VMM_VCPU_RUNNING && !vmm_vcpu_is_self(vcpu)) {
        vcpu->nmi_requested = true;
        vmm_vcpu_kick_locked(vcpu);
    } else if (vcpu->borrowed) {
        r = vmm_error_set(err, EBUSY, "vCPU %" PRIu32 " is being run once",
                          vcpu->id);
    } else if (ioctl(vcpu->fd, KVM_NMI) < 0) {
        r = vmm_error_errno(err, "vCPU %" PRIu32 ": KVM_NMI", vcpu->id);
    }
    pthread_mutex_unlock(&vcpu->lock);
    return r;
}

/* ---- everybody else's side ---------------------------------------------- */

/* All signals but the kick, and but those that a fault of the thread itself
 * raises: blocked, they would kill the process without its handlers. */
static void thread_signal_mask(int kick_signal, sigset_t *mask)
{
    static const int open[] = {SIGSEGV, SIGBUS,  SIGFPE,
                               SIGILL,  SIGTRAP, SIGSYS};

    sigfillset(mask);
    for (size_t i = 0; i < sizeof(open) / sizeof(*open); i++)
        sigdelset(mask, open[i]);
    sigdelset(mask, kick_signal);
}

/* Create the thread with its signal mask in place from the first instruction.
 * Returns an errno value. */
static int create_thread(struct vmm_vcpu *vcpu)
{
    sigset_t mask, old;

    thread_signal_mask(vcpu->config.kick_signal, &mask);
    pthread_sigmask(SIG_SETMASK, &mask, &old);
    int code = pthread_create(&vcpu->thread, NULL, thread_main, vcpu);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return code;
}

int vmm_vcpu_start(struct vmm_vcpu *vcpu,
                   const struct vmm_vcpu_thread_config *config,
                   struct vmm_error *err)
{
    int code = 0;

    vmm_error_clear(err);
    int signal_number =
        config->kick_signal ? config->kick_signal : VMM_KICK_SIGNAL;
    int r = vmm_vcpu_install_kick(signal_number, err);
    if (r < 0)
        return r;

    pthread_mutex_lock(&vcpu->lock);
    if (vcpu->state != VMM_VCPU_NO_THREAD) {
        pthread_mutex_unlock(&vcpu->lock);
        return vmm_error_set(
            err, EBUSY, "vCPU %" PRIu32 " has been started already", vcpu->id);
    }
    vcpu->config = *config;
    vcpu->config.kick_signal = signal_number;
    vcpu->state = VMM_VCPU_PAUSED;
    vcpu->pause_requested = false;
    code = create_thread(vcpu);
    if (code)
        vcpu->state = VMM_VCPU_NO_THREAD;
    pthread_mutex_unlock(&vcpu->lock);
    if (code)
        return vmm_error_set(err, code, "vCPU %" PRIu32 ": pthread_create: %s",
                             vcpu->id, strerror(code));
    return 0;
}

enum vmm_vcpu_thread_state vmm_vcpu_thread_state(const struct vmm_vcpu *vcpu)
{
    /* The lock is no part of what the caller sees of the vCPU. */
    pthread_mutex_t *lock = (pthread_mutex_t *)(uintptr_t)&vcpu->lock;

    pthread_mutex_lock(lock);
    enum vmm_vcpu_thread_state state = vcpu->state;
    pthread_mutex_unlock(lock);
    return state;
}

bool vmm_vcpu_is_self(const struct vmm_vcpu *vcpu)
{
    return atomic_load(&vcpu->self) == pthread_self();
}

void vmm_vcpu_request_pause(struct vmm_vcpu *vcpu)
{
    pthread_mutex_lock(&vcpu->lock);
    if (vcpu->state == VMM_VCPU_RUNNING) {
        vcpu->pause_requested = true;
        vmm_vcpu_kick_locked(vcpu);
        pthread_cond_broadcast(&vcpu->changed); /* held, it waits for that */
    }
    pthread_mutex_unlock(&vcpu->lock);
}

void vmm_vcpu_request_resume(struct vmm_vcpu *vcpu)
{
    pthread_mutex_lock(&vcpu->lock);
    vcpu->pause_requested = false;
    if (vcpu->state == VMM_VCPU_PAUSED) {
        if (!vcpu->borrowed) /* or KVM would wait for who runs it */
            vmm_vcpu_tell_paused(vcpu);
        vcpu->state = VMM_VCPU_RUNNING;
    }
    pthread_cond_broadcast(&vcpu->changed);
    pthread_mutex_unlock(&vcpu->lock);
}

/* Lock held. */
static void request_stop(struct vmm_vcpu *vcpu)
{
    if (vcpu->state != VMM_VCPU_PAUSED && vcpu->state != VMM_VCPU_RUNNING)
        return;
    vcpu->state = VMM_VCPU_STOPPING;
    pthread_cond_broadcast(&vcpu->changed);
    vmm_vcpu_kick_locked(vcpu);
}

void vmm_vcpu_request_stop(struct vmm_vcpu *vcpu)
{
    pthread_mutex_lock(&vcpu->lock);
    request_stop(vcpu);
    pthread_mutex_unlock(&vcpu->lock);
}

int vmm_vcpu_join(struct vmm_vcpu *vcpu)
{
    if (vmm_vcpu_is_self(vcpu))
        return -EDEADLK;
    pthread_mutex_lock(&vcpu->lock);
    request_stop(vcpu);
    /* Whoever runs it once gets it back first, and the vCPU is left alone. */
    if (vcpu->borrowed)
        vmm_vcpu_kick_locked(vcpu);
    while (vcpu->joining || vcpu->borrowed)
        pthread_cond_wait(&vcpu->changed, &vcpu->lock);
    if (vcpu->state != VMM_VCPU_NO_THREAD) {
        vcpu->joining = true;
        pthread_mutex_unlock(&vcpu->lock);
        pthread_join(vcpu->thread, NULL);
        pthread_mutex_lock(&vcpu->lock);
        vcpu->joining = false;
        vcpu->state = VMM_VCPU_NO_THREAD;
        pthread_cond_broadcast(&vcpu->changed);
    }
    pthread_mutex_unlock(&vcpu->lock);
    return 0;
}
