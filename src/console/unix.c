/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* A unix socket as a door: one client at a time, the others queue. */
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/unix_socket.h"
#include "console/console.h"
#include "console/door.h"
#include "console/stream.h"

/* How long to wait when a client can't be accepted for want of fds. */
#define RETRY_NS UINT64_C(100000000)

struct listener {
    struct vmm_door door;
    struct vmm_console *console;
    struct vmm_unix_listener socket;
    struct vmm_watch *watch; /* paused while a client is there */
    struct vmm_timer *retry;
};

static void listen_again(void *context)
{
    struct listener *listener = context;

    pthread_mutex_lock(&listener->console->lock);
    if (!listener->console->closing) /* else: the watch may have gone */
        vmm_watch_modify(listener->watch, EPOLLIN);
    pthread_mutex_unlock(&listener->console->lock);
}

static void client_came(void *context, uint32_t events)
{
    struct listener *listener = context;
    int fd =
        accept4(listener->socket.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    struct vmm_console_stream stream = {
        .in_fd = fd, .out_fd = fd, .owns = true, .escape = -1};

    (void)events;
    if (fd < 0 && (errno == EAGAIN || errno == ECONNABORTED || errno == EINTR))
        return;
    vmm_watch_modify(listener->watch, 0);
    if (fd < 0 || vmm_stream_add(listener->console, &stream, listen_again,
                                 listener, NULL) < 0) {
        vmm_timer_set(listener->retry, RETRY_NS, 0);
        if (fd >= 0)
            close(fd);
    }
}

static void close_listener(struct vmm_door *door)
{
    struct listener *listener = (struct listener *)door;

    /* In this order: a client that comes may set the timer; what the timer
     * does to the watch it does not once the console is closing. */
    vmm_watch_remove(listener->watch);
    vmm_timer_remove(listener->retry);
    vmm_unix_close(&listener->socket);
    free(listener);
}

int vmm_console_attach_unix(struct vmm_console *console, const char *path,
                            struct vmm_error *err)
{
    struct listener *listener;
    int ret;

    vmm_error_clear(err);
    listener = calloc(1, sizeof(*listener));
    if (!listener)
        return vmm_error_set(err, ENOMEM, "no memory for a unix socket");
    listener->console = console;
    listener->door.close = close_listener;
    ret = vmm_unix_listen(&listener->socket, path, err);
    if (ret == 0)
        ret = vmm_loop_timer(console->loop, listen_again, listener,
                             &listener->retry, err);
    if (ret == 0)
        ret = vmm_loop_watch(console->loop, listener->socket.fd, EPOLLIN,
                             client_came, listener, &listener->watch, err);
    if (ret < 0) {
        close_listener(&listener->door);
        return ret;
    }
    vmm_console_add_door(console, &listener->door);
    return 0;
}
