/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* A pseudo-terminal as a door: clients open and close its /dev/pts path. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "console/console.h"
#include "console/door.h"
#include "console/stream.h"

/*
 * While no client has the terminal open, its master reports EPOLLHUP, which
 * no wait can wait to end; that a client opens it is learnt from inotify.
 * The two directions end apart: input that a client left behind is still to
 * be read when its output has nowhere to go any more.
 */
struct pty {
    struct vmm_door door;
    struct vmm_console *console;
    int master;
    int opens; /* inotify */
    struct vmm_watch *opens_watch;
    bool reading;
    bool writing;
};

static void look(struct pty *pty);

static void reading_ended(void *context)
{
    struct pty *pty = context;

    pty->reading = false;
    look(pty);
}

static int open_terminal(const struct pty *pty)
{
    return ioctl(pty->master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
}

/* Output that the client did not read is not for the next one. */
static void discard_unread(const struct pty *pty)
{
    int fd = open_terminal(pty);

    if (fd < 0)
        return;
    tcflush(fd, TCIFLUSH);
    close(fd);
}

static void writing_ended(void *context)
{
    struct pty *pty = context;

    pty->writing = false;
    discard_unread(pty);
    look(pty);
}

/* Attach one direction.  Should there be no fd or memory left, the next
 * client's coming tries again. */
static bool attach(struct pty *pty, bool reading)
{
    int fd = fcntl(pty->master, F_DUPFD_CLOEXEC, 0);
    struct vmm_console_stream stream = {.in_fd = reading ? fd : -1,
                                        .out_fd = reading ? -1 : fd,
                                        .owns = true,
                                        .escape = -1};

    if (fd < 0)
        return false;
    if (vmm_stream_add(pty->console, &stream,
                       reading ? reading_ended : writing_ended, pty,
                       NULL) < 0) {
        close(fd);
        return false;
    }
    return true;
}

/* Is a client there, or has one left something to read? */
static void look(struct pty *pty)
{
    struct pollfd master = {.fd = pty->master, .events = POLLIN};

    if (poll(&master, 1, 0) < 0)
        return;
    if (!pty->reading &&
        (master.revents & POLLIN || !(master.revents & POLLHUP)))
        pty->reading = attach(pty, true);
    if (!pty->writing && !(master.revents & POLLHUP))
        pty->writing = attach(pty, false);
}

static void opened(void *context, uint32_t events)
{
    struct pty *pty = context;
    char buffer[4096];

    (void)events;
    if (read(pty->opens, buffer, sizeof(buffer)) > 0)
        look(pty);
}

static void close_pty(struct vmm_door *door)
{
    struct pty *pty = (struct pty *)door;

    vmm_watch_remove(pty->opens_watch);
    if (pty->opens >= 0)
        close(pty->opens);
    if (pty->master >= 0)
        close(pty->master);
    free(pty);
}

/* Raw, as a serial line is, and with the hang-up of a first client. */
static int prepare_terminal(const struct pty *pty, const char *path,
                            struct vmm_error *err)
{
    struct termios settings;
    int fd = open_terminal(pty);
    int ret = 0;

    if (fd < 0)
        return vmm_error_errno(err, "cannot open %s", path);
    if (tcgetattr(fd, &settings) < 0)
        ret = vmm_error_errno(err, "cannot read the settings of %s", path);
    cfmakeraw(&settings);
    if (ret == 0 && tcsetattr(fd, TCSANOW, &settings) < 0)
        ret = vmm_error_errno(err, "cannot make %s raw", path);
    close(fd);
    return ret;
}

static int open_pty(struct pty *pty, char *path, size_t path_bytes,
                    struct vmm_error *err)
{
    int code;

    pty->master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (pty->master < 0 || grantpt(pty->master) < 0 ||
        unlockpt(pty->master) < 0)
        return vmm_error_errno(err, "cannot create a pseudo-terminal");
    code = ptsname_r(pty->master, path, path_bytes);
    if (code)
        return vmm_error_set(err, code,
                             "%zu bytes are too few for the path of a "
                             "pseudo-terminal",
                             path_bytes);
    return prepare_terminal(pty, path, err);
}

static int await_opens(struct pty *pty, const char *path, struct vmm_error *err)
{
    pty->opens = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (pty->opens < 0)
        return vmm_error_errno(err, "cannot create an inotify fd (of which "
                                    "fs.inotify.max_user_instances allows so "
                                    "many per user)");
    if (inotify_add_watch(pty->opens, path, IN_OPEN) < 0)
        return vmm_error_errno(err, "cannot watch %s", path);
    return vmm_loop_watch(pty->console->loop, pty->opens, EPOLLIN, opened, pty,
                          &pty->opens_watch, err);
}

int vmm_console_attach_pty(struct vmm_console *console, char *path,
                           size_t path_bytes, struct vmm_error *err)
{
    struct pty *pty;
    int ret;

    vmm_error_clear(err);
    pty = calloc(1, sizeof(*pty));
    if (!pty)
        return vmm_error_set(err, ENOMEM, "no memory for a pseudo-terminal");
    pty->console = console;
    pty->door.close = close_pty;
    pty->master = pty->opens = -1;
    ret = open_pty(pty, path, path_bytes, err);
    if (ret == 0)
        ret = await_opens(pty, path, err);
    if (ret < 0) {
        close_pty(&pty->door);
        return ret;
    }
    vmm_console_add_door(console, &pty->door);
    return 0;
}
