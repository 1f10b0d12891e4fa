/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Reads and writes that neither block nor raise SIGPIPE, on any kind of fd. */
#ifndef BASE_FD_H
#define BASE_FD_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/*
 * O_NONBLOCK belongs to the open file, which a terminal or pipe inherited
 * from a shell shares with that shell and with every other process that has
 * it.  So it is set only on a file that is ours alone; of a borrowed terminal
 * or pipe a private one is opened through /proc/self/fd; a socket is used
 * with MSG_DONTWAIT.  Where none of that is possible (a FIFO with a name, no
 * /proc) the flag is set and taken back at close.
 */
struct vmm_fd {
    int fd; /* -1 when closed; always to be closed */
    bool socket;
    bool restore; /* O_NONBLOCK was set on a file that is not ours */
};

/* Take fd over (owned), or borrow it: then file->fd is another number and fd
 * itself is not touched.  writing: for vmm_fd_write, else for vmm_fd_read.
 * Returns 0, or -errno: then an owned fd is still the caller's. */
int vmm_fd_use(struct vmm_fd *file, int fd, bool owned, bool writing);
/* The number of bytes moved, 0 at the end, -EAGAIN when none can be moved
 * now, another -errno when none ever will. */
ssize_t vmm_fd_read(const struct vmm_fd *file, void *bytes, size_t max);
ssize_t vmm_fd_write(const struct vmm_fd *file, const void *bytes, size_t len);
void vmm_fd_close(struct vmm_fd *file);
/* Is it the terminal of a job of which this process is in the background?
 * Reads of it then fail with -EIO, to succeed again in the foreground. */
bool vmm_fd_in_background(const struct vmm_fd *file);

#endif
