/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* What the Lua faces of the loaders share; each is a file of its own. */
#ifndef VMM_LUA_IMAGE_H
#define VMM_LUA_IMAGE_H

#include "lua/classes.h"

/* What an image's userdata holds. */
struct image_box {
    struct vmm_image image;
    bool open;
};

/* Each adds its loaders to the field "load" of the table on top. */
void image_elf_open(lua_State *L);
void image_bzimage_open(lua_State *L);

#endif
