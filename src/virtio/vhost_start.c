/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Sockets of vhost-user devices: to a daemon that listens, or to one that is
 * started with a socket to listen on. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/unix_socket.h"

#include <vmm/vhost_user.h>

#define FOLDER_BYTES 80 /* a socket's path has 107 */

int vmm_vhost_user_connect(const char *path, int *out, struct vmm_error *err)
{
    struct sockaddr_un address;

    vmm_error_clear(err);
    *out = -1;
    int rc = vmm_unix_address(path, &address, err);
    if (rc < 0)
        return rc;
    /* Not to wait for one that listens and never accepts. */
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return vmm_error_errno(err, "cannot create a unix socket");
    if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0) {
        rc = errno == EAGAIN
                 ? vmm_error_set(err, EAGAIN,
                                 "cannot connect to %s: the daemon that "
                                 "listens there accepts nobody",
                                 path)
                 : vmm_error_errno(err, "cannot connect to %s", path);
        close(fd);
        return rc;
    }
    *out = fd;
    return 0;
}

/* A folder that only this user can enter. */
static int make_folder(char folder[FOLDER_BYTES], struct vmm_error *err)
{
    const char *parent = getenv("TMPDIR");

    if (!parent || snprintf(folder, FOLDER_BYTES, "%s/vmm-vhost-XXXXXX",
                            parent) >= FOLDER_BYTES)
        snprintf(folder, FOLDER_BYTES, "/tmp/vmm-vhost-XXXXXX");
    if (!mkdtemp(folder))
        return vmm_error_errno(err, "cannot make a folder %s", folder);
    return 0;
}

/*
 * A socket that listens, and one that is connected to it.  The path is gone
 * before anybody knows of it, so the connection is the only one.  It is made
 * before there is a daemon: there is nothing to wait for.
 */
static int make_pair(struct vmm_unix_listener *listener, int *connected,
                     struct vmm_error *err)
{
    char folder[FOLDER_BYTES], path[FOLDER_BYTES + 8];

    int rc = make_folder(folder, err);
    if (rc)
        return rc;
    snprintf(path, sizeof(path), "%s/socket", folder);
    rc = vmm_unix_listen(listener, path, err);
    if (rc == 0) {
        rc = vmm_vhost_user_connect(path, connected, err);
        unlink(path);
        if (rc)
            vmm_unix_close(listener);
    }
    rmdir(folder);
    return rc;
}

/* Daemons wait in accept. */
static int set_blocking(int fd, struct vmm_error *err)
{
    int off = 0;

    return ioctl(fd, FIONBIO, &off) < 0 ? vmm_error_errno(err, "FIONBIO") : 0;
}

int vmm_vhost_user_start(const char *const *argv, int *out,
                         struct vmm_process **process, struct vmm_error *err)
{
    struct vmm_unix_listener listener;

    vmm_error_clear(err);
    *process = NULL;
    *out = -1;
    int rc = make_pair(&listener, out, err);
    if (rc)
        return rc;
    rc = set_blocking(listener.fd, err);
    if (rc == 0)
        rc = vmm_process_start(argv, listener.fd, process, err);
    vmm_unix_close(&listener);
    if (rc) {
        close(*out);
        *out = -1;
    }
    return rc;
}
