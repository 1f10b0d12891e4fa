/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* The ELF loader in Lua: vmm.load.elf and its kin. */
#include "lua/image.h"

static int push_elf_info(lua_State *L, const struct vmm_elf_info *info)
{
    lua_createtable(L, 0, 6);
    box_set_integer(L, "entry", info->entry);
    box_set_integer(L, "entry_gpa", info->entry_gpa);
    box_set_integer(L, "low", info->low);
    box_set_integer(L, "high", info->high);
    box_set_boolean(L, "has_pvh", info->has_pvh);
    if (info->has_pvh)
        box_set_integer(L, "pvh_entry", info->pvh_entry);
    return 1;
}

static int load_elf_inspect(lua_State *L)
{
    struct vmm_elf_info info;
    struct vmm_error err;

    if (vmm_elf_inspect(check_image(L, 1), &info, &err))
        return push_error(L, &err);
    return push_elf_info(L, &info);
}

/* load.elf(mem, image [, { min_gpa =, slide = }]) -> info */
static int load_elf(lua_State *L)
{
    struct vmm_memory *memory = check_memory(L, 1);
    struct vmm_image *image = check_image(L, 2);
    struct vmm_elf_info info;
    struct vmm_error err;
    uint64_t min_gpa = 0, slide = 0;

    if (!lua_isnoneornil(L, 3)) {
        options_check(L, 3, "load.elf", "min_gpa slide");
        min_gpa =
            (uint64_t)option_integer(L, 3, "min_gpa", 0, 0, LUA_MAXINTEGER);
        slide = (uint64_t)option_integer(L, 3, "slide", 0, 0, LUA_MAXINTEGER);
    }
    if (vmm_elf_load(image, memory, min_gpa, slide, &info, &err))
        return push_error(L, &err);
    return push_elf_info(L, &info);
}

/* load.relocate(mem, image, slide) -> true */
static int load_relocate(lua_State *L)
{
    struct vmm_memory *memory = check_memory(L, 1);
    struct vmm_image *image = check_image(L, 2);
    uint64_t slide = (uint64_t)luaL_checkinteger(L, 3);
    struct vmm_error err;

    return push_result(L, vmm_elf_relocate(image, memory, slide, &err), &err);
}

void image_elf_open(lua_State *L)
{
    static const luaL_Reg loaders[] = {
        {"elf_inspect", load_elf_inspect},
        {"elf", load_elf},
        {"relocate", load_relocate},
        {NULL, NULL},
    };

    lua_getfield(L, -1, "load");
    luaL_setfuncs(L, loaders, 0);
    lua_pop(L, 1);
}
