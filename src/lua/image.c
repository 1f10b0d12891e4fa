/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Images in Lua, and loaders that take any: the table vmm.load. */
#include "lua/image.h"

struct vmm_image *check_image(lua_State *L, int arg)
{
    struct image_box *box = luaL_checkudata(L, arg, IMAGE_CLASS);

    luaL_argcheck(L, box->open, arg, "the image is closed");
    return &box->image;
}

/* load.open(path) -> image */
static int image_from_file(lua_State *L)
{
    const char *path = luaL_checkstring(L, 1);
    struct image_box *box = box_new(L, sizeof(*box), IMAGE_CLASS);
    struct vmm_error err;

    if (vmm_image_open(path, &box->image, &err))
        return push_error(L, &err);
    box->open = true;
    return 1;
}

/* load.bytes(string [, name]) -> image; the string is kept. */
static int image_from_string(lua_State *L)
{
    size_t size;
    const char *bytes = luaL_checklstring(L, 1, &size);
    const char *name = luaL_optstring(L, 2, "image");
    struct image_box *box = box_new(L, sizeof(*box), IMAGE_CLASS);

    box_anchor(L, -1, 1);
    vmm_image_borrow(bytes, size, name, &box->image);
    box->open = true;
    return 1;
}

static int image_close(lua_State *L)
{
    struct image_box *box = luaL_checkudata(L, 1, IMAGE_CLASS);

    if (box->open)
        vmm_image_close(&box->image);
    box->open = false;
    return 0;
}

static int image_kind(lua_State *L)
{
    static const char *const names[] = {[VMM_IMAGE_RAW] = "raw",
                                        [VMM_IMAGE_ELF] = "elf",
                                        [VMM_IMAGE_BZIMAGE] = "bzimage"};

    lua_pushstring(L, names[vmm_image_kind(check_image(L, 1))]);
    return 1;
}

static int image_size(lua_State *L)
{
    lua_pushinteger(L, (lua_Integer)check_image(L, 1)->size_bytes);
    return 1;
}

static int image_name(lua_State *L)
{
    lua_pushstring(L, check_image(L, 1)->name);
    return 1;
}

static int image_tostring(lua_State *L)
{
    struct image_box *box = luaL_checkudata(L, 1, IMAGE_CLASS);

    if (box->open)
        lua_pushfstring(L, "vmm.image: %s, %I bytes", box->image.name,
                        (LUAI_UACINT)box->image.size_bytes);
    else
        lua_pushliteral(L, "vmm.image: closed");
    return 1;
}

/* image:read(offset, len) -> string, cut at the image's end */
static int image_read(lua_State *L)
{
    const struct vmm_image *image = check_image(L, 1);
    uint64_t offset = (uint64_t)luaL_checkinteger(L, 2);
    uint64_t len = (uint64_t)luaL_checkinteger(L, 3);

    if (offset > image->size_bytes)
        offset = image->size_bytes;
    if (len > image->size_bytes - offset)
        len = image->size_bytes - offset;
    lua_pushlstring(L, (const char *)image->bytes + offset, (size_t)len);
    return 1;
}

/* ---- loaders ---------------------------------------------------------------
 */

/* load.raw(mem, image, gpa) -> true */
static int load_raw(lua_State *L)
{
    struct vmm_memory *memory = check_memory(L, 1);
    struct vmm_image *image = check_image(L, 2);
    vmm_gpa_t gpa = (uint64_t)luaL_checkinteger(L, 3);
    struct vmm_error err;

    return push_result(L, vmm_raw_load(image, memory, gpa, &err), &err);
}

/* load.initrd(mem, image, { min_gpa =, max_gpa = }) -> gpa, size */
static int load_initrd(lua_State *L)
{
    struct vmm_memory *memory = check_memory(L, 1);
    struct vmm_image *image = check_image(L, 2);
    struct vmm_error err;
    vmm_gpa_t gpa;

    options_check(L, 3, "load.initrd", "min_gpa max_gpa");
    vmm_gpa_t min_gpa =
        (uint64_t)option_integer(L, 3, "min_gpa", 0, 0, LUA_MAXINTEGER);
    vmm_gpa_t max_gpa = (uint64_t)option_integer(L, 3, "max_gpa", 0x7fffffff, 0,
                                                 LUA_MAXINTEGER);
    if (vmm_initrd_load(image, memory, min_gpa, max_gpa, &gpa, &err))
        return push_error(L, &err);
    lua_pushinteger(L, (lua_Integer)gpa);
    lua_pushinteger(L, (lua_Integer)image->size_bytes);
    return 2;
}

void image_open(lua_State *L)
{
    static const luaL_Reg methods[] = {
        {"read", image_read},           {"close", image_close},
        {"__gc", image_close},          {"__close", image_close},
        {"__tostring", image_tostring}, {NULL, NULL},
    };
    static const luaL_Reg getters[] = {{"kind", image_kind},
                                       {"size", image_size},
                                       {"name", image_name},
                                       {NULL, NULL}};
    static const struct class class = {
        .name = IMAGE_CLASS, .methods = methods, .getters = getters};
    static const luaL_Reg loaders[] = {
        {"open", image_from_file},
        {"bytes", image_from_string},
        {"raw", load_raw},
        {"initrd", load_initrd},
        {NULL, NULL},
    };

    class_open(L, &class);
    luaL_newlib(L, loaders);
    lua_setfield(L, -2, "load");
}
