// SPDX-License-Identifier: BSD-3-Clause

// TCP as a flow's entry sees it: segment by segment, with endpoints that move, drain and go
// meanwhile. Rows are what a client sends, and what becomes of its flow.

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "world.h"

enum {
	ENDPOINTS = 8,
	STEPS = 14,
};

// Before the segment.
enum event {
	NOTHING,
	MOVE,  // every row becomes another endpoint's
	DRAIN, // the flow's endpoint drains
	GO,    // it is removed
};

// Of the flow's entry, after the segment.
enum fate {
	SAME,  // the endpoint that it had
	FRESH, // the endpoint that the hash gives now, which is another one
};

struct step {
	uint8_t flags;
	uint8_t state;
	enum fate fate;
	enum event event;
	uint32_t seconds; // that pass before
};

#define PROBATION SLUICE_FLOW_PROBATION
#define OPEN      SLUICE_FLOW_ESTABLISHED
#define CLOSING   SLUICE_FLOW_CLOSING

// The first step of each is a new flow.
static const struct {
	const char *description;
	struct step steps[STEPS];
} rows[] = {
        {"a SYN again keeps its endpoint, as long as a client tries",
         {{SYN, PROBATION},
          {SYN, PROBATION, SAME, MOVE, 1},
          {SYN, PROBATION, SAME, NOTHING, 2},
          {SYN, PROBATION, SAME, NOTHING, 4},
          {SYN, PROBATION, SAME, NOTHING, 8},
          {SYN, PROBATION, SAME, NOTHING, 16},
          {SYN, PROBATION, SAME, NOTHING, 32},
          {ACK, OPEN, SAME, NOTHING, 1}}},
        {"a SYN after the time-out of half-open ones is a new connection",
         {{SYN, PROBATION}, {SYN, PROBATION, FRESH, MOVE, 60}}},
        {"a SYN on an open connection ends nothing",
         {{SYN, PROBATION}, {ACK, OPEN}, {SYN, OPEN, SAME, MOVE}, {ACK, OPEN}}},
        {"a SYN leaves an endpoint that drains",
         {{SYN, PROBATION}, {ACK, OPEN}, {SYN, PROBATION, FRESH, DRAIN}, {ACK, OPEN}}},
        {"a SYN again leaves an endpoint that drains",
         {{SYN, PROBATION}, {SYN, PROBATION, FRESH, DRAIN}, {ACK, OPEN}}},
        {"all else stays at an endpoint that drains",
         {{SYN, PROBATION},
          {ACK, OPEN, SAME, DRAIN},
          {PSH | ACK, OPEN},
          {SYN | ACK, OPEN},
          {SYN | RST, OPEN},
          {SYN | FIN, OPEN},
          {FIN | ACK, CLOSING},
          {ACK, CLOSING}}},
        {"a SYN to an endpoint that is gone is a new connection",
         {{SYN, PROBATION}, {ACK, OPEN}, {SYN, PROBATION, FRESH, GO}, {ACK, OPEN}}},
        {"a half-open connection whose endpoint goes tries the next",
         {{SYN, PROBATION}, {SYN, PROBATION, FRESH, GO}, {ACK, OPEN}}},
        {"an orphan is told by another endpoint",
         {{SYN, PROBATION}, {ACK, OPEN}, {ACK, PROBATION, FRESH, GO}, {RST, PROBATION}}},
        {"a SYN ACK, which no client sends, opens nothing",
         {{SYN | ACK, PROBATION}, {SYN | ACK, PROBATION}, {ACK, OPEN}, {SYN | ACK, OPEN}}},
        {"a SYN ACK does not bring back to life",
         {{SYN, PROBATION},
          {ACK, OPEN},
          {FIN | ACK, CLOSING},
          {SYN | ACK, CLOSING, SAME, MOVE},
          {SYN | RST, CLOSING},
          {SYN | FIN, CLOSING},
          {SYN | FIN | RST | ACK, CLOSING}}},
        {"a reset as the second segment leaves it half open",
         {{SYN, PROBATION}, {RST, PROBATION, SAME, MOVE}, {SYN, PROBATION, FRESH, MOVE, 60}}},
        {"a reset ends a connection soon",
         {{SYN, PROBATION}, {ACK, OPEN}, {RST | ACK, CLOSING}, {ACK, PROBATION, FRESH, MOVE, 30}}},
        {"both close at once",
         {{SYN, PROBATION},
          {ACK, OPEN},
          {FIN | ACK, CLOSING, SAME, MOVE},
          {FIN | ACK, CLOSING, SAME, NOTHING, 1}, // again: the endpoint's crossed it
          {ACK, CLOSING},
          {ACK, CLOSING, SAME, NOTHING, 29}}},
        {"the endpoint closes first: its FIN is acknowledged, then ours goes out",
         {{SYN, PROBATION},
          {ACK, OPEN},
          {ACK, OPEN, SAME, MOVE, 3600},
          {FIN | ACK, CLOSING},
          {FIN | ACK, CLOSING, SAME, NOTHING, 29}}},
        {"half closed, a connection lives on its acknowledgements",
         {{SYN, PROBATION},
          {ACK, OPEN},
          {FIN | ACK, CLOSING, SAME, MOVE},
          {ACK, CLOSING, SAME, NOTHING, 29},
          {ACK, CLOSING, SAME, NOTHING, 29},
          {ACK, CLOSING, SAME, NOTHING, 29},
          {RST, CLOSING, SAME, NOTHING, 29},
          {ACK, PROBATION, FRESH, NOTHING, 30}}},
        {"a port used again at once is a new connection",
         {{SYN, PROBATION},
          {ACK, OPEN},
          {FIN | ACK, CLOSING},
          {ACK, CLOSING},
          {SYN, PROBATION, FRESH, MOVE, 1},
          {ACK, OPEN},
          {FIN | ACK, CLOSING}}},
        {"a port used again after a reset is a new connection",
         {{SYN, PROBATION}, {ACK, OPEN}, {RST, CLOSING}, {SYN, PROBATION, FRESH, MOVE}}},
        {"an open connection that is silent too long is none",
         {{SYN, PROBATION},
          {ACK, OPEN},
          {ACK, OPEN, SAME, MOVE, 7199},
          {ACK, PROBATION, FRESH, NOTHING, 7200}}},
        {"a connection in the middle is as good as one that begins",
         {{PSH | ACK, PROBATION}, {ACK, OPEN, SAME, MOVE}, {FIN | ACK, CLOSING}}},
        {"a FIN alone is on probation", {{FIN | ACK, PROBATION}, {FIN | ACK, PROBATION}}},
        {"a reset alone is on probation", {{RST, PROBATION}, {RST, PROBATION}}},
        {"all flags at once say nothing",
         {{SYN, PROBATION}, {SYN | ACK | FIN | RST | PSH, PROBATION}, {ACK, OPEN}}},
        {"no flag at all is a segment like others", {{SYN, PROBATION}, {PSH, OPEN}}},
};

struct fixture {
	struct world *w;
	bool v6;
	uint16_t frontend;
	uint16_t port; // the client's
};

static struct fixture fixture_new(bool v6)
{
	struct fixture f = {.w = world_new_empty(), .v6 = v6};
	unsigned service = world_service(f.w, SLUICE_ON_EMPTY_DROP);
	char address[32];

	f.frontend = world_frontend(f.w, service, v6 ? "2001:db8:96::1" : "10.96.0.1", 80, TCP);
	for (unsigned i = 1; i <= ENDPOINTS; i++) {
		snprintf(address, sizeof(address), v6 ? "fd00::%u" : "172.17.0.%u", i + 4);
		world_endpoint(f.w, service, address, 8080, TCP);
	}
	world_commit(f.w);
	return f;
}

static uint32_t send_segment(const struct fixture *fx, uint16_t port, uint8_t flags,
                             struct sluice_flow_value *entry)
{
	struct frame_fields fields = {
	        .mac_to = HOST_0,
	        .mac_from = GATEWAY,
	        .source = fx->v6 ? "2001:db8:100::9" : "198.51.100.9",
	        .source_port = port,
	        .destination = fx->v6 ? "2001:db8:96::1" : "10.96.0.1",
	        .destination_port = 80,
	        .protocol = TCP,
	        .flags = flags,
	};
	struct sluice_flow_ref ref;
	struct outcome o;
	struct frame f;

	frame_build(&f, &fields);
	world_run_one(fx->w, &f, &o);
	assert_int_equal(o.packet.verdict, SLUICE_VERDICT_TRANSMIT);
	ref = sluice_flow_find(&fx->w->flows, o.packet.key, o.packet.hash);
	assert_non_null(ref.entry);
	*entry = sluice_flow_unpack(ref.value);
	assert_int_equal(entry->slot, o.packet.slot);
	return o.packet.slot;
}

// Where a flow from this port begins now: asked of a table that does not know it.
static uint32_t fresh_slot(const struct fixture *fx)
{
	struct fixture blank = fixture_new(fx->v6);
	struct sluice_flow_value entry;
	uint32_t slot;

	memcpy(blank.w->endpoints, fx->w->endpoints, sizeof(blank.w->endpoints));
	blank.w->turn = fx->w->turn;
	world_commit(blank.w);
	slot = send_segment(&blank, fx->port, SYN, &entry);
	world_free(blank.w);
	return slot;
}

static void happen(const struct fixture *fx, enum event event, uint32_t slot)
{
	if (event == MOVE)
		fx->w->turn++;
	else if (event == DRAIN)
		fx->w->endpoints[slot].flags |= SLUICE_ENDPOINT_DRAINING;
	else if (event == GO)
		world_endpoint_remove(fx->w, slot);
	world_commit(fx->w);
}

static void run_row(const char *description, const struct step *steps, bool v6, uint16_t port)
{
	struct fixture fx = fixture_new(v6);
	uint32_t slot = 0, now, wanted;

	fx.port = port;
	for (unsigned i = 0; i < STEPS && (steps[i].flags || i == 0); i++) {
		struct sluice_flow_value entry;

		fx.w->pipeline.now += steps[i].seconds;
		happen(&fx, steps[i].event, slot);
		wanted = i == 0 || steps[i].fate == FRESH ? fresh_slot(&fx) : slot;
		now = send_segment(&fx, port, steps[i].flags, &entry);
		if (now != wanted || entry.state != steps[i].state ||
		    (i > 0 && (steps[i].fate == FRESH) != (now != slot)))
			fail_msg("%s, step %u: endpoint %u, was %u, wanted %u, state %u",
			         description, i, now, slot, wanted, entry.state);
		slot = now;
	}
	world_free(fx.w);
}

static void test_segments_do_to_a_flow_what_they_say(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		for (uint16_t port = 1024; port < 1040; port++) {
			run_row(rows[i].description, rows[i].steps, false, port);
			run_row(rows[i].description, rows[i].steps, true, port);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_segments_do_to_a_flow_what_they_say),
	};

	world_eal();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
