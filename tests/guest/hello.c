/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Says hello and ends: the least that a 64-bit guest needs to work. */
#include "lib/guest.h"

void guest(void *rsi)
{
    (void)rsi;
    put("Hello from a guest\n");
    pass();
}
