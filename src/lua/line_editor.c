/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* The line editor in Lua, and the file that its lines are kept in. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/line_editor.h"
#include "lua/classes.h"

#define EDITOR_CLASS "vmm.line_editor"

struct editor_box {
    struct vmm_line_editor *editor; /* NULL: closed */
};

static struct vmm_line_editor *check_editor(lua_State *L)
{
    struct editor_box *box = luaL_checkudata(L, 1, EDITOR_CLASS);

    luaL_argcheck(L, box->editor, 1, "the line editor is closed");
    return box->editor;
}

static struct vmm_line_editor *check_busy(lua_State *L, bool busy)
{
    struct vmm_line_editor *editor = check_editor(L);

    luaL_argcheck(L, vmm_line_editor_busy(editor) == busy, 1,
                  busy ? "no line is edited" : "a line is edited already");
    return editor;
}

/* core.line_editor(lines of history) -> editor; nil, message, "ENOENT" where
 * libedit is not installed */
static int editor_new(lua_State *L)
{
    lua_Integer lines = luaL_checkinteger(L, 1);
    struct vmm_error err;

    luaL_argcheck(L, lines >= 1 && lines <= 1000000, 1, "1 to 1000000 lines");
    struct editor_box *box = box_new(L, sizeof(*box), EDITOR_CLASS);
    if (vmm_line_editor_new((int)lines, &box->editor, &err))
        return push_error(L, &err);
    return 1;
}

static int editor_close(lua_State *L)
{
    struct editor_box *box = luaL_checkudata(L, 1, EDITOR_CLASS);

    vmm_line_editor_free(box->editor);
    box->editor = NULL;
    return 0;
}

/* event, what to show, text: the line, or what stands before the cursor */
static int push_event(lua_State *L, const struct vmm_line_editor *editor,
                      enum vmm_line_event event)
{
    static const char *const names[] = {
        [VMM_LINE_KEY] = "key",
        [VMM_LINE_COMPLETE] = "complete",
        [VMM_LINE_DONE] = "line",
        [VMM_LINE_END] = "end",
    };
    size_t len;
    const char *output = vmm_line_editor_output(editor, &len);

    lua_pushstring(L, names[event]);
    lua_pushlstring(L, output, len);
    lua_pushstring(L, vmm_line_editor_text(editor));
    return 3;
}

/* editor:begin(prompt) -> event, output, text */
static int editor_begin(lua_State *L)
{
    struct vmm_line_editor *editor = check_busy(L, false);
    const char *prompt = luaL_checkstring(L, 2);

    return push_event(L, editor, vmm_line_editor_begin(editor, prompt));
}

/* editor:key(byte) -> event, output, text */
static int editor_key(lua_State *L)
{
    struct vmm_line_editor *editor = check_busy(L, true);
    lua_Integer byte = luaL_checkinteger(L, 2);

    luaL_argcheck(L, byte >= 0 && byte <= 255, 2, "a byte");
    return push_event(L, editor, vmm_line_editor_key(editor, (uint8_t)byte));
}

/* editor:complete(insert, list) -> event, output, text */
static int editor_complete(lua_State *L)
{
    struct vmm_line_editor *editor = check_busy(L, true);
    const char *insert = luaL_checkstring(L, 2);
    const char *list = luaL_checkstring(L, 3);

    return push_event(L, editor,
                      vmm_line_editor_complete(editor, insert, list));
}

/* editor:cancel() -> "end", output, text */
static int editor_cancel(lua_State *L)
{
    struct vmm_line_editor *editor = check_busy(L, true);

    return push_event(L, editor, vmm_line_editor_cancel(editor));
}

/* editor:refresh() -> event, output, text */
static int editor_refresh(lua_State *L)
{
    struct vmm_line_editor *editor = check_busy(L, true);

    return push_event(L, editor, vmm_line_editor_refresh(editor));
}

/* editor:resize(rows, columns) */
static int editor_resize(lua_State *L)
{
    struct vmm_line_editor *editor = check_editor(L);
    lua_Integer rows = luaL_checkinteger(L, 2);
    lua_Integer columns = luaL_checkinteger(L, 3);

    luaL_argcheck(L, rows >= 1 && rows <= UINT16_MAX, 2, "1 to 65535");
    luaL_argcheck(L, columns >= 1 && columns <= UINT16_MAX, 3, "1 to 65535");
    vmm_line_editor_resize(editor, (unsigned)rows, (unsigned)columns);
    return 0;
}

/* editor:remember(line): it can be recalled */
static int editor_remember(lua_State *L)
{
    struct vmm_line_editor *editor = check_busy(L, false);

    vmm_line_editor_remember(editor, luaL_checkstring(L, 2));
    return 0;
}

/* Make the directories that lead to a file, for the user alone. */
static void make_directories(char *path)
{
    for (char *slash = strchr(path + 1, '/'); slash;
         slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdir(path, 0700) < 0 && errno != EEXIST) {
            *slash = '/';
            return; /* opening the file tells why */
        }
        *slash = '/';
    }
}

/* core.private_file(path) -> true: it exists, for the user alone to read */
static int private_file(lua_State *L)
{
    const char *given = luaL_checkstring(L, 1);
    char *path = lua_newuserdatauv(L, strlen(given) + 1, 0);

    strcpy(path, given);
    make_directories(path);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOCTTY, 0600);
    int rc = fd < 0 ? -1 : fchmod(fd, 0600);
    int code = errno;
    if (fd >= 0)
        close(fd);
    if (rc < 0)
        return push_errno(L, code, "%s: %s", given, strerror(code));
    lua_pushboolean(L, 1);
    return 1;
}

void line_editor_open(lua_State *L)
{
    static const luaL_Reg methods[] = {
        {"begin", editor_begin},
        {"key", editor_key},
        {"complete", editor_complete},
        {"cancel", editor_cancel},
        {"refresh", editor_refresh},
        {"resize", editor_resize},
        {"remember", editor_remember},
        {"close", editor_close},
        {"__gc", editor_close},
        {"__close", editor_close},
        {NULL, NULL},
    };
    static const luaL_Reg functions[] = {{"line_editor", editor_new},
                                         {"private_file", private_file},
                                         {NULL, NULL}};
    static const struct class class = {.name = EDITOR_CLASS,
                                       .methods = methods};

    class_open(L, &class);
    luaL_setfuncs(L, functions, 0);
}
