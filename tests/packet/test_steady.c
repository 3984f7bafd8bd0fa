// SPDX-License-Identifier: BSD-3-Clause

// The short way of a flow's packets: whatever an entry, a packet and the clock are, where it is
// taken the long way would have found the same, and would not have written.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "dataplane/track.h"
#include "world.h"

static const uint32_t clocks[] = {1, 1000, SLUICE_FLOW_SEEN_MASK, SLUICE_FLOW_SEEN_MASK + 1};

// Two services, of an endpoint each, and the second one drains.
static struct world *begin(void)
{
	struct world *w = world_new_empty();

	for (unsigned i = 0; i < 2; i++) {
		unsigned service = world_service(w, SLUICE_ON_EMPTY_DROP);

		world_frontend(w, service, i ? "10.96.0.2" : "10.96.0.1", 80, TCP);
		world_endpoint(w, service, i ? "172.17.0.6" : "172.17.0.5", 8080, TCP);
	}
	w->endpoints[2].flags = SLUICE_ENDPOINT_DRAINING | SLUICE_ENDPOINT_NO_NEW_FLOWS;
	world_commit(w);
	for (unsigned i = 0; i < SLUICE_FLOW_STATES; i++)
		w->flows.timeouts.seconds[i] = 1; // the shortest there are
	return w;
}

// Returns whether it was taken.
static bool compare(struct world *w, struct sluice_packet *p, struct sluice_flow_value v)
{
	const struct sluice_pipeline *ctx = &w->pipeline;
	uint64_t packed = sluice_flow_pack(v);
	unsigned state;

	if (!sluice_track_is_steady(ctx, p, packed))
		return false;
	assert_true(sluice_track_binds(ctx, &w->flows.timeouts, p, packed));
	p->slot = 0;
	assert_false(sluice_track_follow(ctx, p, packed, &state));
	assert_int_equal(p->slot, v.slot);
	assert_int_equal(state, v.state);
	return true;
}

// All slots (none's, each service's, beyond the last), generations, states and ages that differ.
static unsigned compare_entries(struct world *w, struct sluice_packet *p)
{
	unsigned taken = 0;

	for (uint32_t slot = 0; slot < 4; slot++)
		for (unsigned generation = 0; generation < 2; generation++)
			for (uint8_t state = 0; state < 16; state++)
				for (uint32_t age = 0; age < 5; age++)
					taken += compare(
					        w, p,
					        (struct sluice_flow_value){
					                .slot = slot,
					                .generation =
					                        (uint16_t)(100 + slot + generation),
					                .state = state,
					                .seen = w->pipeline.now + 2 - age});
	return taken;
}

static void test_the_short_way_is_the_long_one(void **state)
{
	struct world *w = begin();
	unsigned taken = 0;

	(void)state;
	for (unsigned i = 0; i < sizeof(clocks) / sizeof(clocks[0]); i++)
		for (unsigned flags = 0; flags < 256; flags++)
			for (uint16_t frontend = 1; frontend < 3; frontend++) {
				struct sluice_packet p = {.family = SLUICE_IPV4,
				                          .protocol = flags ? TCP : UDP,
				                          .frontend = frontend,
				                          .tcp_flags = (uint8_t)flags};

				w->pipeline.now = clocks[i];
				taken += compare_entries(w, &p);
			}
	// Of both services, at each of the clocks: UDP, and TCP with any of the other five flags.
	assert_int_equal(taken, 2 * 4 * 32);
	world_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_the_short_way_is_the_long_one),
	};

	world_eal();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
