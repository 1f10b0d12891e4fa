/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* The user's terminal: raw while a guest has it, as it was on every way out. */
#ifndef VMM_BASE_TERMINAL_H
#define VMM_BASE_TERMINAL_H

#include <signal.h>
#include <stdbool.h>
#include <termios.h>

#include <vmm/error.h>

/*
 * What a program needs to leave its terminal sane: the settings found, and the
 * signals that could end the program.
 *
 *   SIGINT, SIGTERM, SIGHUP, SIGQUIT
 *       restore, then ask the program to end: see vmm_terminal_take_signal().
 *       One more of them, or nobody taking the first for two seconds, ends the
 *       process at once by that signal.  SIGINT does not while interrupts are
 *       caught: see vmm_terminal_catch().
 *   SIGSEGV and others that kill
 *       restore, then what would have happened
 *   SIGTSTP   restore, stop; SIGCONT makes it again what it was
 *   SIGPIPE   write() returns EPIPE
 *
 * A signal that was ignored when the program started stays ignored.
 *
 * A process has one of these in static storage, because its signal handler
 * must find it; the handler is the program's, and calls
 * vmm_terminal_on_signal().  All other functions are for the thread that made
 * it; other threads must block the signals above, except the fatal ones.
 */
#define VMM_TERMINAL_SIGNALS_MAX 24

enum vmm_terminal_mode {
    VMM_TERMINAL_FOUND,
    VMM_TERMINAL_RAW,
    VMM_TERMINAL_EDIT,
};

enum vmm_terminal_notice {
    VMM_TERMINAL_INTERRUPT = 1 << 0, /* SIGINT */
    VMM_TERMINAL_RESIZE = 1 << 1,    /* SIGWINCH */
};

struct vmm_terminal {
    int fd;          /* terminal or not */
    int fd_flags[3]; /* file status flags of 0, 1, 2 as found; -1 unknown */
    int signal_fd;   /* eventfd: readable when a signal waits to be taken */
    int notice_fd;   /* the same for what vmm_terminal_catch() catches */
    pid_t owner;     /* children of fork must not restore */
    struct termios found;
    struct termios ours;
    volatile sig_atomic_t is_ours; /* as far as we set it */
    volatile sig_atomic_t wanted;  /* enum vmm_terminal_mode, also stopped */
    volatile sig_atomic_t catches; /* interrupts */
    volatile sig_atomic_t notices; /* bits of what was caught */
    volatile sig_atomic_t asked;   /* first signal that asks to end, or 0 */
    bool taken;
    struct sigaction former[VMM_TERMINAL_SIGNALS_MAX];
    bool handled[VMM_TERMINAL_SIGNALS_MAX];
    void (*handler)(int signal, siginfo_t *info, void *context);
    void *signal_stack;
};

typedef void (*vmm_terminal_handler)(int signal, siginfo_t *info,
                                     void *context);

/*
 * Note the state of fd (usually 0) and of the standard streams, and install
 * handler for the signals above.  fd need not be a terminal.  Returns 0 or
 * -errno; then nothing is installed.
 */
int vmm_terminal_init(struct vmm_terminal *terminal, int fd,
                      vmm_terminal_handler handler, struct vmm_error *err);

/* Restore the terminal, the streams' flags and the former signal handling; a
 * signal that nobody took is raised again. */
void vmm_terminal_fini(struct vmm_terminal *terminal);

/* Is fd a terminal? */
bool vmm_terminal_is_tty(const struct vmm_terminal *terminal);

/*
 * Hand every key to the guest: no line editing, echo, signals from keys or flow
 * control; output processing stays, so that a line of ours between the guest's
 * looks right.  Does nothing when fd is no terminal.  In the background the
 * terminal is made raw once the process comes to the foreground.  -errno.
 */
int vmm_terminal_raw(struct vmm_terminal *terminal, struct vmm_error *err);

/*
 * Hand every key to a line editor of ours: the same, but keys still cause
 * signals (Ctrl-C, Ctrl-Z).
 */
int vmm_terminal_edit(struct vmm_terminal *terminal, struct vmm_error *err);

/* Restore what those two changed, and the flags of the standard
 * streams.  Async-signal-safe, idempotent; may be registered with atexit(). */
void vmm_terminal_restore(struct vmm_terminal *terminal);

/* What the program's handler does.  Async-signal-safe. */
void vmm_terminal_on_signal(struct vmm_terminal *terminal, int signal,
                            const siginfo_t *info);

/* Readable from the first signal that asks to end until it is taken. */
int vmm_terminal_signal_fd(const struct vmm_terminal *terminal);

/* The signal that asks to end, which the caller now promises to do, or 0.
 * Stays the same when called again. */
int vmm_terminal_take_signal(struct vmm_terminal *terminal);

/*
 * From now on SIGINT does not ask to end but is a notice, as SIGWINCH is; or no
 * longer, which forgets those not taken.
 */
void vmm_terminal_catch(struct vmm_terminal *terminal, bool on);
/* Readable while there are notices to take. */
int vmm_terminal_notice_fd(const struct vmm_terminal *terminal);
/* Is there one of these bits?  Cheap; any thread. */
bool vmm_terminal_noticed(const struct vmm_terminal *terminal, int notice);
/* The bits of the notices that came since the last call. */
int vmm_terminal_take_notices(struct vmm_terminal *terminal);

#endif
