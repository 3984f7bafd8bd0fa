// SPDX-License-Identifier: BSD-3-Clause
#include "icmp_oracle.h"

#include <arpa/inet.h>
#include <string.h>

// An IP packet, or as much of it as there is.
struct part {
	const uint8_t *bytes;
	uint32_t size; // bytes that are there
	bool v6;
	uint32_t l4;
	uint8_t protocol;
	bool first, later; // fragment
};

static uint16_t get16(const uint8_t *bytes)
{
	return (uint16_t)(bytes[0] * 256 + bytes[1]);
}

static const uint8_t *address(const struct part *p, bool source)
{
	return p->bytes + (p->v6 ? (source ? 8 : 24) : (source ? 12 : 16));
}

static bool walk_v4(struct part *p)
{
	if (p->size < 20 || p->bytes[0] / 16 != 4)
		return false;
	p->l4 = p->bytes[0] % 16 * 4U;
	p->protocol = p->bytes[9];
	p->first = p->bytes[6] & 0x20;
	p->later = get16(p->bytes + 6) % 0x2000 != 0;
	return p->l4 >= 20;
}

static bool walk_v6(struct part *p)
{
	if (p->size < 40 || p->bytes[0] / 16 != 6)
		return false;
	p->l4 = 40;
	p->protocol = p->bytes[6];
	for (unsigned n = 0; n < 9; n++) {
		const uint8_t *h = p->bytes + p->l4;

		if (p->protocol != 0 && p->protocol != 43 && p->protocol != 44 && p->protocol != 60)
			return true;
		if (p->l4 + 8 > p->size || (p->protocol == 43 && h[3] != 0))
			return false;
		if (p->protocol == 44) {
			p->first = h[3] % 2 == 1;
			p->later = get16(h + 2) / 8 != 0;
		}
		p->l4 += p->protocol == 44 ? 8 : (h[1] + 1) * 8U;
		p->protocol = h[0];
		if (p->later)
			return true;
	}
	return false;
}

static bool walk(struct part *p)
{
	return p->v6 ? walk_v6(p) : walk_v4(p);
}

static bool is_error(const struct part *p)
{
	uint8_t type = p->bytes[p->l4];

	if (p->v6)
		return p->protocol == ICMP6 && (type == 1 || type == 2 || type == 3 || type == 4);
	return p->protocol == ICMP && (type == 3 || type == 11 || type == 12);
}

// Finds error and quote; false: the frame is none that is ours.
static bool find(const struct frame *f, uint32_t head, struct part *outer, struct part *quote)
{
	uint32_t l3 = get16(f->bytes + 12) == 0x8100 ? 18 : 14, end;

	outer->v6 = get16(f->bytes + l3 - 2) == 0x86dd;
	if (!outer->v6 && get16(f->bytes + l3 - 2) != 0x0800)
		return false;
	outer->bytes = f->bytes + l3;
	end = outer->v6 ? 40U + get16(outer->bytes + 4) : get16(outer->bytes + 2);
	outer->size = end < head - l3 ? end : head - l3;
	if (!walk(outer) || outer->first || outer->later || outer->l4 + 8 > outer->size ||
	    !is_error(outer))
		return false;
	quote->v6 = outer->v6;
	quote->bytes = outer->bytes + outer->l4 + 8;
	quote->size = outer->size - outer->l4 - 8;
	if (!walk(quote) || quote->later || (quote->protocol != TCP && quote->protocol != UDP))
		return false;
	if (quote->l4 + (head < f->length ? 20 : 4) > quote->size)
		return false;
	return memcmp(address(outer, false), address(quote, true), outer->v6 ? 16 : 4) == 0;
}

static void build_reply(const struct frame *f, const struct part *quote, struct frame *reply)
{
	char source[INET6_ADDRSTRLEN], destination[INET6_ADDRSTRLEN];
	struct frame_fields fields = {
	        .source = source,
	        .destination = destination,
	        .source_port = get16(quote->bytes + quote->l4 + 2),
	        .destination_port = get16(quote->bytes + quote->l4),
	        .protocol = quote->protocol,
	        .flags = ACK,
	};

	inet_ntop(quote->v6 ? AF_INET6 : AF_INET, address(quote, false), source, sizeof(source));
	inet_ntop(quote->v6 ? AF_INET6 : AF_INET, address(quote, true), destination,
	          sizeof(destination));
	if (get16(f->bytes + 12) == 0x8100 && get16(f->bytes + 14) % 4096 != 0)
		fields.tags[0] = 0x8100;
	frame_build(reply, &fields);
}

// Where the reply was changed, so is the error: its own address on that side, the quote's on the
// other. to: the reply as it would leave.
static void carry_over(const struct frame *reply, const struct frame *to, const struct part *outer,
                       const struct part *quote, struct frame *error)
{
	struct part before = {.bytes = reply->bytes + 14, .v6 = outer->v6};
	struct part after = {.bytes = to->bytes + 14, .v6 = outer->v6};
	unsigned size = outer->v6 ? 16 : 4, l4 = outer->v6 ? 40 : 20;
	uint32_t quote_at = 14 + outer->l4 + 8;

	for (unsigned source = 0; source < 2; source++) {
		const uint8_t *old = address(&before, source), *new = address(&after, source);
		uint32_t place = (uint32_t)(address(outer, source) - outer->bytes);
		uint32_t other = (uint32_t)(address(quote, !source) - quote->bytes);

		if (memcmp(old, new, size) == 0)
			continue;
		if (memcmp(error->bytes + 14 + place, old, size) == 0)
			memcpy(error->bytes + 14 + place, new, size);
		memcpy(error->bytes + quote_at + other, new, size);
		memcpy(error->bytes + quote_at + quote->l4 + (source ? 2 : 0),
		       after.bytes + l4 + (source ? 0 : 2), 2);
	}
	error->bytes[14 + (outer->v6 ? 7 : 8)]--;
}

static void set_drop(struct oracle_answer *a, enum sluice_drop reason)
{
	a->verdict = SLUICE_VERDICT_DROP;
	a->reason = (uint8_t)reason;
}

static void judge_error(const struct frame *f, const struct part *outer, const struct part *quote,
                        const struct frame *reply, struct icmp_answer *a)
{
	static struct oracle_answer of_reply;
	uint32_t l3 = (uint32_t)(outer->bytes - f->bytes);
	uint8_t ttl = outer->bytes[outer->v6 ? 7 : 8];

	of_reply = a->packet;
	a->packet.learn = a->packet.refused = false;
	if (of_reply.refused)
		set_drop(&a->packet, SLUICE_DROP_NO_ENDPOINT);
	if (of_reply.refused || of_reply.verdict == SLUICE_VERDICT_DROP ||
	    of_reply.verdict == SLUICE_VERDICT_PASS)
		return;
	if (f->length - l3 > of_reply.mtu) {
		set_drop(&a->packet, SLUICE_DROP_TOO_BIG);
		return;
	}
	if (ttl < 2) {
		set_drop(&a->packet, SLUICE_DROP_TTL_EXPIRED);
		return;
	}
	a->error = true;
	a->icmp = l3 + outer->l4;
	a->quote = a->icmp + 8;
	a->quote_l4 = quote->l4;
	a->quoted = quote->size;
	a->protocol = quote->protocol;
	a->packet.untagged = l3 - 14;
	a->packet.frame.length = f->length - a->packet.untagged;
	memcpy(a->packet.frame.bytes, f->bytes, 12);
	memcpy(a->packet.frame.bytes + 12, f->bytes + l3 - 2, f->length - l3 + 2);
	if (of_reply.verdict == SLUICE_VERDICT_TRANSMIT)
		memcpy(a->packet.frame.bytes, of_reply.frame.bytes, 12);
	else // without an Ethernet header of its own
		memcpy(a->packet.frame.bytes, f->bytes, 14);
	carry_over(reply, &of_reply.frame, outer, quote, &a->packet.frame);
}

void icmp_judge(struct oracle *o, const struct frame *f, uint32_t head, struct icmp_answer *a)
{
	const struct frame *one = f;
	static struct frame reply;
	struct part outer = {0}, quote = {0};

	a->found = a->error = false;
	oracle_judge(o, &one, &head, &a->packet, 1);
	if (a->packet.verdict != SLUICE_VERDICT_PASS || !find(f, head, &outer, &quote))
		return;
	a->found = true;
	build_reply(f, &quote, &reply);
	one = &reply;
	oracle_judge(o, &one, &reply.length, &a->packet, 1);
	judge_error(f, &outer, &quote, &reply, a);
}

// What a checksum covers plus the checksum: stays, as a wrong one stays wrong by as much.
static uint16_t quote_sum(const struct icmp_answer *a, const uint8_t *quote)
{
	uint32_t l4 = a->quote_l4, size = a->quoted - l4 < 20 ? a->quoted - l4 : 20;

	return frame_sum(quote + l4, size, frame_pseudo_sum(quote, a->protocol, 0));
}

static bool same_quote_sums(const struct icmp_answer *a, const uint8_t *before,
                            const uint8_t *after)
{
	uint32_t at = a->quote_l4 + (a->protocol == TCP ? 16 : 6);

	if (before[0] / 16 == 4 &&
	    frame_sum(before, before[0] % 16 * 4U, 0) != frame_sum(after, after[0] % 16 * 4U, 0))
		return false;
	if (at + 2 > a->quoted || (a->protocol == UDP && get16(before + at) == 0))
		return memcmp(before + at, after + at, a->quoted > at ? a->quoted - at : 0) == 0;
	return quote_sum(a, before) == quote_sum(a, after) &&
	       !(a->protocol == UDP && get16(after + at) == 0);
}

// Sum over the ICMP packet, with the pseudo header where ICMPv6 has one.
static uint16_t error_sum(const uint8_t *ip, uint32_t icmp)
{
	bool v6 = ip[0] / 16 == 6;
	uint32_t size = (v6 ? 40U + get16(ip + 4) : get16(ip + 2)) - icmp;

	return frame_sum(ip + icmp, size, v6 ? frame_pseudo_sum(ip, ICMP6, size) : 0);
}

bool icmp_agrees(const struct icmp_answer *a, const struct frame *in, const struct outcome *outcome)
{
	static struct frame out;
	uint32_t tag = a->packet.untagged, icmp = a->icmp - tag, quote = a->quote - tag;
	uint32_t sums[] = {24, quote + 10, icmp + 2, quote + a->quote_l4};

	if (!a->error)
		return oracle_agrees(&a->packet, in, outcome);
	if (outcome->packet.verdict != a->packet.verdict ||
	    outcome->frame.length != a->packet.frame.length ||
	    (a->packet.verdict == SLUICE_VERDICT_TRANSMIT &&
	     outcome->packet.port_out != a->packet.port))
		return false;
	out = outcome->frame;
	if (!same_quote_sums(a, in->bytes + a->quote, out.bytes + quote) ||
	    error_sum(in->bytes + 14 + tag, icmp - 14) != error_sum(out.bytes + 14, icmp - 14))
		return false;
	if (out.bytes[14] / 16 == 4 &&
	    frame_sum(in->bytes + 14 + tag, in->bytes[14 + tag] % 16 * 4U, 0) !=
	            frame_sum(out.bytes + 14, out.bytes[14] % 16 * 4U, 0))
		return false;
	// All but the checksums, byte for byte.
	sums[3] += a->protocol == TCP ? 16 : 6;
	for (unsigned i = out.bytes[14] / 16 == 4 ? 0 : 2; i < 4; i++)
		if (i < 3 || sums[3] + 2 <= quote + a->quoted)
			memcpy(out.bytes + sums[i], a->packet.frame.bytes + sums[i], 2);
	return memcmp(out.bytes, a->packet.frame.bytes, out.length) == 0;
}
