/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* The functions of libslirp, which is opened when it is first used. */
#ifndef NET_SLIRP_LIBRARY_H
#define NET_SLIRP_LIBRARY_H

#include <slirp/libslirp.h>

#include <vmm/error.h>

struct slirp_library {
    void *handle;
    Slirp *(*new)(const SlirpConfig *config, const SlirpCb *callbacks,
                  void *opaque);
    void (*cleanup)(Slirp *slirp);
    void (*fill)(Slirp *slirp, uint32_t *timeout_ms, SlirpAddPollCb add,
                 void *opaque);
    void (*poll)(Slirp *slirp, int select_error, SlirpGetREventsCb events,
                 void *opaque);
    void (*input)(Slirp *slirp, const uint8_t *frame, int len);
    int (*forward)(Slirp *slirp, int is_udp, struct in_addr host, int host_port,
                   struct in_addr guest, int guest_port);
};

/* 0, or -ENOSYS: it is not installed. */
int slirp_library_open(struct slirp_library *library, struct vmm_error *err);
void slirp_library_close(struct slirp_library *library);

#endif
