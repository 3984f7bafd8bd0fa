// SPDX-License-Identifier: BSD-3-Clause
#include "dataplane/answer.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include "dataplane/checksum.h"
#include "dataplane/parse.h"

enum {
	ANSWER_TTL = 64,
	QUOTE_V4 = 548,  // so that the ICMP packet is no longer than 576 bytes (RFC 1812)
	QUOTE_V6 = 1232, // no longer than the least MTU of 1280
	ICMP_HEADER = 8,
};

const struct sluice_answer_error sluice_answer_too_big = {3, 4, 2, 0};

static void swap(void *a, void *b, size_t size)
{
	uint8_t keep[16];

	memcpy(keep, a, size);
	memcpy(a, b, size);
	memcpy(b, keep, size);
}

static void send_back(struct sluice_packet *p)
{
	swap(p->data, p->data + 6, 6);
	p->port_out = p->port_in;
	p->verdict = SLUICE_VERDICT_TRANSMIT;
}

// An IP header at the packet's start, addressed from the old destination to the old source.
static void write_network(struct sluice_packet *p, uint8_t protocol, uint16_t payload)
{
	if (p->family == SLUICE_IPV4) {
		struct sluice_ipv4 *ip = sluice_packet_l3(p);

		swap(ip->source, ip->destination, 4);
		ip->version_ihl = 0x45;
		ip->tos = 0;
		ip->total_length = htons((uint16_t)(sizeof(*ip) + payload));
		ip->id = 0;
		ip->fragment = htons(SLUICE_DONT_FRAGMENT_V4); // then id may be 0 (RFC 6864)
		ip->ttl = ANSWER_TTL;
		ip->protocol = protocol;
		ip->checksum = 0;
		ip->checksum = sluice_checksum_bytes(ip, sizeof(*ip));
	} else {
		struct sluice_ipv6 *ip = sluice_packet_l3(p);

		swap(ip->source, ip->destination, 16);
		ip->version_class_flow = htonl(6U << 28);
		ip->payload_length = htons(payload);
		ip->next_header = protocol;
		ip->hop_limit = ANSWER_TTL;
	}
}

static uint32_t network_size(const struct sluice_packet *p)
{
	return p->family == SLUICE_IPV4 ? sizeof(struct sluice_ipv4) : sizeof(struct sluice_ipv6);
}

static uint16_t transport_checksum(struct sluice_packet *p, uint8_t protocol, uint16_t length)
{
	const uint8_t *l3 = sluice_packet_l3(p);
	unsigned size = p->family == SLUICE_IPV4 ? 4 : 16;
	const uint8_t *source = l3 + (p->family == SLUICE_IPV4 ? 12 : 8);

	return sluice_checksum_transport(source, source + size, size, protocol,
	                                 l3 + network_size(p), length);
}

void sluice_answer_reset(struct sluice_packet *p)
{
	struct sluice_tcp old;
	struct sluice_tcp *reset;

	memcpy(&old, sluice_packet_l4(p), sizeof(old));
	uint32_t segment = sluice_packet_end(p) - p->l4 - (uint32_t)(old.offset >> 4) * 4;
	bool syn = old.flags & SLUICE_TCP_SYN, fin = old.flags & SLUICE_TCP_FIN;

	write_network(p, IPPROTO_TCP, sizeof(*reset));
	p->l4 = (uint16_t)(p->l3 + network_size(p));
	p->length = p->l4 + (uint32_t)sizeof(*reset);
	p->head = (uint16_t)p->length;
	p->moved = true;
	reset = sluice_packet_l4(p);
	*reset = (struct sluice_tcp){
	        .source = old.destination,
	        .destination = old.source,
	        .offset = 5 << 4,
	        .flags = SLUICE_TCP_RST,
	};
	if (old.flags & SLUICE_TCP_ACK) {
		reset->sequence = old.acknowledgement;
	} else {
		reset->flags |= SLUICE_TCP_ACK;
		reset->acknowledgement = htonl(ntohl(old.sequence) + segment + syn + fin);
	}
	reset->checksum = transport_checksum(p, IPPROTO_TCP, sizeof(*reset));
	send_back(p);
}

// Moves the Ethernet header and a new IP header in front of the offending packet.
void sluice_answer_write_error(struct sluice_packet *p, const struct sluice_answer_error *error,
                               uint32_t word)
{
	bool v4 = p->family == SLUICE_IPV4;
	uint32_t quote = sluice_packet_end(p) - p->l3, there = p->length - p->l3;
	uint32_t most = v4 ? QUOTE_V4 : QUOTE_V6;
	uint32_t grow = network_size(p) + ICMP_HEADER;
	uint8_t *old = p->data;
	uint8_t *icmp;

	if (quote > there)
		quote = there;
	if (quote > most)
		quote = most;
	p->data = old - grow;
	memmove(p->data, old, p->l3 + network_size(p));
	p->length = p->l3 + grow + quote;
	p->head = (uint16_t)p->length;
	p->l4 = (uint16_t)(p->l3 + network_size(p));
	p->moved = true;
	icmp = p->data + p->l3 + network_size(p);
	icmp[0] = v4 ? error->type : error->type_6;
	icmp[1] = v4 ? error->code : error->code_6;
	memset(icmp + 2, 0, 2);
	word = htonl(word);
	memcpy(icmp + 4, &word, 4);

	uint8_t protocol = v4 ? IPPROTO_ICMP : IPPROTO_ICMPV6;
	uint16_t length = (uint16_t)(ICMP_HEADER + quote);

	write_network(p, protocol, length);
	uint16_t checksum =
	        v4 ? sluice_checksum_bytes(icmp, length) : transport_checksum(p, protocol, length);

	memcpy(icmp + 2, &checksum, 2);
}

void sluice_answer_error(struct sluice_packet *p, const struct sluice_answer_error *error,
                         uint32_t word)
{
	sluice_answer_write_error(p, error, word);
	send_back(p);
}

bool sluice_answer_has_sender(const struct sluice_packet *p)
{
	static const uint8_t none[15];
	const uint8_t *source;

	if (p->family == SLUICE_IPV4) {
		source = ((const struct sluice_ipv4 *)sluice_packet_l3(p))->source;
		return source[0] != 0 && source[0] != 127 && source[0] < 224;
	}
	source = ((const struct sluice_ipv6 *)sluice_packet_l3(p))->source;
	return source[0] != 0xff && (memcmp(source, none, sizeof(none)) != 0 || source[15] > 1);
}

// What is in pieces is not worth gathering. To nobody and to many goes no answer (RFC 1122, 3.2.2
// and RFC 4443, 2.4): a frame that the link gave to many, or a sender that is no single host.
bool sluice_answer_possible(const struct sluice_packet *p)
{
	return p->head == p->length && !(p->data[0] & 1) && sluice_answer_has_sender(p);
}
