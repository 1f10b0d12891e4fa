/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* The terminal as it was, whichever way the program ends: its signals. */
#include "base/terminal.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/terminal_mode.h"

/* How long a signal that asks to end may wait to be taken. */
#define PATIENCE_SECONDS 2

/* Room for a handler on a thread whose stack has overflowed. */
#define SIGNAL_STACK_BYTES 65536

enum signal_kind {
    ASKS,    /* to end in order */
    KILLS,   /* restore, then the former handling */
    STOPS,   /* restore, stop */
    RESUMES, /* as it was */
    EXPIRES, /* nobody took the signal that asked */
    RESIZES, /* the window */
    NOTHING, /* only keep the default from killing */
};

static const struct {
    int number;
    enum signal_kind kind;
} SIGNALS[] = {
    {SIGINT, ASKS},     {SIGTERM, ASKS},     {SIGHUP, ASKS},
    {SIGQUIT, ASKS},    {SIGSEGV, KILLS},    {SIGBUS, KILLS},
    {SIGABRT, KILLS},   {SIGFPE, KILLS},     {SIGILL, KILLS},
    {SIGTRAP, KILLS},   {SIGSYS, KILLS},     {SIGXCPU, KILLS},
    {SIGXFSZ, KILLS},   {SIGUSR1, KILLS},    {SIGUSR2, KILLS},
    {SIGTSTP, STOPS},   {SIGCONT, RESUMES},  {SIGALRM, EXPIRES},
    {SIGPIPE, NOTHING}, {SIGWINCH, RESIZES},
};
#define SIGNAL_COUNT (sizeof(SIGNALS) / sizeof(SIGNALS[0]))
_Static_assert(SIGNAL_COUNT <= VMM_TERMINAL_SIGNALS_MAX, "signal table");

static int signal_index(int number)
{
    for (size_t i = 0; i < SIGNAL_COUNT; i++) {
        if (SIGNALS[i].number == number)
            return (int)i;
    }
    return -1;
}

void terminal_block_signals(sigset_t *former)
{
    sigset_t set;

    sigemptyset(&set);
    for (size_t i = 0; i < SIGNAL_COUNT; i++) {
        if (SIGNALS[i].kind != KILLS)
            sigaddset(&set, SIGNALS[i].number);
    }
    pthread_sigmask(SIG_BLOCK, &set, former);
}

/* ---- signals ------------------------------------------------------------ */

/* Die of a signal, as if nobody had caught it. */
static void die_of(struct vmm_terminal *terminal, int number)
{
    struct sigaction action = {.sa_handler = SIG_DFL};
    sigset_t set;

    vmm_terminal_restore(terminal);
    sigaction(number, &action, NULL);
    sigemptyset(&set);
    sigaddset(&set, number);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    raise(number);
}

static void notice(struct vmm_terminal *terminal, int bit)
{
    const uint64_t one = 1;

    if (!terminal->catches || terminal->owner != getpid())
        return;
    terminal->notices |= bit;
    /* It can fail only when it is readable already. */
    if (write(terminal->notice_fd, &one, sizeof(one)) < 0)
        return;
}

static void ask(struct vmm_terminal *terminal, int number)
{
    const uint64_t one = 1;

    if (number == SIGINT && terminal->catches && terminal->owner == getpid()) {
        notice(terminal, VMM_TERMINAL_INTERRUPT);
        return;
    }
    if (terminal->asked || terminal->owner != getpid()) {
        die_of(terminal, number);
        return;
    }
    vmm_terminal_restore(terminal);
    terminal->asked = number;
    alarm(PATIENCE_SECONDS);
    if (write(terminal->signal_fd, &one, sizeof(one)) < 0)
        die_of(terminal, number);
}

/* A fault happens again when the handler returns; another's signal does not. */
static void kill_with(struct vmm_terminal *terminal, int number,
                      const siginfo_t *info)
{
    vmm_terminal_restore(terminal);
    sigaction(number, &terminal->former[signal_index(number)], NULL);
    if (info->si_code <= 0)
        raise(number);
}

static void stop(struct vmm_terminal *terminal)
{
    struct sigaction stopping = {.sa_handler = SIG_DFL};
    struct sigaction ours;
    sigset_t set, former;
    int flags[3];

    terminal_get_flags(flags);
    terminal_leave_mode(terminal);
    terminal_set_flags(terminal->fd_flags);
    sigaction(SIGTSTP, &stopping, &ours);
    raise(SIGTSTP);
    sigemptyset(&set);
    sigaddset(&set, SIGTSTP);
    pthread_sigmask(SIG_UNBLOCK, &set, &former);
    /* Stopped here until SIGCONT, whose handler makes the terminal ours. */
    pthread_sigmask(SIG_SETMASK, &former, NULL);
    sigaction(SIGTSTP, &ours, NULL);
    terminal_set_flags(flags);
}

void vmm_terminal_on_signal(struct vmm_terminal *terminal, int signal,
                            const siginfo_t *info)
{
    int saved_errno = errno;
    int index = signal_index(signal);

    switch (index < 0 ? NOTHING : SIGNALS[index].kind) {
    case ASKS:
        ask(terminal, signal);
        break;
    case KILLS:
        kill_with(terminal, signal, info);
        break;
    case STOPS:
        stop(terminal);
        break;
    case RESUMES:
        terminal_enter_mode(terminal);
        break;
    case EXPIRES:
        die_of(terminal, terminal->asked ? terminal->asked : signal);
        break;
    case RESIZES:
        notice(terminal, VMM_TERMINAL_RESIZE);
        break;
    case NOTHING:
        break;
    }
    errno = saved_errno;
}

int vmm_terminal_signal_fd(const struct vmm_terminal *terminal)
{
    return terminal->signal_fd;
}

int vmm_terminal_take_signal(struct vmm_terminal *terminal)
{
    uint64_t count;

    if (terminal->asked && read(terminal->signal_fd, &count, 8) == 8) {
        alarm(0);
        terminal->taken = true;
    }
    return terminal->asked;
}

/* ---- life --------------------------------------------------------------- */

/* Should ours replace this handling?  What the parent had ignored (nohup, a
 * shell's background job) stays so. */
static bool takes_over(enum signal_kind kind, const struct sigaction *former)
{
    return former->sa_handler != SIG_IGN || kind == RESUMES || kind == EXPIRES;
}

static void install(struct vmm_terminal *terminal, size_t index)
{
    enum signal_kind kind = SIGNALS[index].kind;
    struct sigaction action = {.sa_sigaction = terminal->handler};

    if (sigaction(SIGNALS[index].number, NULL, &terminal->former[index]) < 0 ||
        !takes_over(kind, &terminal->former[index]))
        return;
    sigfillset(&action.sa_mask);
    action.sa_flags = SA_SIGINFO | SA_ONSTACK;
    /* What asks to end must also end a read() the program waits in. */
    if (kind != ASKS)
        action.sa_flags |= SA_RESTART;
    terminal->handled[index] =
        sigaction(SIGNALS[index].number, &action, NULL) == 0;
}

static void uninstall(struct vmm_terminal *terminal, size_t index)
{
    if (terminal->handled[index])
        sigaction(SIGNALS[index].number, &terminal->former[index], NULL);
    terminal->handled[index] = false;
}

static int use_signal_stack(struct vmm_terminal *terminal,
                            struct vmm_error *err)
{
    stack_t stack = {.ss_size = SIGNAL_STACK_BYTES};

    stack.ss_sp = terminal->signal_stack = malloc(SIGNAL_STACK_BYTES);
    if (!stack.ss_sp || sigaltstack(&stack, NULL) < 0)
        return vmm_error_errno(err, "setting up a signal stack");
    return 0;
}

static void drop_signal_stack(struct vmm_terminal *terminal)
{
    const stack_t none = {.ss_flags = SS_DISABLE};

    sigaltstack(&none, NULL);
    free(terminal->signal_stack);
    terminal->signal_stack = NULL;
}

static int open_fds(struct vmm_terminal *terminal, struct vmm_error *err)
{
    terminal->signal_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    terminal->notice_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (terminal->signal_fd < 0 || terminal->notice_fd < 0)
        return vmm_error_errno(err, "creating an eventfd for signals");
    return 0;
}

static void close_fds(struct vmm_terminal *terminal)
{
    if (terminal->signal_fd >= 0)
        close(terminal->signal_fd);
    if (terminal->notice_fd >= 0)
        close(terminal->notice_fd);
}

int vmm_terminal_init(struct vmm_terminal *terminal, int fd,
                      vmm_terminal_handler handler, struct vmm_error *err)
{
    int result;

    vmm_error_clear(err);
    memset(terminal, 0, sizeof(*terminal));
    terminal->fd = fd;
    terminal->owner = getpid();
    terminal->handler = handler;
    terminal_get_flags(terminal->fd_flags);
    result = open_fds(terminal, err);
    if (result == 0)
        result = use_signal_stack(terminal, err);
    if (result < 0) {
        close_fds(terminal);
        free(terminal->signal_stack);
        return result;
    }
    for (size_t i = 0; i < SIGNAL_COUNT; i++) {
        if (SIGNALS[i].kind != RESIZES) /* it would cut a vCPU's run short */
            install(terminal, i);
    }
    return 0;
}

void vmm_terminal_fini(struct vmm_terminal *terminal)
{
    vmm_terminal_restore(terminal);
    alarm(0);
    for (size_t i = 0; i < SIGNAL_COUNT; i++)
        uninstall(terminal, i);
    drop_signal_stack(terminal);
    close_fds(terminal);
    if (terminal->asked && !terminal->taken)
        raise(terminal->asked);
}

/* ---- notices ------------------------------------------------------------ */

void vmm_terminal_catch(struct vmm_terminal *terminal, bool on)
{
    size_t window = (size_t)signal_index(SIGWINCH);
    sigset_t former;

    if (terminal->catches == on)
        return;
    terminal_block_signals(&former);
    terminal->catches = on;
    if (on)
        install(terminal, window);
    else
        uninstall(terminal, window);
    pthread_sigmask(SIG_SETMASK, &former, NULL);
    vmm_terminal_take_notices(terminal);
}

int vmm_terminal_notice_fd(const struct vmm_terminal *terminal)
{
    return terminal->notice_fd;
}

bool vmm_terminal_noticed(const struct vmm_terminal *terminal, int notice_bit)
{
    return (terminal->notices & notice_bit) != 0;
}

int vmm_terminal_take_notices(struct vmm_terminal *terminal)
{
    uint64_t count;
    sigset_t former;
    int notices;

    terminal_block_signals(&former);
    notices = terminal->notices;
    terminal->notices = 0;
    if (read(terminal->notice_fd, &count, sizeof(count)) < 0)
        count = 0; /* nothing came */
    pthread_sigmask(SIG_SETMASK, &former, NULL);
    return notices;
}
