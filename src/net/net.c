/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* What all network backends share. */
#include <vmm/net.h>

void vmm_net_free(struct vmm_net *net)
{
    if (net)
        net->ops->destroy(net);
}
