// SPDX-License-Identifier: BSD-3-Clause
#define ALLOW_EXPERIMENTAL_API // rte_ipv4_fragment_copy_nonseg_packet

#include "dataplane/split.h"

#include <errno.h>
#include <rte_ip_frag.h>
#include <rte_mbuf.h>

#include "dataplane/checksum.h"
#include "dataplane/parse.h"

static uint32_t header_size(const struct sluice_ipv4 *ip)
{
	return (ip->version_ihl & 0x0f) * 4U;
}

static uint32_t header_sum(const struct sluice_ipv4 *ip)
{
	return sluice_sum_bytes(ip, header_size(ip));
}

// DPDK leaves the checksum out. What was wrong stays wrong, for the receiver to see.
static void finish_header(const struct sluice_ipv4 *whole, struct sluice_ipv4 *ip)
{
	uint32_t sum = header_sum(whole) + (uint16_t)~whole->checksum;

	ip->checksum = sluice_checksum_update(whole->checksum, sum, header_sum(ip));
}

// m: an IP packet without its Ethernet header.
static void describe(const struct sluice_packet *p, struct rte_mbuf *m, struct sluice_packet *piece)
{
	struct sluice_ipv4 *ip = rte_pktmbuf_mtod(m, struct sluice_ipv4 *);

	finish_header(sluice_packet_l3(p), ip);
	*piece = *p;
	piece->data = (uint8_t *)rte_pktmbuf_prepend(m, p->l3);
	memcpy(piece->data, p->data, p->l3);
	piece->buffer = m;
	piece->length = m->pkt_len;
	piece->head = m->data_len;
	piece->verdict = SLUICE_VERDICT_NONE;
	piece->fragment = sluice_parse_fragment(ip->fragment, SLUICE_FRAGMENT_OFFSET_V4,
	                                        SLUICE_FRAGMENT_MORE_V4);
	piece->plain = 0;
}

unsigned sluice_split(struct sluice_pipeline *ctx, struct sluice_packet *p,
                      struct sluice_packet *pieces)
{
	struct rte_mbuf *m = p->buffer, *cut[SLUICE_BURST];
	int n;

	m->data_off = (uint16_t)(p->data + p->l3 - (uint8_t *)m->buf_addr);
	m->data_len = (uint16_t)(sluice_packet_end(p) - p->l3);
	m->pkt_len = m->data_len;
	n = rte_ipv4_fragment_copy_nonseg_packet(m, cut, SLUICE_BURST, p->mtu, m->pool);
	for (int i = 0; i < n; i++)
		describe(p, cut[i], &pieces[i]);
	rte_pktmbuf_free(m);
	if (n < 0) {
		sluice_packet_drop(p, n == -ENOMEM ? SLUICE_DROP_NO_BUFFER : SLUICE_DROP_TOO_BIG);
		sluice_count(&ctx->counters->drops[p->reason], 1);
		return 0;
	}
	sluice_count(&ctx->counters->split, (uint64_t)n - 1);
	sluice_pipeline_run_pieces(ctx, pieces, (unsigned)n);
	return (unsigned)n;
}
