/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Stream sockets in Lua, non-blocking: what they can do now. lua/vmm/socket.lua
 * waits. */
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/unix_socket.h"
#include "lua/classes.h"

#define SOCKET_CLASS "vmm.socket_core"
#define READ_MAX     (1 << 20)
#define BACKLOG      8

/* fd -1: closed.  A unix listener's fd is that of its listener. */
struct socket_box {
    struct vmm_fd file;
    struct vmm_unix_listener unix_listener;
    char place[128]; /* that it connects to, in words */
};

static struct socket_box *check_socket(lua_State *L)
{
    struct socket_box *box = luaL_checkudata(L, 1, SOCKET_CLASS);

    luaL_argcheck(L, box->file.fd >= 0, 1, "the socket is closed");
    return box;
}

/* A new object, closed.  Pushes it. */
static struct socket_box *push_socket(lua_State *L)
{
    struct socket_box *box = box_new(L, sizeof(*box), SOCKET_CLASS);

    box->file = (struct vmm_fd){.fd = -1, .socket = true};
    box->unix_listener.fd = -1;
    return box;
}

static int push_failure(lua_State *L, const char *what)
{
    int code = errno;

    return push_errno(L, code, "%s: %s", what, strerror(code));
}

/* ---- addresses -------------------------------------------------------------
 */

struct place {
    const char *unix_path; /* NULL: TCP */
    char text[128];
    struct sockaddr_storage address;
    socklen_t length;
};

/* Numbers only: a look-up of names would block. */
static int resolve(const char *host, lua_Integer port, struct place *place,
                   struct vmm_error *err)
{
    const struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV,
                                   .ai_socktype = SOCK_STREAM};
    struct addrinfo *found;
    char service[8];

    snprintf(place->text, sizeof(place->text), "%s port %d", host, (int)port);
    snprintf(service, sizeof(service), "%d", (int)port);
    if (strcmp(host, "localhost") == 0)
        host = "127.0.0.1";
    if (getaddrinfo(host, service, &hints, &found))
        return vmm_error_set(err, EINVAL, "%s is not an IP address", host);
    memcpy(&place->address, found->ai_addr, found->ai_addrlen);
    place->length = found->ai_addrlen;
    freeaddrinfo(found);
    return 0;
}

/* { unix = path } or { tcp = port, host = address } at index 1. */
static int read_place(lua_State *L, const char *what, lua_Integer min_port,
                      struct place *place, struct vmm_error *err)
{
    options_check(L, 1, what, "unix tcp host");
    lua_Integer port = option_integer(L, 1, "tcp", -1, min_port, 65535);
    const char *host = option_string(L, 1, "host", "127.0.0.1");
    place->unix_path = option_string(L, 1, "unix", NULL);
    if (!place->unix_path == (port < 0))
        return luaL_error(L, "%s: give one of: unix, tcp", what);
    if (!place->unix_path)
        return resolve(host, port, place, err);
    snprintf(place->text, sizeof(place->text), "%s", place->unix_path);
    place->length = sizeof(struct sockaddr_un);
    return vmm_unix_address(place->unix_path,
                            (struct sockaddr_un *)&place->address, err);
}

static int open_stream(const struct place *place)
{
    int fd = socket(place->address.ss_family,
                    SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    const int on = 1;

    /* A debugger's packets are small and answered one by one. */
    if (fd >= 0 && !place->unix_path)
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    return fd;
}

/* ---- constructors ----------------------------------------------------------
 */

static int listen_tcp(struct socket_box *box, const struct place *place)
{
    const int on = 1;

    box->file.fd = open_stream(place);
    if (box->file.fd < 0)
        return -1;
    setsockopt(box->file.fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (bind(box->file.fd, (const struct sockaddr *)&place->address,
             place->length) < 0)
        return -1;
    return listen(box->file.fd, BACKLOG);
}

/* socket.listen{ unix = path } or { tcp = port, host = address } -> socket;
 * port 0: one that is free */
static int socket_listen(lua_State *L)
{
    struct place place = {0};
    struct vmm_error err = {0};

    if (read_place(L, "vmm.listen", 0, &place, &err))
        return push_error(L, &err);
    struct socket_box *box = push_socket(L);
    if (place.unix_path) {
        if (vmm_unix_listen(&box->unix_listener, place.unix_path, &err))
            return push_error(L, &err);
        box->file.fd = box->unix_listener.fd;
    } else if (listen_tcp(box, &place)) {
        vmm_error_errno(&err, "cannot listen on %s", place.text);
        return push_error(L, &err);
    }
    return 1;
}

/* socket.connect{...} -> socket, true when it is connected already, else once
 * it is writable; "EAGAIN": try again, too many wait at that unix socket */
static int socket_connect(lua_State *L)
{
    struct place place = {0};
    struct vmm_error err = {0};

    if (read_place(L, "vmm.connect", 1, &place, &err))
        return push_error(L, &err);
    struct socket_box *box = push_socket(L);
    memcpy(box->place, place.text, sizeof(box->place));
    box->file.fd = open_stream(&place);
    int rc = box->file.fd < 0 ? -1
                              : connect(box->file.fd,
                                        (const struct sockaddr *)&place.address,
                                        place.length);
    if (rc < 0 && errno != EINPROGRESS) {
        vmm_error_errno(&err, "cannot connect to %s", place.text);
        return push_error(L, &err);
    }
    lua_pushboolean(L, rc == 0);
    return 2;
}

/* ---- methods ---------------------------------------------------------------
 */

/* core:connected() -> true, or why the connection was refused */
static int socket_connected(lua_State *L)
{
    int code = 0;
    socklen_t size = sizeof(code);

    const struct socket_box *box = check_socket(L);
    getsockopt(box->file.fd, SOL_SOCKET, SO_ERROR, &code, &size);
    if (code)
        return push_errno(L, code, "cannot connect to %s: %s", box->place,
                          strerror(code));
    lua_pushboolean(L, 1);
    return 1;
}

/* core:accept() -> socket; "EAGAIN": nobody is there */
static int socket_accept(lua_State *L)
{
    struct socket_box *listener = check_socket(L);
    struct socket_box *box = push_socket(L);
    const int on = 1;

    box->file.fd =
        accept4(listener->file.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (box->file.fd < 0)
        return push_failure(L, "cannot accept a connection");
    if (listener->unix_listener.fd < 0)
        setsockopt(box->file.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    return 1;
}

/* core:read(max) -> bytes, "" at the end; "EAGAIN": none are there */
static int socket_read(lua_State *L)
{
    struct socket_box *box = check_socket(L);
    lua_Integer max = luaL_checkinteger(L, 2);
    luaL_Buffer buffer;

    luaL_argcheck(L, max >= 1 && max <= READ_MAX, 2, "1 to 1048576 bytes");
    char *bytes = luaL_buffinitsize(L, &buffer, (size_t)max);
    ssize_t count = vmm_fd_read(&box->file, bytes, (size_t)max);
    if (count < 0)
        return push_errno(L, (int)-count, "cannot read: %s",
                          strerror((int)-count));
    luaL_pushresultsize(&buffer, (size_t)count);
    return 1;
}

/* core:write(bytes, from) -> how many of bytes from that position on were
 * taken; "EAGAIN": there is no room */
static int socket_write(lua_State *L)
{
    struct socket_box *box = check_socket(L);
    size_t len;
    const char *bytes = luaL_checklstring(L, 2, &len);
    lua_Integer from = luaL_optinteger(L, 3, 1);

    luaL_argcheck(L, from >= 1 && (size_t)from <= len + 1, 3,
                  "a position in the bytes");
    ssize_t count =
        vmm_fd_write(&box->file, bytes + from - 1, len + 1 - (size_t)from);
    if (count < 0)
        return push_errno(L, (int)-count, "cannot write: %s",
                          strerror((int)-count));
    lua_pushinteger(L, count);
    return 1;
}

/* The peer reads the end after what was written; reading goes on. */
static int socket_finish(lua_State *L)
{
    struct socket_box *box = check_socket(L);

    if (shutdown(box->file.fd, SHUT_WR) < 0)
        return push_failure(L, "cannot finish");
    lua_pushboolean(L, 1);
    return 1;
}

/* core:fd() -> its number; it belongs to the socket */
static int socket_fd(lua_State *L)
{
    lua_pushinteger(L, check_socket(L)->file.fd);
    return 1;
}

/* core:port() -> the local TCP port; nil for a unix socket */
static int socket_port(lua_State *L)
{
    struct sockaddr_storage address = {0};
    socklen_t length = sizeof(address);

    if (getsockname(check_socket(L)->file.fd, (struct sockaddr *)&address,
                    &length) < 0)
        return push_failure(L, "cannot tell the port");
    if (address.ss_family == AF_INET)
        lua_pushinteger(
            L, ntohs(((const struct sockaddr_in *)&address)->sin_port));
    else if (address.ss_family == AF_INET6)
        lua_pushinteger(
            L, ntohs(((const struct sockaddr_in6 *)&address)->sin6_port));
    else
        lua_pushnil(L);
    return 1;
}

/* core:close(); idempotent.  Whoever watches its fd stops that first. */
static int socket_close(lua_State *L)
{
    struct socket_box *box = luaL_checkudata(L, 1, SOCKET_CLASS);

    if (box->unix_listener.fd >= 0) {
        vmm_unix_close(&box->unix_listener);
        box->file.fd = -1;
    }
    vmm_fd_close(&box->file);
    return 0;
}

void socket_open(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"listen", socket_listen}, {"connect", socket_connect}, {NULL, NULL}};
    static const luaL_Reg methods[] = {
        {"accept", socket_accept},
        {"connected", socket_connected},
        {"read", socket_read},
        {"write", socket_write},
        {"finish", socket_finish},
        {"fd", socket_fd},
        {"port", socket_port},
        {"close", socket_close},
        {"__gc", socket_close},
        {"__close", socket_close},
        {NULL, NULL},
    };
    static const struct class class = {.name = SOCKET_CLASS,
                                       .methods = methods};

    class_open(L, &class);
    luaL_newlib(L, functions);
    lua_setfield(L, -2, "socket");
}
