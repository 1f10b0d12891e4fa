/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Child processes: a pidfd is readable once its process has ended. */
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "event/loop.h"

struct vmm_child {
    int fd;
    struct vmm_watch *watch;
    void (*on_exit)(void *context, int exit_code, int signal);
    void *context;
};

static void child_ready(void *context, uint32_t events)
{
    struct vmm_child *child = context;
    siginfo_t info = {.si_pid = 0};
    int exit_code = -1, signal = 0;

    (void)events;
    if (waitid(P_PIDFD, (id_t)child->fd, &info, WEXITED | WNOHANG) == 0) {
        if (!info.si_pid)
            return;
        if (info.si_code == CLD_EXITED)
            exit_code = info.si_status;
        else
            signal = info.si_status;
    }
    vmm_watch_modify(child->watch, 0);
    child->on_exit(child->context, exit_code, signal);
}

static void child_finish(void *context)
{
    struct vmm_child *child = context;

    close(child->fd);
    free(child);
}

/* The fd of a child of this process. */
static int open_child(pid_t pid, struct vmm_error *err)
{
    siginfo_t info;
    int fd = pidfd_open(pid, 0);

    if (fd < 0)
        return vmm_error_errno(err, "cannot watch process %d", (int)pid);
    if (waitid(P_PIDFD, (id_t)fd, &info, WEXITED | WNOHANG | WNOWAIT) < 0) {
        close(fd);
        return vmm_error_set(err, ECHILD, "process %d is no child of this one",
                             (int)pid);
    }
    return fd;
}

int vmm_loop_child(struct vmm_loop *loop, pid_t pid,
                   void (*on_exit)(void *context, int exit_code, int signal),
                   void *context, struct vmm_child **child,
                   struct vmm_error *err)
{
    struct vmm_child *new;
    int ret;

    vmm_error_clear(err);
    new = calloc(1, sizeof(*new));
    if (!new)
        return vmm_error_set(err, ENOMEM, "no memory to watch process %d",
                             (int)pid);
    new->on_exit = on_exit;
    new->context = context;
    new->fd = ret = open_child(pid, err);
    if (ret < 0) {
        free(new);
        return ret;
    }
    *child = new;
    ret = vmm_loop_watch_owned(loop, new->fd, EPOLLIN, child_ready,
                               child_finish, new, &new->watch, err);
    if (ret < 0) {
        *child = NULL;
        child_finish(new);
    }
    return ret;
}

int vmm_child_kill(struct vmm_child *child, int signal)
{
    return pidfd_send_signal(child->fd, signal, NULL, 0) < 0 ? -errno : 0;
}

void vmm_child_remove(struct vmm_child *child)
{
    if (child)
        vmm_watch_remove(child->watch);
}
