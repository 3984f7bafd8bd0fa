// SPDX-License-Identifier: BSD-3-Clause
#include "tunnel_world.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

const uint8_t tunnel_source_4[16] = {[10] = 0xff, 0xff, 172, 17, 0, 1};
const uint8_t tunnel_source_6[16] = {0xfd, 0, 0, 0x17, [15] = 1};

void tunnel_set_mode(struct world *w, uint16_t frontend, uint32_t slot, enum sluice_forwarding mode)
{
	struct sluice_endpoint *e = &w->endpoints[slot];
	bool v4 = e->target.family == SLUICE_IPV4;
	const uint8_t *source = v4 ? tunnel_source_4 : tunnel_source_6;

	w->frontends[frontend].forwarding = (uint8_t)mode;
	if (!sluice_forwarding_is_tunnel(mode))
		return;
	memcpy(e->tunnel_source.bytes, source, 16);
	e->address_sum = htons(
	        frame_sum(source + (v4 ? 12 : 0), v4 ? 4 : 16,
	                  frame_sum(e->target.address.bytes + (v4 ? 12 : 0), v4 ? 4 : 16, 0)));
}

static void add_service(struct world *w, enum sluice_forwarding mode, unsigned inner,
                        unsigned outer, uint8_t protocol)
{
	unsigned service = world_service(w, SLUICE_ON_EMPTY_REFUSE), last = mode * 10 + outer;
	uint16_t port = protocol == TCP ? 80 : 53, frontend;
	char address[32];
	uint32_t slot;

	snprintf(address, sizeof(address), inner == 4 ? "10.96.1.%u" : "2001:db8:96:1::%u", last);
	frontend = world_frontend(w, service, address, port, protocol);
	snprintf(address, sizeof(address), outer == 4 ? "172.17.0.%u" : "fd00:17::%u", last);
	slot = world_endpoint(w, service, address, port, protocol);
	tunnel_set_mode(w, frontend, slot, mode);
}

struct world *tunnel_world_new(void)
{
	struct world *w = world_new_empty();

	for (unsigned mode = SLUICE_FORWARD_L2DSR; mode <= SLUICE_FORWARD_GUE; mode++) {
		for (unsigned mix = 0; mix < 4; mix++) {
			unsigned inner = mix & 1 ? 6 : 4, outer = mix & 2 ? 6 : 4;

			if (mode == SLUICE_FORWARD_L2DSR && inner != outer)
				continue;
			add_service(w, mode, inner, outer, TCP);
			add_service(w, mode, inner, outer, UDP);
		}
	}
	world_commit(w);
	w->pipeline.tunnel_id = TUNNEL_ID;
	return w;
}
