// SPDX-License-Identifier: BSD-3-Clause
#include "dataplane/quic.h"

#include "dataplane/packet.h"
#include "dataplane/target_table.h"

enum {
	LONG_HEADER = 0x80,
	LONG_TYPE_SHIFT = 4,
	LONG_TYPE_MASK = 3,
	LONG_ID_LENGTH = 5, // offset, behind the version; the id follows
	VERSION_1 = 0x00000001,
	VERSION_2 = 0x6b3343cf,
	HANDSHAKE_1 = 2, // RFC 9000, 17.2
	HANDSHAKE_2 = 3, // RFC 9369, 3.2
	CONFIGURATION_SHIFT = 5,
};

// Whether the destination connection id can only be one that the endpoint gave out. What other
// versions' types mean nobody knows.
static bool is_handshake(const uint8_t *header)
{
	unsigned type = header[0] >> LONG_TYPE_SHIFT & LONG_TYPE_MASK;
	uint32_t version;

	memcpy(&version, header + 1, 4);
	return (ntohl(version) == VERSION_1 && type == HANDSHAKE_1) ||
	       (ntohl(version) == VERSION_2 && type == HANDSHAKE_2);
}

const uint8_t *sluice_quic_server_id(const uint8_t *payload, size_t size, unsigned length)
{
	const uint8_t *id = payload + 1;
	size_t id_size = size - 1;

	if (size <= LONG_ID_LENGTH)
		return NULL;
	if (payload[0] & LONG_HEADER) {
		id = payload + LONG_ID_LENGTH + 1;
		id_size = payload[LONG_ID_LENGTH];
		if (id_size > size - LONG_ID_LENGTH - 1 || !is_handshake(payload))
			return NULL;
	}
	if (id_size < 1 + length + SLUICE_QUIC_NONCE_MIN ||
	    id[0] >> CONFIGURATION_SHIFT != SLUICE_QUIC_CONFIGURATION)
		return NULL;
	return id + 1;
}

// Bytes of the datagram that can be read: it may be a fragment, or go on in another segment.
static size_t payload_size(const struct sluice_packet *p)
{
	uint32_t end = sluice_packet_end(p), start = p->l4 + (uint32_t)sizeof(struct sluice_udp);
	uint32_t datagram =
	        p->l4 + (uint32_t)ntohs(((struct sluice_udp *)sluice_packet_l4(p))->length);

	if (end > p->head)
		end = p->head;
	if (end > datagram)
		end = datagram;
	return end > start ? end - start : 0;
}

uint32_t sluice_quic_find(const struct sluice_snapshot *s, const struct sluice_packet *p,
                          const struct sluice_frontend *f)
{
	const uint8_t *payload = p->data + p->l4 + sizeof(struct sluice_udp);
	const uint8_t *id = sluice_quic_server_id(payload, payload_size(p), f->server_id_length);
	struct sluice_target t;

	if (!id)
		return SLUICE_TARGET_NONE;
	t = sluice_quic_target(id, f->server_id_length, f->service);
	return sluice_target_table_get(s->server_ids, sluice_target_view(&t), SLUICE_IPV6);
}
