/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Marks the functions that the shared library shows. */
#ifndef VMM_EXPORT_H
#define VMM_EXPORT_H

#define VMM_API __attribute__((visibility("default")))

#endif
