/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* The version and the blocks of this build. */
#include "vmm_features.h"

#include <vmm/version.h>

#define TEXT(x)   #x
#define EXPAND(x) TEXT(x)

const char *vmm_version(void)
{
    return EXPAND(VMM_VERSION_MAJOR) "." EXPAND(VMM_VERSION_MINOR) "." EXPAND(
        VMM_VERSION_PATCH);
}

int vmm_api_version(void)
{
    return VMM_API_VERSION;
}

const char *vmm_features(void)
{
    return VMM_FEATURES;
}
