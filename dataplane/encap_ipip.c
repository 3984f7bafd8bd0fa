// SPDX-License-Identifier: BSD-3-Clause

// Forwarding mode ipip: IP in IP (RFC 2003), IPv6 in IPv4 (RFC 4213), either in IPv6 (RFC 2473).

#include "dataplane/encap.h"

SLUICE_INLINE void encap_one(struct sluice_pipeline *ctx, struct sluice_packet *p,
                             const struct sluice_endpoint *e, enum sluice_family inner,
                             enum sluice_family outer)
{
	struct sluice_inner i = sluice_inner_read(p, inner);

	sluice_encap(ctx, p, e, &i, 0, outer);
}

static void ipip_in(struct sluice_pipeline *ctx, struct sluice_packet *const *packets,
                    unsigned count)
{
	sluice_encap_burst(ctx, packets, count, SLUICE_FORWARD_IPIP, encap_one);
}

const struct sluice_forward_ops sluice_forward_ipip = {.in = ipip_in};
