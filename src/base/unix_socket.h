/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* A unix socket that listens at a path in the file system. */
#ifndef BASE_UNIX_SOCKET_H
#define BASE_UNIX_SOCKET_H

#include <sys/stat.h>
#include <sys/un.h>

#include <vmm/error.h>

struct vmm_unix_listener {
    int fd; /* non-blocking; -1 when closed */
    struct sockaddr_un address;
    struct stat bound; /* what was created at the path */
};

/* The address of a path.  0, or -ENAMETOOLONG for an empty path or one that
 * does not fit. */
int vmm_unix_address(const char *path, struct sockaddr_un *address,
                     struct vmm_error *err);

/*
 * Listen at path, which only this user may then connect to (mode 0600).  A
 * socket that a dead process has left there is replaced; anything else that
 * exists, a socket that somebody listens on above all, is -EADDRINUSE.
 * On failure the listener is closed.
 */
int vmm_unix_listen(struct vmm_unix_listener *listener, const char *path,
                    struct vmm_error *err);

/* Close, and remove the socket unless something else has taken its place.
 * Idempotent. */
void vmm_unix_close(struct vmm_unix_listener *listener);

#endif
