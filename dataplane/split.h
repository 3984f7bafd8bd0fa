// SPDX-License-Identifier: BSD-3-Clause
#pragma once

// A packet that does not fit the way out, cut as a router does (RFC 791, section 3.2). It is the
// client's or the endpoint's packet that is cut, as it came, and the pieces that are rewritten or
// put into a tunnel: the host that gathers them needs to know of nothing else.

#include "dataplane/pipeline.h"

// Takes a packet with verdict SPLIT, an mbuf's, and gives back at most SLUICE_BURST pieces: each
// has a verdict, and drops are counted. 0: the packet was dropped, and that is counted. Its buffer
// is free then, either way.
unsigned sluice_split(struct sluice_pipeline *ctx, struct sluice_packet *p,
                      struct sluice_packet *pieces);
