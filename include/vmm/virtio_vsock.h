/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* The socket device: stream sockets between guest and host, over unix sockets.
 */
#ifndef VMM_VIRTIO_VSOCK_H
#define VMM_VIRTIO_VSOCK_H

#include <vmm/virtio.h>

/*
 * Virtio 1.2, section 5.10, for stream sockets; the convention on the host's
 * side is Firecracker's:
 *
 * - The device listens at path.  A host program connects, writes
 *   "CONNECT <port>\n", and gets "OK <its own port>\n" once a program in the
 *   guest that listens on the port has it; else the connection is closed.
 * - A connection that the guest makes to CID 2 and a port goes to the unix
 *   socket "<path>_<port>"; it is reset when nobody listens there, or the
 *   listener's queue is full.
 *
 * Half-closes are passed on, both ways.  A reset in the guest closes the unix
 * socket.  Before the driver is ready, host programs wait at path.
 *
 * The guest may have VMM_VSOCK_BUFFER_BYTES on their way to a host program that
 * does not read; bytes for the guest wait in the host's own socket buffers.
 * Beyond VMM_VSOCK_CONNECTIONS_MAX, host programs wait and the guest's
 * connections are reset.
 */
#define VMM_VSOCK_BUFFER_BYTES    (256 * 1024)
#define VMM_VSOCK_CONNECTIONS_MAX 512

struct vmm_vsock_config {
    uint64_t cid; /* the guest's: 3 to 2^32 - 2 */
    const char *path;
    /* How long the guest may take to acknowledge that a connection is over
     * before it is reset, in ms; 0: 8000. */
    uint32_t close_ms;
};

/* -EINVAL for a CID that no guest can have; -ENAMETOOLONG for a path that
 * leaves no room for a port; else as for listening at path. */
VMM_API int vmm_virtio_vsock_new(struct vmm_memory *memory,
                                 struct vmm_loop *loop,
                                 const struct vmm_vsock_config *config,
                                 struct vmm_virtio **virtio,
                                 struct vmm_error *err);
/*
 * Close all connections and tell the guest by an event, after which its driver
 * asks for its CID anew: what a guest that was moved needs.  virtio: of
 * vmm_virtio_vsock_new (else -EINVAL).  Any thread.
 */
VMM_API int vmm_virtio_vsock_reset(struct vmm_virtio *virtio);

#endif
