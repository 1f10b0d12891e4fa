/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* core.regex: POSIX extended regular expressions over any bytes. */
#include <errno.h>
#include <limits.h>
#include <locale.h>
#include <regex.h>
#include <string.h>

#include "lua/classes.h"

#define GROUPS_MAX 32 /* as many as a Lua pattern may capture */
#define TEXT_MAX   256

struct regex_box {
    bool compiled;
    regex_t regex;
};

/* What bytes are letters is the same wherever the program runs. */
static locale_t enter_locale(locale_t *plain)
{
    *plain = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    return uselocale(*plain);
}

static void leave_locale(locale_t plain, locale_t before)
{
    uselocale(before);
    freelocale(plain);
}

static int compile(struct regex_box *box, const char *text)
{
    locale_t plain;
    locale_t before = enter_locale(&plain);
    int rc = regcomp(&box->regex, text, REG_EXTENDED | REG_NEWLINE);

    leave_locale(plain, before);
    box->compiled = rc == 0;
    return rc;
}

/*
 * core.regex(text) -> regex, or nil, message, "EINVAL"
 * "." matches no newline and no NUL, "[^a]" no newline; "^" and "$" match at
 * those of lines, too.
 */
static int regex_new(lua_State *L)
{
    size_t len;
    const char *text = luaL_checklstring(L, 1, &len);
    char why[TEXT_MAX];

    if (strlen(text) != len)
        return push_errno(L, EINVAL, "a regex may not contain a NUL");
    struct regex_box *box = box_new(L, sizeof(*box), REGEX_CLASS);
    int rc = compile(box, text);
    if (rc) {
        regerror(rc, &box->regex, why, sizeof(why));
        return push_errno(L, EINVAL, "%s", why);
    }
    if (box->regex.re_nsub > GROUPS_MAX)
        return push_errno(L, EINVAL, "more than %d groups", GROUPS_MAX);
    return 1;
}

static int regex_gc(lua_State *L)
{
    struct regex_box *box = luaL_checkudata(L, 1, REGEX_CLASS);

    if (box->compiled)
        regfree(&box->regex);
    box->compiled = false;
    return 0;
}

static int execute(struct regex_box *box, const char *subject,
                   regmatch_t *match)
{
    locale_t plain;
    locale_t before = enter_locale(&plain);
    /* Between the two ends, which may be any bytes: NULs are no end. */
    int rc = regexec(&box->regex, subject, GROUPS_MAX + 1, match, REG_STARTEND);

    leave_locale(plain, before);
    return rc;
}

/* A group that has taken no part is nil. */
static void push_group(lua_State *L, const char *subject, regmatch_t group)
{
    if (group.rm_so < 0)
        lua_pushnil(L);
    else
        lua_pushlstring(L, subject + group.rm_so,
                        (size_t)(group.rm_eo - group.rm_so));
}

/* regex:find(subject, init) -> first, last, groups...; nil where it does not
 * match: the leftmost match from init (1) on, of these the longest */
static int regex_find(lua_State *L)
{
    struct regex_box *box = luaL_checkudata(L, 1, REGEX_CLASS);
    size_t len;
    const char *subject = luaL_checklstring(L, 2, &len);
    lua_Integer init = luaL_optinteger(L, 3, 1);
    regmatch_t match[GROUPS_MAX + 1];

    luaL_argcheck(L, box->compiled, 1, "the regex is closed");
    luaL_argcheck(L, len < INT_MAX, 2, "too long");
    luaL_argcheck(L, init >= 1, 3, "at least 1");
    if ((size_t)init > len + 1)
        return 0;
    match[0].rm_so = (regoff_t)(init - 1);
    match[0].rm_eo = (regoff_t)len;
    int rc = execute(box, subject, match);
    if (rc == REG_NOMATCH)
        return 0;
    if (rc)
        return luaL_error(L, "no memory to match a regex");
    lua_pushinteger(L, match[0].rm_so + 1);
    lua_pushinteger(L, match[0].rm_eo);
    for (size_t i = 1; i <= box->regex.re_nsub; i++)
        push_group(L, subject, match[i]);
    return 2 + (int)box->regex.re_nsub;
}

void regex_open(lua_State *L)
{
    static const luaL_Reg methods[] = {
        {"find", regex_find},
        {"__gc", regex_gc},
        {NULL, NULL},
    };
    static const struct class class = {.name = REGEX_CLASS, .methods = methods};

    class_open(L, &class);
    lua_pushcfunction(L, regex_new);
    lua_setfield(L, -2, "regex");
}
