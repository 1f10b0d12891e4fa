/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Making a listening unix socket, and taking it away again. */
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/unix_socket.h"

#define BACKLOG 128 /* a guest may connect as often at once (virtio-vsock) */

int vmm_unix_address(const char *path, struct sockaddr_un *address,
                     struct vmm_error *err)
{
    size_t len = strlen(path);

    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (len < 1 || len >= sizeof(address->sun_path))
        return vmm_error_set(err, ENAMETOOLONG,
                             "a socket path has 1 to %zu bytes, this one has "
                             "%zu: %s",
                             sizeof(address->sun_path) - 1, len, path);
    memcpy(address->sun_path, path, len + 1);
    return 0;
}

static int bind_to(const struct vmm_unix_listener *listener)
{
    return bind(listener->fd, (const struct sockaddr *)&listener->address,
                sizeof(listener->address));
}

/* Is there a socket at the path that nobody listens on? */
static bool is_stale(const struct sockaddr_un *address)
{
    struct stat status;
    bool refused;
    int fd;

    if (lstat(address->sun_path, &status) < 0 || !S_ISSOCK(status.st_mode))
        return false;
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return false;
    refused =
        connect(fd, (const struct sockaddr *)address, sizeof(*address)) < 0 &&
        errno == ECONNREFUSED;
    close(fd);
    return refused;
}

static int bind_and_listen(struct vmm_unix_listener *listener,
                           struct vmm_error *err)
{
    const char *path = listener->address.sun_path;

    /* The file that bind makes has the mode of the socket, less the umask. */
    if (fchmod(listener->fd, 0600) < 0)
        return vmm_error_errno(err, "cannot listen on %s", path);
    int rc = bind_to(listener);
    if (rc < 0 && errno == EADDRINUSE) {
        if (!is_stale(&listener->address))
            return vmm_error_set(err, EADDRINUSE,
                                 "cannot listen on %s: it exists already; "
                                 "remove it or choose another path",
                                 path);
        unlink(path);
        rc = bind_to(listener);
    }
    if (rc < 0 || lstat(path, &listener->bound) < 0 ||
        listen(listener->fd, BACKLOG) < 0)
        return vmm_error_errno(err, "cannot listen on %s", path);
    return 0;
}

int vmm_unix_listen(struct vmm_unix_listener *listener, const char *path,
                    struct vmm_error *err)
{
    *listener = (struct vmm_unix_listener){.fd = -1};
    int rc = vmm_unix_address(path, &listener->address, err);
    if (rc < 0)
        return rc;
    listener->fd =
        socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (listener->fd < 0)
        return vmm_error_errno(err, "cannot create a unix socket");
    rc = bind_and_listen(listener, err);
    if (rc < 0)
        vmm_unix_close(listener);
    return rc;
}

void vmm_unix_close(struct vmm_unix_listener *listener)
{
    const char *path = listener->address.sun_path;
    struct stat now;

    if (listener->bound.st_ino && lstat(path, &now) == 0 &&
        now.st_dev == listener->bound.st_dev &&
        now.st_ino == listener->bound.st_ino)
        unlink(path);
    listener->bound.st_ino = 0;
    if (listener->fd >= 0)
        close(listener->fd);
    listener->fd = -1;
}
