// SPDX-License-Identifier: BSD-3-Clause
#include "oracle.h"

#include <arpa/inet.h>
#include <string.h>

// What was read of a packet.
struct reading {
	const uint8_t *bytes;
	uint32_t length, head;
	bool v6, tagged;
	enum { WHOLE, FIRST, LATER } fragment;
	const uint8_t *fragment_header; // IPv6, the outermost
	uint32_t l3;
	uint32_t end; // of the IP packet
	uint32_t l4;
	uint8_t protocol, ttl, flags;
	char source[INET6_ADDRSTRLEN], destination[INET6_ADDRSTRLEN];
	uint16_t source_port, destination_port;
};

static uint16_t get16(const uint8_t *bytes)
{
	return (uint16_t)(bytes[0] * 256 + bytes[1]);
}

static uint32_t get32(const uint8_t *bytes)
{
	return (uint32_t)get16(bytes) * 65536 + get16(bytes + 2);
}

static bool drop(struct oracle_answer *a, enum sluice_drop reason)
{
	a->verdict = SLUICE_VERDICT_DROP;
	a->reason = (uint8_t)reason;
	return false;
}

static bool pass(struct oracle_answer *a)
{
	a->verdict = SLUICE_VERDICT_PASS;
	return false;
}

// ---- reading; each returns false where the packet's fate is decided

static bool read_tcp(struct reading *r, struct oracle_answer *a)
{
	const uint8_t *h = r->bytes + r->l4;
	unsigned words = h[12] / 16;

	r->flags = h[13];
	if (words < 5 || r->l4 + words * 4 > r->end)
		return drop(a, SLUICE_DROP_BAD_HEADER);
	return true;
}

static bool read_udp(const struct reading *r, struct oracle_answer *a)
{
	unsigned length = get16(r->bytes + r->l4 + 4);

	if (length < 8 || (r->fragment == WHOLE && r->l4 + length > r->end))
		return drop(a, SLUICE_DROP_BAD_HEADER);
	return true;
}

static bool read_transport(struct reading *r, struct oracle_answer *a)
{
	unsigned least = r->protocol == TCP ? 20 : 8;

	if (r->v6 && r->fragment == LATER &&
	    (r->protocol == 0 || r->protocol == 43 || r->protocol == 44 || r->protocol == 60))
		return true;
	if (r->protocol != TCP && r->protocol != UDP)
		return pass(a);
	if (r->fragment == LATER)
		return true;
	if (r->l4 + least > r->end)
		return drop(a, SLUICE_DROP_BAD_HEADER);
	if (r->l4 + least > r->head)
		return drop(a, SLUICE_DROP_TRUNCATED);
	r->source_port = get16(r->bytes + r->l4);
	r->destination_port = get16(r->bytes + r->l4 + 2);
	return r->protocol == TCP ? read_tcp(r, a) : read_udp(r, a);
}

static bool read_v4(struct reading *r, struct oracle_answer *a)
{
	const uint8_t *ip = r->bytes + r->l3;

	if (r->head < r->l3 + 20)
		return drop(a, SLUICE_DROP_TRUNCATED);
	unsigned header = ip[0] % 16 * 4, total = get16(ip + 2);

	if (ip[0] / 16 != 4 || header < 20 || total < header)
		return drop(a, SLUICE_DROP_BAD_HEADER);
	if (r->l3 + total > r->length || r->l3 + header > r->head)
		return drop(a, SLUICE_DROP_TRUNCATED);
	r->end = r->l3 + total;
	r->l4 = r->l3 + header;
	r->protocol = ip[9];
	r->ttl = ip[8];
	r->fragment = get16(ip + 6) % 0x2000 != 0 ? LATER : ip[6] & 0x20 ? FIRST : WHOLE;
	inet_ntop(AF_INET, ip + 12, r->source, sizeof(r->source));
	inet_ntop(AF_INET, ip + 16, r->destination, sizeof(r->destination));
	return read_transport(r, a);
}

// One extension header at r->l4; its successor's type goes to *next.
static bool read_extension(struct reading *r, uint8_t *next, struct oracle_answer *a)
{
	const uint8_t *h = r->bytes + r->l4;

	if (r->l4 + 8 > r->end)
		return drop(a, SLUICE_DROP_BAD_HEADER);
	if (r->l4 + 8 > r->head)
		return drop(a, SLUICE_DROP_TRUNCATED);
	if (*next == 43 && h[3] > 0)
		return pass(a);
	if (*next == 44 && !r->fragment_header)
		r->fragment_header = h;
	if (*next == 44)
		r->fragment = get16(h + 2) / 8 != 0 ? LATER : h[3] % 2 == 1 ? FIRST : WHOLE;
	r->l4 += *next == 44 ? 8 : (h[1] + 1) * 8;
	*next = h[0];
	return true;
}

static bool read_v6(struct reading *r, struct oracle_answer *a)
{
	const uint8_t *ip = r->bytes + r->l3;

	if (r->head < r->l3 + 40)
		return drop(a, SLUICE_DROP_TRUNCATED);
	if (ip[0] / 16 != 6)
		return drop(a, SLUICE_DROP_BAD_HEADER);
	r->end = r->l3 + 40 + get16(ip + 4);
	if (r->end > r->length)
		return drop(a, SLUICE_DROP_TRUNCATED);
	r->ttl = ip[7];
	inet_ntop(AF_INET6, ip + 8, r->source, sizeof(r->source));
	inet_ntop(AF_INET6, ip + 24, r->destination, sizeof(r->destination));

	uint8_t next = ip[6];
	unsigned seen = 0;

	r->l4 = r->l3 + 40;
	while (r->fragment != LATER && (next == 0 || next == 43 || next == 44 || next == 60)) {
		if (++seen > 8)
			return drop(a, SLUICE_DROP_BAD_HEADER);
		if (!read_extension(r, &next, a))
			return false;
	}
	if (r->l4 > r->end)
		return drop(a, SLUICE_DROP_BAD_HEADER);
	r->protocol = next;
	return read_transport(r, a);
}

static bool read_packet(struct reading *r, struct oracle_answer *a)
{
	r->l3 = 14;
	if (r->head < r->l3)
		return drop(a, SLUICE_DROP_TRUNCATED);
	if (get16(r->bytes + 12) == 0x8100) {
		r->l3 = 18;
		if (r->head < r->l3)
			return drop(a, SLUICE_DROP_TRUNCATED);
		r->tagged = get16(r->bytes + 14) % 4096 != 0; // else a priority, no VLAN
	}
	switch (get16(r->bytes + r->l3 - 2)) {
	case 0x0800:
		return read_v4(r, a);
	case 0x86dd:
		r->v6 = true;
		return read_v6(r, a);
	default:
		return pass(a);
	}
}

// ---- deciding

// Text is compared with text, in the form inet_ntop gives.
static bool is_address(const char *written, const char *text)
{
	char canonical[INET6_ADDRSTRLEN];
	uint8_t bytes[16];
	int family = strchr(written, ':') ? AF_INET6 : AF_INET;

	inet_pton(family, written, bytes);
	inet_ntop(family, bytes, canonical, sizeof(canonical));
	return strcmp(canonical, text) == 0;
}

// The endpoint of an entry's service stands in the service's first line.
static const struct world_entry *endpoint_of(size_t entry)
{
	while (world_entries[entry].same_service)
		entry--;
	return &world_entries[entry];
}

static bool is_local(const char *text)
{
	return is_address("192.0.2.10", text) || is_address("172.17.0.1", text) ||
	       is_address("2001:db8:2::10", text) || is_address("fd00::1", text);
}

// Copies the frame with another address and port on one side, a hop less to live.
static void rewrite(const struct reading *r, struct oracle_answer *a, bool source,
                    const char *address, uint16_t port)
{
	uint8_t *bytes = a->frame.bytes;
	uint32_t at = 14 + (r->v6 ? 8 : 12), tag = r->l3 - 14;

	if (!source)
		at += r->v6 ? 16 : 4;
	memcpy(bytes, r->bytes, 12);
	memcpy(bytes + 12, r->bytes + 12 + tag, r->length - tag - 12);
	a->frame.length = r->length - tag;
	a->ip = 14;
	a->l4 = r->l4 - tag;
	a->untagged = tag;
	inet_pton(r->v6 ? AF_INET6 : AF_INET, address, bytes + at);
	if (r->fragment != LATER) {
		bytes[a->l4 + (source ? 0 : 2)] = (uint8_t)(port / 256);
		bytes[a->l4 + (source ? 1 : 3)] = (uint8_t)(port % 256);
	}
	bytes[14 + (r->v6 ? 7 : 8)]--;
	a->protocol = r->protocol;
}

// No answer to what is in pieces, to a frame for many, nor to a sender that is no single host.
static bool is_answerable(const struct reading *r)
{
	static const uint8_t unspecified[16], loopback[16] = {[15] = 1};
	const uint8_t *v4 = r->bytes + r->l3 + 12, *v6 = r->bytes + r->l3 + 8;

	if (r->head != r->length || r->bytes[0] % 2 != 0)
		return false;
	if (r->v6)
		return v6[0] != 0xff && memcmp(v6, unspecified, 16) != 0 &&
		       memcmp(v6, loopback, 16) != 0;
	return v4[0] != 0 && v4[0] != 127 && v4[0] < 224;
}

// The frame goes back to whom the packet came from.
static void send_back(const struct reading *r, struct oracle_answer *a)
{
	memmove(a->frame.bytes + r->l3, a->frame.bytes + 14, a->frame.length - 14);
	a->frame.length += r->l3 - 14;
	memcpy(a->frame.bytes, r->bytes + 6, 6);
	memcpy(a->frame.bytes + 6, r->bytes, 6);
	memcpy(a->frame.bytes + 12, r->bytes + 12, r->l3 - 12);
	a->verdict = SLUICE_VERDICT_TRANSMIT;
	a->refused = true;
}

static void answer_error(const struct reading *r, struct oracle_answer *a, uint16_t type_code,
                         uint32_t word)
{
	static struct frame original;
	uint32_t quote = r->end - r->l3, most = r->v6 ? 1232 : 548;
	struct frame_fields answer = {.source = r->destination,
	                              .destination = r->source,
	                              .protocol = r->v6 ? ICMP6 : ICMP,
	                              .fragment = r->v6 ? 0 : 0x4000};

	memcpy(original.bytes + 14, r->bytes + r->l3, r->length - r->l3);
	frame_build_error(&a->frame, &answer, type_code, word, &original,
	                  quote < most ? quote : most);
	send_back(r, a);
}

// IPv4 without "don't fragment" is cut. The MTU here leaves room for all headers in any piece.
static bool is_cut(const struct reading *r)
{
	const uint8_t *ip = r->bytes + r->l3;
	uint32_t last = get16(ip + 6) % 0x2000 * 8 + get16(ip + 2) - ip[0] % 16 * 4U;

	return !r->v6 && !(ip[6] & 0x40) && r->head == r->length && last < 65536;
}

// Of fragments only the first one is answered.
static void refuse_size(const struct reading *r, struct oracle_answer *a)
{
	if (is_cut(r))
		a->verdict = SLUICE_VERDICT_SPLIT;
	else if ((r->v6 || r->bytes[r->l3 + 6] & 0x40) && r->fragment != LATER && is_answerable(r))
		answer_error(r, a, r->v6 ? 0x0200 : 0x0304, a->mtu);
	else
		drop(a, SLUICE_DROP_TOO_BIG);
}

static void leave(const struct reading *r, struct oracle_answer *a, enum world_hop hop,
                  uint8_t port)
{
	const uint8_t macs[2][12] = {{2, 0, 0, 0, 0, GATEWAY, 2, 0, 0, 0, 0, HOST_0},
	                             {2, 0, 0, 0, 0, BACKEND, 2, 0, 0, 0, 0, HOST_1}};

	a->mtu = hop == NARROW ? 100 : 1500;
	if (hop == NO_ROUTE) {
		drop(a, SLUICE_DROP_NO_ROUTE);
	} else if (r->length > r->l3 + a->mtu) {
		refuse_size(r, a);
	} else if (r->ttl < 2) {
		drop(a, SLUICE_DROP_TTL_EXPIRED);
	} else if (hop == UNRESOLVED) {
		a->verdict = SLUICE_VERDICT_RESOLVE;
		memcpy(a->frame.bytes + 12, r->bytes + 12, 2); // nobody made a new one
	} else {
		a->verdict = SLUICE_VERDICT_TRANSMIT;
		a->port = port;
		memcpy(a->frame.bytes, macs[port], 12);
	}
}

static void refuse(const struct reading *r, struct oracle_answer *a)
{
	const uint8_t *tcp = r->bytes + r->l4;
	struct frame_fields answer = {.source = r->destination,
	                              .destination = r->source,
	                              .source_port = r->destination_port,
	                              .destination_port = r->source_port,
	                              .fragment = r->v6 ? 0 : 0x4000,
	                              .protocol = TCP,
	                              .flags = r->flags & ACK ? RST : RST | ACK};

	if ((r->protocol == TCP && r->flags & RST) || !is_answerable(r)) {
		drop(a, SLUICE_DROP_NO_ENDPOINT);
		return;
	}
	if (r->protocol == UDP) {
		answer_error(r, a, r->v6 ? 0x0104 : 0x0303, 0);
		return;
	}
	uint32_t data = r->end - r->l4 - tcp[12] / 16 * 4;

	if (r->flags & ACK)
		answer.sequence = get32(tcp + 8);
	else
		answer.acknowledgement =
		        get32(tcp + 4) + data + (r->flags & SYN ? 1 : 0) + (r->flags & FIN ? 1 : 0);
	frame_build(&a->frame, &answer);
	send_back(r, a);
}

static void client_of(const struct reading *r, bool source, struct oracle_flow *flow)
{
	memset(flow, 0, sizeof(*flow));
	inet_pton(r->v6 ? AF_INET6 : AF_INET, source ? r->source : r->destination, flow->client);
	flow->port = source ? r->source_port : r->destination_port;
	flow->family = r->v6 ? 6 : 4;
}

static enum world_hop route(const struct reading *r)
{
	static const struct {
		const char *prefix;
		enum world_hop hop;
	} routes[] = {
	        {"198.51.100.", READY},   {"198.51.101.", UNRESOLVED},   {"198.51.102.", NARROW},
	        {"2001:db8:100:", READY}, {"2001:db8:101:", UNRESOLVED}, {"2001:db8:102:", NARROW},
	};

	for (unsigned i = 0; i < 6; i++)
		if (strncmp(r->destination, routes[i].prefix, strlen(routes[i].prefix)) == 0)
			return routes[i].hop;
	return NO_ROUTE;
}

// ---- fragments

static void datagram_of(const struct reading *r, struct oracle_datagram *d)
{
	const uint8_t *ip = r->bytes + r->l3;

	memset(d, 0, sizeof(*d));
	memcpy(d->addresses, r->v6 ? ip + 8 : ip + 12, r->v6 ? 32 : 8);
	d->family = r->v6 ? 6 : 4;
	d->id = r->v6 ? get32(r->fragment_header + 4) : get16(ip + 4);
	d->protocol = r->v6 ? 0 : r->protocol;
}

static void learn_datagram(const struct reading *r, struct oracle_answer *a, size_t entry,
                           bool kernels)
{
	if (r->fragment != FIRST)
		return;
	datagram_of(r, &a->datagram);
	a->datagram.entry = (uint8_t)entry;
	a->datagram.kernels = kernels;
	a->datagram_learn = true;
}

static struct oracle_datagram *find_datagram(struct oracle *o, const struct oracle_datagram *like)
{
	for (unsigned i = 0; i < o->datagram_count; i++) {
		struct oracle_datagram *d = &o->datagrams[i];

		if (memcmp(d->addresses, like->addresses, 32) == 0 && d->id == like->id &&
		    d->protocol == like->protocol && d->family == like->family)
			return d;
	}
	return NULL;
}

// One in progress stays what it is.
static void keep_datagram(struct oracle *o, const struct oracle_datagram *new)
{
	struct oracle_datagram *d = find_datagram(o, new);

	if (d && !d->done)
		return;
	if (!d) {
		CHECK(o->datagram_count < ORACLE_DATAGRAMS);
		d = &o->datagrams[o->datagram_count++];
	}
	*d = *new;
}

static bool is_endpoint(const char *address)
{
	for (size_t i = 0; i < world_entry_count; i++)
		if (world_entries[i].endpoint && is_address(world_entries[i].endpoint, address))
			return true;
	return false;
}

static bool is_entry(const char *address)
{
	for (size_t i = 0; i < world_entry_count; i++)
		if (is_address(world_entries[i].address, address))
			return true;
	return false;
}

// Whether a fragment may be a service's, by its addresses.
static bool may_be_ours(const struct reading *r)
{
	if (is_entry(r->destination))
		return true;
	return is_endpoint(r->source) && !is_local(r->destination);
}

static void judge_later(struct oracle *o, const struct reading *r, struct oracle_answer *a)
{
	const struct oracle_datagram *d;
	const struct world_entry *e;

	if (!may_be_ours(r)) {
		pass(a);
		return;
	}
	datagram_of(r, &a->datagram);
	d = find_datagram(o, &a->datagram);
	a->fragment = true;
	a->datagram_known = d != NULL;
	a->datagram_last = r->v6 ? r->fragment_header[3] % 2 == 0 : !(r->bytes[r->l3 + 6] & 0x20);
	if (!d && !is_local(r->destination)) {
		a->verdict = SLUICE_VERDICT_HOLD;
	} else if (!d || d->kernels) {
		pass(a);
	} else if (r->tagged) {
		drop(a, SLUICE_DROP_VLAN);
	} else if (is_address(world_entries[d->entry].address, r->destination)) {
		e = endpoint_of(d->entry);
		rewrite(r, a, false, e->endpoint, 0);
		leave(r, a, e->hop, 1);
	} else {
		rewrite(r, a, true, world_entries[d->entry].address, 0);
		leave(r, a, route(r), 0);
	}
}

static void judge_in(const struct reading *r, struct oracle_answer *a, size_t entry)
{
	const struct world_entry *e = endpoint_of(entry);

	if (!e->endpoint) {
		if (e->on_empty == SLUICE_ON_EMPTY_REFUSE)
			refuse(r, a);
		else
			drop(a, SLUICE_DROP_NO_ENDPOINT);
		return;
	}
	client_of(r, true, &a->flow);
	a->flow.entry = (uint8_t)entry;
	a->learn = true;
	learn_datagram(r, a, entry, false);
	rewrite(r, a, false, e->endpoint, e->endpoint_port);
	leave(r, a, e->hop, 1);
}

static bool knows(const struct oracle *o, const struct reading *r, size_t entry)
{
	struct oracle_flow flow;

	client_of(r, false, &flow);
	flow.entry = (uint8_t)entry;
	for (unsigned i = 0; i < o->flow_count; i++)
		if (memcmp(&o->flows[i], &flow, sizeof(flow)) == 0)
			return true;
	return false;
}

// false: not from an endpoint.
static bool judge_return(const struct oracle *o, const struct reading *r, struct oracle_answer *a)
{
	size_t candidates = 0, candidate = 0, known = world_entry_count;

	for (size_t i = 0; i < world_entry_count; i++) {
		const struct world_entry *e = endpoint_of(i);

		if (!e->endpoint || e->protocol != r->protocol ||
		    e->endpoint_port != r->source_port || !is_address(e->endpoint, r->source))
			continue;
		candidates++;
		candidate = i;
		if (known == world_entry_count && knows(o, r, i))
			known = i;
	}
	if (candidates == 0 || is_local(r->destination))
		return false;
	if (r->tagged) {
		drop(a, SLUICE_DROP_VLAN);
		return true;
	}
	if (candidates > 1 && known == world_entry_count) {
		drop(a, SLUICE_DROP_NO_RETURN_FLOW);
		return true;
	}
	if (candidates > 1)
		candidate = known;
	learn_datagram(r, a, candidate, false);
	rewrite(r, a, true, world_entries[candidate].address, world_entries[candidate].port);
	leave(r, a, route(r), 0);
	return true;
}

static void judge(struct oracle *o, const struct frame *f, uint32_t head, struct oracle_answer *a)
{
	struct reading r = {.bytes = f->bytes, .length = f->length, .head = head};

	a->verdict = SLUICE_VERDICT_NONE;
	a->refused = a->learn = false;
	a->fragment = a->datagram_known = a->datagram_learn = false;
	if (!read_packet(&r, a))
		return;
	if (r.fragment == LATER) {
		judge_later(o, &r, a);
		return;
	}
	for (size_t i = 0; i < world_entry_count; i++) {
		const struct world_entry *e = &world_entries[i];

		if (!is_address(e->address, r.destination) || e->port != r.destination_port ||
		    e->protocol != r.protocol)
			continue;
		if (r.tagged)
			drop(a, SLUICE_DROP_VLAN);
		else
			judge_in(&r, a, i);
		return;
	}
	if (judge_return(o, &r, a))
		return;
	pass(a);
	if (may_be_ours(&r) && !is_local(r.destination))
		learn_datagram(&r, a, 0, true);
}

void oracle_judge(struct oracle *o, const struct frame *const *frames, const uint32_t *heads,
                  struct oracle_answer *answers, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		judge(o, frames[i], heads[i], &answers[i]);
		if (answers[i].datagram_learn)
			keep_datagram(o, &answers[i].datagram);
	}
	for (unsigned i = 0; i < count; i++) {
		struct oracle_answer *a = &answers[i];

		if (!a->fragment)
			continue;
		judge(o, frames[i], heads[i], a);
		if (a->datagram_known && a->datagram_last)
			find_datagram(o, &a->datagram)->done = true;
	}
}

void oracle_learn(struct oracle *o, const struct oracle_answer *a)
{
	if (!a->learn)
		return;
	for (unsigned i = 0; i < o->flow_count; i++)
		if (memcmp(&o->flows[i], &a->flow, sizeof(a->flow)) == 0)
			return;
	CHECK(o->flow_count < ORACLE_FLOWS);
	o->flows[o->flow_count++] = a->flow;
}

// ---- comparing

// A checksum that was wrong stays wrong by as much; the sum over all it covers tells.
static bool same_sums(const struct oracle_answer *a, const struct frame *in,
                      const struct frame *out)
{
	uint32_t in_ip = a->ip + a->untagged, in_l4 = a->l4 + a->untagged;
	const uint8_t *ip = out->bytes + a->ip;
	bool v4 = ip[0] / 16 == 4;
	uint32_t header = ip[0] % 16 * 4U;
	uint32_t size = v4 ? get16(ip + 2) + a->ip - a->l4 : get16(ip + 4) + a->ip + 40 - a->l4;
	uint16_t before, after;

	if (v4 && frame_sum(in->bytes + in_ip, header, 0) != frame_sum(ip, header, 0))
		return false;
	if (a->fragment)
		return true;
	before = frame_pseudo_sum(in->bytes + in_ip, a->protocol, size);
	after = frame_pseudo_sum(ip, a->protocol, size);
	if (a->protocol == UDP && get16(in->bytes + in_l4 + 6) == 0)
		return get16(out->bytes + a->l4 + 6) == 0;
	if (a->protocol == UDP && get16(out->bytes + a->l4 + 6) == 0)
		return false;
	return frame_sum(in->bytes + in_l4, size, before) ==
	       frame_sum(out->bytes + a->l4, size, after);
}

bool oracle_agrees(const struct oracle_answer *a, const struct frame *in,
                   const struct outcome *outcome)
{
	const struct sluice_packet *p = &outcome->packet;
	static struct frame out;
	uint32_t checksum = a->l4 + (a->protocol == TCP ? 16 : 6);

	if (p->verdict != a->verdict)
		return false;
	if (a->verdict == SLUICE_VERDICT_DROP)
		return p->reason == a->reason;
	if (a->verdict == SLUICE_VERDICT_PASS || a->verdict == SLUICE_VERDICT_HOLD)
		return true;
	if (a->verdict == SLUICE_VERDICT_SPLIT)
		return p->mtu == a->mtu;
	if (p->moved != (a->refused || (a->verdict == SLUICE_VERDICT_TRANSMIT && a->untagged)) ||
	    outcome->frame.length != a->frame.length)
		return false;
	if (a->refused)
		return p->port_out == p->port_in &&
		       memcmp(outcome->frame.bytes, a->frame.bytes, a->frame.length) == 0;
	if (a->verdict == SLUICE_VERDICT_TRANSMIT && p->port_out != a->port)
		return false;
	if (!same_sums(a, in, &outcome->frame))
		return false;
	// All but the checksums, byte for byte.
	out = outcome->frame;
	if (!a->fragment)
		memcpy(out.bytes + checksum, a->frame.bytes + checksum, 2);
	if (out.bytes[a->ip] / 16 == 4)
		memcpy(out.bytes + a->ip + 10, a->frame.bytes + a->ip + 10, 2);
	return memcmp(out.bytes, a->frame.bytes, out.length) == 0;
}
