/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* fuzz_virtio_block.c for a device whose requests a program takes and finishes.
 */
#define FUZZ_BACKEND true
#include "fuzz_virtio_block.c"
