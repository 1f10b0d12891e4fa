/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* The settings of a terminal while it is ours. */
#include "base/terminal_mode.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

/* tcsetattr() that a signal does not cut short. */
static int set_mode(int fd, const struct termios *mode)
{
    int result;

    do {
        result = tcsetattr(fd, TCSANOW, mode);
    } while (result < 0 && errno == EINTR);
    return result;
}

/* Changing the terminal from the background would stop us (SIGTTOU), or spoil
 * it for who has the foreground. */
static bool in_foreground(const struct vmm_terminal *terminal)
{
    pid_t foreground = tcgetpgrp(terminal->fd);

    /* Of a terminal that is not our controlling one nobody tells. */
    return foreground < 0 || foreground == getpgrp();
}

/* What is wanted, made of the settings found.  Output processing stays, so that
 * a line of ours between the guest's looks right. */
static void make_ours(struct vmm_terminal *terminal)
{
    bool edits = terminal->wanted == VMM_TERMINAL_EDIT;

    terminal->ours = terminal->found;
    cfmakeraw(&terminal->ours);
    terminal->ours.c_oflag |= OPOST;
    if (edits)
        terminal->ours.c_lflag |= ISIG;
}

int terminal_enter_mode(struct vmm_terminal *terminal)
{
    if (terminal->wanted == VMM_TERMINAL_FOUND || terminal->asked ||
        !in_foreground(terminal))
        return 0;
    /* The user may have changed it while we were stopped. */
    if (!terminal->is_ours && tcgetattr(terminal->fd, &terminal->found) < 0)
        return -1;
    make_ours(terminal);
    terminal->is_ours = 1;
    return set_mode(terminal->fd, &terminal->ours);
}

void terminal_leave_mode(struct vmm_terminal *terminal)
{
    if (terminal->is_ours && in_foreground(terminal)) {
        set_mode(terminal->fd, &terminal->found);
        terminal->is_ours = 0;
    }
}

/* ---- for the program ---------------------------------------------------- */

/* O_NONBLOCK belongs to the open file, which the parent may share. */
void terminal_get_flags(int flags[3])
{
    for (int fd = 0; fd < 3; fd++)
        flags[fd] = fcntl(fd, F_GETFL);
}

void terminal_set_flags(const int flags[3])
{
    for (int fd = 0; fd < 3; fd++) {
        if (flags[fd] >= 0)
            fcntl(fd, F_SETFL, flags[fd]);
    }
}

bool vmm_terminal_is_tty(const struct vmm_terminal *terminal)
{
    return isatty(terminal->fd);
}

static int use_mode(struct vmm_terminal *terminal, enum vmm_terminal_mode mode,
                    struct vmm_error *err)
{
    sigset_t former;
    int result;

    vmm_error_clear(err);
    if (!vmm_terminal_is_tty(terminal))
        return 0;
    terminal_block_signals(&former);
    terminal->wanted = mode;
    result = terminal_enter_mode(terminal);
    if (result < 0)
        result = vmm_error_errno(err, "setting the terminal up");
    pthread_sigmask(SIG_SETMASK, &former, NULL);
    return result;
}

int vmm_terminal_raw(struct vmm_terminal *terminal, struct vmm_error *err)
{
    return use_mode(terminal, VMM_TERMINAL_RAW, err);
}

int vmm_terminal_edit(struct vmm_terminal *terminal, struct vmm_error *err)
{
    return use_mode(terminal, VMM_TERMINAL_EDIT, err);
}

void vmm_terminal_restore(struct vmm_terminal *terminal)
{
    int saved_errno = errno;
    sigset_t former;

    if (terminal->owner != getpid())
        return;
    terminal_block_signals(&former);
    terminal->wanted = VMM_TERMINAL_FOUND;
    terminal_leave_mode(terminal);
    terminal_set_flags(terminal->fd_flags);
    pthread_sigmask(SIG_SETMASK, &former, NULL);
    errno = saved_errno;
}
