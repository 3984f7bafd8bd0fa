// SPDX-License-Identifier: BSD-3-Clause

// Forwarding mode gue: IP behind UDP, without a header between (draft-ietf-intarea-gue, variant 1:
// what follows tells by its first bits what it is). The source port is the flow's, so that routers
// and network cards that spread by ports spread these too.

#include "dataplane/encap.h"

enum {
	FIRST_SOURCE_PORT = 49152, // of the 16384 dynamic ones (RFC 6335)
};

// Without a checksum: the packet inside has its own, and the outer addresses are covered in IPv4
// and may go uncovered in IPv6 (RFC 6935, RFC 6936).
static inline void write_udp(struct sluice_udp *udp, uint64_t hash, uint16_t length)
{
	udp->source = htons((uint16_t)(FIRST_SOURCE_PORT | hash >> 50));
	udp->destination = htons(SLUICE_GUE_PORT);
	udp->length = htons((uint16_t)(sizeof(*udp) + length));
	udp->checksum = 0;
}

SLUICE_INLINE void encap_one(struct sluice_pipeline *ctx, struct sluice_packet *p,
                             const struct sluice_endpoint *e, enum sluice_family inner,
                             enum sluice_family outer)
{
	struct sluice_inner i = sluice_inner_read(p, inner);
	struct sluice_udp *udp = sluice_packet_l3(p);

	write_udp(udp - 1, p->hash, i.length);
	i.protocol = IPPROTO_UDP;
	sluice_encap(ctx, p, e, &i, sizeof(*udp), outer);
}

static void gue_in(struct sluice_pipeline *ctx, struct sluice_packet *const *packets,
                   unsigned count)
{
	sluice_encap_burst(ctx, packets, count, SLUICE_FORWARD_GUE, encap_one);
}

const struct sluice_forward_ops sluice_forward_gue = {.in = gue_in};
