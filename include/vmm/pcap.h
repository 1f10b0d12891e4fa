/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Frames written to a file for tcpdump, tshark, Wireshark. */
#ifndef VMM_PCAP_H
#define VMM_PCAP_H

#include <stdint.h>
#include <sys/uio.h>

#include <vmm/error.h>
#include <vmm/export.h>

/* A capture file in the classic format (nanoseconds, Ethernet).  Not
 * thread-safe. */
struct vmm_pcap;

/* A new file, or one that is replaced; what is no regular file is refused
 * (-EINVAL).  Once max_bytes (0: 1 GiB) are reached, or a write fails, nothing
 * more is written. */
VMM_API int vmm_pcap_open(const char *path, uint64_t max_bytes,
                          struct vmm_pcap **pcap, struct vmm_error *err);
/* Add a frame, with the time of now; written at once. */
VMM_API void vmm_pcap_add(struct vmm_pcap *pcap, const struct iovec *frame,
                          int count);
/* May be NULL. */
VMM_API void vmm_pcap_close(struct vmm_pcap *pcap);

#endif
