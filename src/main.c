/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* The program vmm-reference. */
#include <vmm/lua.h>

int main(int argc, char **argv)
{
    return vmm_lua_main(argc, argv);
}
