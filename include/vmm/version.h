/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Which version of the library this is: compiled against, and running. */
#ifndef VMM_VERSION_H
#define VMM_VERSION_H

#include <vmm/export.h>

/* The one place that says so; the build reads it from here. */
#define VMM_VERSION_MAJOR 0
#define VMM_VERSION_MINOR 1
#define VMM_VERSION_PATCH 0

/* The number in the shared libraries' names (libvmm.so.0): another one when a
 * program that was linked before would no longer work. */
#define VMM_ABI_VERSION 0

/* To compare: #if VMM_API_VERSION >= VMM_API_NUMBER(0, 2, 0) */
#define VMM_API_NUMBER(major, minor, patch)                                    \
    ((major)*1000000 + (minor)*1000 + (patch))
#define VMM_API_VERSION                                                        \
    VMM_API_NUMBER(VMM_VERSION_MAJOR, VMM_VERSION_MINOR, VMM_VERSION_PATCH)

/* Of the library that runs: "0.1.0", and the same as a number as above. */
VMM_API const char *vmm_version(void);
VMM_API int vmm_api_version(void);

/* The blocks that this library was built with, by the names of `make
 * FEATURES=...`, separated by spaces.  Functions of the others are
 * declared by the headers all the same, but are not there to link to. */
VMM_API const char *vmm_features(void);

#endif
