// SPDX-License-Identifier: BSD-3-Clause
#pragma once

// A world of the modes that leave the client's packet as it is: services 10.96.1.N and
// 2001:db8:96:1::N, TCP 80 and UDP 53, for each mode and family of endpoint; N is ten times the
// mode and the family of the endpoint, 172.17.0.N or fd00:17::N.

#include "world.h"

enum { TUNNEL_ID = 0x1234 }; // of the first outer header that may be fragmented

// Where tunnels begin, 172.17.0.1 and fd00:17::1.
extern const uint8_t tunnel_source_4[16], tunnel_source_6[16];

struct world *tunnel_world_new(void);

// Gives a frontend and its endpoint a mode, and the endpoint a tunnel where that needs one.
void tunnel_set_mode(struct world *w, uint16_t frontend, uint32_t slot,
                     enum sluice_forwarding mode);
