/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Our VMM: all that vmm-reference does, and `require "abacus"`. */
#include <vmm/lua.h>
#include <vmm/version.h>

#include "abacus.h"

#if VMM_API_VERSION < VMM_API_NUMBER(0, 1, 0)
#error "this needs vmm 0.1.0"
#endif

int main(int argc, char **argv)
{
    static const struct vmm_lua_module modules[] = {{"abacus", luaopen_abacus},
                                                    {NULL, NULL}};

    return vmm_lua_main_with(argc, argv, modules);
}
