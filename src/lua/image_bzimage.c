/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* The bzImage loader in Lua: vmm.load.bzimage and its kin. */
#include "lua/image.h"

static int push_bzimage_info(lua_State *L, const struct vmm_bzimage_info *info)
{
    lua_createtable(L, 0, 16);
    box_set_integer(L, "protocol", info->protocol);
    box_set_boolean(L, "loadable_64", info->loadable_64);
    box_set_boolean(L, "relocatable", info->relocatable);
    box_set_integer(L, "preferred_gpa", info->preferred_gpa);
    box_set_integer(L, "alignment", info->alignment);
    box_set_integer(L, "init_size", info->init_size);
    box_set_integer(L, "initrd_addr_max", info->initrd_addr_max);
    box_set_integer(L, "cmdline_size_max", info->cmdline_size_max);
    box_set_integer(L, "payload_offset", info->payload_offset);
    box_set_integer(L, "payload_bytes", info->payload_bytes);
    box_set_integer(L, "kernel_offset", info->kernel_offset);
    box_set_integer(L, "kernel_bytes", info->kernel_bytes);
    lua_pushstring(L, info->payload_format);
    lua_setfield(L, -2, "payload_format");
    lua_pushlstring(L, (const char *)info->setup_header,
                    info->setup_header_bytes);
    lua_setfield(L, -2, "setup_header");
    return 1;
}

static int load_bzimage_inspect(lua_State *L)
{
    struct vmm_bzimage_info info;
    struct vmm_error err;

    if (vmm_bzimage_inspect(check_image(L, 1), &info, &err))
        return push_error(L, &err);
    return push_bzimage_info(L, &info);
}

/* load.bzimage(mem, image, gpa) -> info */
static int load_bzimage(lua_State *L)
{
    struct vmm_memory *memory = check_memory(L, 1);
    struct vmm_image *image = check_image(L, 2);
    vmm_gpa_t gpa = (uint64_t)luaL_checkinteger(L, 3);
    struct vmm_bzimage_info info;
    struct vmm_error err;

    if (vmm_bzimage_load(image, memory, gpa, &info, &err))
        return push_error(L, &err);
    return push_bzimage_info(L, &info);
}

/* load.unpack(image) -> image of the vmlinux inside */
static int load_unpack(lua_State *L)
{
    struct vmm_image *image = check_image(L, 1);
    struct image_box *box = box_new(L, sizeof(*box), IMAGE_CLASS);
    struct vmm_error err;

    if (vmm_bzimage_unpack(image, &box->image, &err))
        return push_error(L, &err);
    box->open = true;
    return 1;
}

/* load.formats() -> array of the payload formats that load.unpack unpacks */
static int load_formats(lua_State *L)
{
    const char *name;

    lua_newtable(L);
    for (size_t i = 0; (name = vmm_bzimage_unpack_format(i)); i++) {
        lua_pushstring(L, name);
        lua_seti(L, -2, (lua_Integer)i + 1);
    }
    return 1;
}

void image_bzimage_open(lua_State *L)
{
    static const luaL_Reg loaders[] = {
        {"bzimage_inspect", load_bzimage_inspect},
        {"bzimage", load_bzimage},
        {"unpack", load_unpack},
        {"formats", load_formats},
        {NULL, NULL},
    };

    lua_getfield(L, -1, "load");
    luaL_setfuncs(L, loaders, 0);
    lua_pop(L, 1);
}
