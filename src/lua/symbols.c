/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Tables of symbols in Lua: made of a kernel's kallsyms, a file or a list. */
#include <errno.h>
#include <string.h>

#include <vmm/symbols.h>

#include "lua/classes.h"

#define SYMBOLS_CLASS "vmm.symbols"

struct symbols_box {
    struct vmm_symbols *symbols;
};

/* A new, empty table on top, or NULL with push_error's results. */
static struct vmm_symbols *push_new(lua_State *L, struct vmm_error *err)
{
    struct symbols_box *box = box_new(L, sizeof(*box), SYMBOLS_CLASS);

    if (vmm_symbols_new(&box->symbols, err))
        push_error(L, err);
    return box->symbols;
}

/* The table on top is complete, unless rc says that it failed. */
static int finish(lua_State *L, struct vmm_symbols *symbols, int rc,
                  struct vmm_error *err)
{
    if (rc || vmm_symbols_finish(symbols, err))
        return push_error(L, err);
    return 1;
}

/* core.symbols{ {address, name [, type [, size]]}, ... } -> symbols */
static int symbols_of_list(lua_State *L)
{
    struct vmm_error err;
    int rc = 0;

    luaL_checktype(L, 1, LUA_TTABLE);
    lua_Integer count = luaL_len(L, 1);
    struct vmm_symbols *symbols = push_new(L, &err);
    if (!symbols)
        return 3;
    for (lua_Integer i = 1; i <= count && !rc; i++) {
        size_t bytes;
        if (lua_geti(L, 1, i) != LUA_TTABLE)
            return luaL_error(L, "symbol %I is not {address, name}",
                              (LUAI_UACINT)i);
        for (int field = 1; field <= 4; field++)
            lua_geti(L, -field, field);
        uint64_t address = (uint64_t)luaL_checkinteger(L, -4);
        const char *name = luaL_checklstring(L, -3, &bytes);
        const char *type = luaL_optstring(L, -2, "T");
        uint64_t size = (uint64_t)luaL_optinteger(L, -1, 0);
        rc = vmm_symbols_add(symbols, address, size, *type, name,
                             strnlen(name, bytes), &err);
        lua_pop(L, 5);
    }
    return finish(L, symbols, rc, &err);
}

/* A field of the table at 1 that is bytes, at least so many. */
static const uint8_t *bytes_field(lua_State *L, const char *name,
                                  size_t at_least, size_t *bytes)
{
    lua_getfield(L, 1, name);
    const char *text = lua_tolstring(L, -1, bytes);
    lua_pop(L, 1); /* the table keeps it */
    if (!text || *bytes < at_least)
        luaL_error(L, "kallsyms: %s must be %I bytes or more", name,
                   (LUAI_UACINT)at_least);
    return (const uint8_t *)text;
}

/* core.kallsyms{ count =, names =, token_table =, token_index =, offsets =,
 * relative_base = } -> symbols */
static int symbols_of_kallsyms(lua_State *L)
{
    struct vmm_kallsyms tables = {0};
    struct vmm_error err;
    size_t bytes;

    options_check(L, 1, "kallsyms",
                  "count names token_table token_index offsets relative_base");
    tables.count =
        (uint32_t)option_integer(L, 1, "count", 0, 0, VMM_SYMBOLS_MAX);
    tables.names = bytes_field(L, "names", 0, &tables.names_bytes);
    tables.token_table =
        bytes_field(L, "token_table", 0, &tables.token_table_bytes);
    tables.token_index =
        bytes_field(L, "token_index", VMM_KALLSYMS_INDEX_BYTES, &bytes);
    tables.offsets =
        bytes_field(L, "offsets", (size_t)4 * tables.count, &bytes);
    lua_getfield(L, 1, "relative_base");
    tables.relative_base = (uint64_t)luaL_checkinteger(L, -1);

    struct vmm_symbols *symbols = push_new(L, &err);
    if (!symbols)
        return 3;
    int rc = vmm_symbols_add_kallsyms(symbols, &tables, &err);
    return finish(L, symbols, rc, &err);
}

/* core.file_symbols(image, slide) -> symbols: an ELF file's, or a System.map */
static int symbols_of_file(lua_State *L)
{
    struct vmm_image *image = check_image(L, 1);
    uint64_t slide = (uint64_t)luaL_optinteger(L, 2, 0);
    struct vmm_error err;

    struct vmm_symbols *symbols = push_new(L, &err);
    if (!symbols)
        return 3;
    int rc = vmm_image_kind(image) == VMM_IMAGE_ELF
                 ? vmm_symbols_add_elf(symbols, image, slide, &err)
                 : vmm_symbols_add_map(symbols, image, slide, &err);
    return finish(L, symbols, rc, &err);
}

static struct vmm_symbols *check_symbols(lua_State *L)
{
    struct symbols_box *box = luaL_checkudata(L, 1, SYMBOLS_CLASS);

    luaL_argcheck(L, box->symbols, 1, "the table of symbols is closed");
    return box->symbols;
}

/* symbols:find(name) -> address, how many have this name; or nil */
static int symbols_find(lua_State *L)
{
    struct vmm_symbol symbol;
    size_t count =
        vmm_symbols_find(check_symbols(L), luaL_checkstring(L, 2), &symbol);

    if (!count)
        return 0;
    lua_pushinteger(L, (lua_Integer)symbol.address);
    lua_pushinteger(L, (lua_Integer)count);
    return 2;
}

static int push_symbol(lua_State *L, const struct vmm_symbol *symbol)
{
    lua_pushstring(L, symbol->name);
    lua_pushinteger(L, (lua_Integer)symbol->address);
    lua_pushlstring(L, &symbol->type, 1);
    lua_pushinteger(L, (lua_Integer)symbol->size);
    return 4;
}

/* symbols:at(address) -> name, its address, type, size; or nil */
static int symbols_at(lua_State *L)
{
    struct vmm_symbol symbol;

    if (vmm_symbols_at(check_symbols(L), (uint64_t)luaL_checkinteger(L, 2),
                       &symbol))
        return 0;
    return push_symbol(L, &symbol);
}

/* symbols:get(index) -> the same, 1 .. symbols:count(), by address */
static int symbols_get(lua_State *L)
{
    const struct vmm_symbols *symbols = check_symbols(L);
    lua_Integer index = luaL_checkinteger(L, 2);

    luaL_argcheck(
        L, index >= 1 && (lua_Unsigned)index <= vmm_symbols_count(symbols), 2,
        "there is no such symbol");
    struct vmm_symbol symbol = vmm_symbols_get(symbols, (size_t)index - 1);
    return push_symbol(L, &symbol);
}

static int symbols_count(lua_State *L)
{
    lua_pushinteger(L, (lua_Integer)vmm_symbols_count(check_symbols(L)));
    return 1;
}

static int symbols_close(lua_State *L)
{
    struct symbols_box *box = luaL_checkudata(L, 1, SYMBOLS_CLASS);

    vmm_symbols_free(box->symbols);
    box->symbols = NULL;
    return 0;
}

static int symbols_tostring(lua_State *L)
{
    struct symbols_box *box = luaL_checkudata(L, 1, SYMBOLS_CLASS);

    if (box->symbols)
        lua_pushfstring(L, "vmm.symbols: %d",
                        (int)vmm_symbols_count(box->symbols));
    else
        lua_pushliteral(L, "vmm.symbols: closed");
    return 1;
}

void symbols_open(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"symbols", symbols_of_list},
        {"kallsyms", symbols_of_kallsyms},
        {"file_symbols", symbols_of_file},
        {NULL, NULL},
    };
    static const luaL_Reg methods[] = {
        {"find", symbols_find},
        {"at", symbols_at},
        {"get", symbols_get},
        {"count", symbols_count},
        {"close", symbols_close},
        {"__gc", symbols_close},
        {"__close", symbols_close},
        {"__tostring", symbols_tostring},
        {NULL, NULL},
    };
    static const struct class class = {.name = SYMBOLS_CLASS,
                                       .methods = methods};

    class_open(L, &class);
    luaL_setfuncs(L, functions, 0);
}
