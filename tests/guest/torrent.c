/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* The flood, of 2 MiB: numbered lines of 64 bytes, then "PASS". */
#define LINES 32768
#include "flood.c"
