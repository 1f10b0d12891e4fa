/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* The flood, of 512 KiB: numbered lines of 64 bytes, then "PASS". */
#define LINES 8192
#include "flood.c"
