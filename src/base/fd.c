/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Which way of not blocking suits which kind of fd. */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include "base/fd.h"

/* A terminal, but not the master of a pseudo-terminal: to open that anew
 * would make another pair. */
static bool is_terminal(int fd)
{
    int number;

    return isatty(fd) && ioctl(fd, TIOCGPTN, &number) < 0;
}

/* A FIFO with a name does not count: opened anew without a writer, it never
 * reports its end. */
static bool is_pipe(int fd)
{
    struct statfs fs;

    return fstatfs(fd, &fs) == 0 && fs.f_type == PIPEFS_MAGIC;
}

/* A non-blocking open file of our own; -1 when there is no such thing. */
static int open_private(int fd, bool writing)
{
    char path[32];

    if (!is_terminal(fd) && !is_pipe(fd))
        return -1;
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    return open(path, (writing ? O_WRONLY : O_RDONLY) | O_NONBLOCK | O_NOCTTY |
                          O_CLOEXEC);
}

static int set_nonblocking(int fd, bool *changed)
{
    int flags = fcntl(fd, F_GETFL);

    if (flags < 0)
        return -errno;
    *changed = !(flags & O_NONBLOCK);
    if (*changed && fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
        return -errno;
    return 0;
}

static int borrow(struct vmm_fd *file, int fd, bool writing)
{
    int ret = 0;

    file->fd = open_private(fd, writing);
    if (file->fd >= 0)
        return 0;
    file->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (file->fd < 0)
        return -errno;
    if (!file->socket)
        ret = set_nonblocking(fd, &file->restore);
    if (ret < 0)
        vmm_fd_close(file);
    return ret;
}

int vmm_fd_use(struct vmm_fd *file, int fd, bool owned, bool writing)
{
    struct stat status;
    bool changed;

    *file = (struct vmm_fd){.fd = -1};
    if (fstat(fd, &status) < 0)
        return -errno;
    file->socket = S_ISSOCK(status.st_mode);
    if (!owned)
        return borrow(file, fd, writing);
    file->fd = fd;
    return set_nonblocking(fd, &changed);
}

ssize_t vmm_fd_read(const struct vmm_fd *file, void *bytes, size_t max)
{
    ssize_t len;

    do
        len = file->socket ? recv(file->fd, bytes, max, MSG_DONTWAIT)
                           : read(file->fd, bytes, max);
    while (len < 0 && errno == EINTR);
    return len < 0 ? -errno : len;
}

/* Without SIGPIPE, also on a thread that does not block it. */
static ssize_t write_quietly(int fd, const void *bytes, size_t len)
{
    const struct timespec now = {0, 0};
    sigset_t pipe_signal, old;
    ssize_t written;
    int code;

    sigemptyset(&pipe_signal);
    sigaddset(&pipe_signal, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe_signal, &old);
    written = write(fd, bytes, len);
    code = errno;
    if (!sigismember(&old, SIGPIPE)) {
        if (written < 0 && code == EPIPE)
            sigtimedwait(&pipe_signal, NULL, &now);
        pthread_sigmask(SIG_SETMASK, &old, NULL);
    }
    errno = code;
    return written;
}

ssize_t vmm_fd_write(const struct vmm_fd *file, const void *bytes, size_t len)
{
    const int flags = MSG_DONTWAIT | MSG_NOSIGNAL;
    ssize_t written;

    do
        written = file->socket ? send(file->fd, bytes, len, flags)
                               : write_quietly(file->fd, bytes, len);
    while (written < 0 && errno == EINTR);
    return written < 0 ? -errno : written;
}

void vmm_fd_close(struct vmm_fd *file)
{
    if (file->fd < 0)
        return;
    if (file->restore)
        fcntl(file->fd, F_SETFL, fcntl(file->fd, F_GETFL) & ~O_NONBLOCK);
    close(file->fd);
    file->fd = -1;
}

bool vmm_fd_in_background(const struct vmm_fd *file)
{
    pid_t foreground = tcgetpgrp(file->fd);

    return foreground >= 0 && foreground != getpgrp();
}
