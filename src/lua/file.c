/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* core.file_kind, core.file_status: what Lua's own library does not tell of a
 * path. */
#include <sys/stat.h>

#include "lua/classes.h"

static const char *kind_of(mode_t mode)
{
    if (S_ISREG(mode))
        return "file";
    if (S_ISDIR(mode))
        return "directory";
    return S_ISLNK(mode) ? "link" : "other";
}

/* core.file_kind(path) -> "file", "directory", "link", "other" (a device, a
 * FIFO, a socket); nil where nothing is, or nothing can be seen */
static int file_kind(lua_State *L)
{
    struct stat status;

    if (lstat(luaL_checkstring(L, 1), &status))
        return 0;
    lua_pushstring(L, kind_of(status.st_mode));
    return 1;
}

/* core.file_status(path) -> { kind, mode, size, mtime, mtime_ns } of what the
 * path leads to, links followed: permission bits, bytes, seconds, and the
 * nanoseconds of that second; nil where nothing is, or nothing can be seen */
static int file_status(lua_State *L)
{
    struct stat status;

    if (stat(luaL_checkstring(L, 1), &status))
        return 0;
    lua_createtable(L, 0, 5);
    lua_pushstring(L, kind_of(status.st_mode));
    lua_setfield(L, -2, "kind");
    lua_pushinteger(L, status.st_mode & 07777);
    lua_setfield(L, -2, "mode");
    lua_pushinteger(L, status.st_size);
    lua_setfield(L, -2, "size");
    lua_pushinteger(L, status.st_mtim.tv_sec);
    lua_setfield(L, -2, "mtime");
    lua_pushinteger(L, status.st_mtim.tv_nsec);
    lua_setfield(L, -2, "mtime_ns");
    return 1;
}

void file_open(lua_State *L)
{
    lua_pushcfunction(L, file_status);
    lua_setfield(L, -2, "file_status");
    lua_pushcfunction(L, file_kind);
    lua_setfield(L, -2, "file_kind");
}
