// SPDX-License-Identifier: BSD-3-Clause

// Whose a later fragment is: each alone, after whatever came before it.

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "dataplane/fragments.h"
#include "pieces.h"
#include "world.h"

#define CLIENT "198.51.100.9"
#define VIP    "10.96.0.1"

// Two UDP services on one address, an endpoint each.
static struct world *two_services(void)
{
	struct world *w = world_new_empty();

	for (unsigned i = 0; i < 2; i++) {
		unsigned service = world_service(w, SLUICE_ON_EMPTY_REFUSE);

		world_frontend(w, service, VIP, (uint16_t)(53 + i), UDP);
		world_endpoint(w, service, i ? "172.17.0.6" : "172.17.0.5", 5353, UDP);
	}
	world_commit(w);
	return w;
}

// A datagram's fragments, to a port of the virtual address.
static unsigned client_sends(struct frame *pieces, uint16_t port, uint16_t id)
{
	struct frame_fields fields = {.mac_to = HOST_0,
	                              .mac_from = GATEWAY,
	                              .protocol = UDP,
	                              .payload = 2000,
	                              .source = CLIENT,
	                              .source_port = 40000,
	                              .destination = VIP,
	                              .destination_port = port};

	return pieces_split(&fields, id, pieces);
}

// From a port of the first endpoint.
static unsigned endpoint_sends(struct frame *pieces, uint16_t port, uint16_t id,
                               const char *destination)
{
	struct frame_fields fields = {.mac_to = HOST_1,
	                              .mac_from = BACKEND,
	                              .protocol = UDP,
	                              .payload = 2000,
	                              .source = "172.17.0.5",
	                              .source_port = port,
	                              .destination = destination,
	                              .destination_port = 40000};

	return pieces_split(&fields, id, pieces);
}

static enum sluice_verdict fate(struct world *w, const struct frame *f)
{
	struct outcome o;

	world_run_one(w, f, &o);
	return o.packet.verdict;
}

// The last byte of the address that a frame is sent on to; 0: it is not.
static uint8_t goes_to(struct world *w, const struct frame *f)
{
	struct outcome o;

	world_run_one(w, f, &o);
	return o.packet.verdict == SLUICE_VERDICT_TRANSMIT ? o.frame.bytes[33] : 0;
}

static enum sluice_drop dropped_as(struct world *w, const struct frame *f)
{
	struct outcome o;

	world_run_one(w, f, &o);
	assert_int_equal(o.packet.verdict, SLUICE_VERDICT_DROP);
	return o.packet.reason;
}

// A second first fragment of the id goes by its own ports; the datagram in progress stays where
// it is, and what overlaps is sent there, as often as it comes.
static void test_overlaps_redirect_nothing(void **state)
{
	struct frame a[PIECES_MOST], b[PIECES_MOST];
	struct world *w = two_services();
	unsigned n = client_sends(a, 53, 9);

	(void)state;
	client_sends(b, 54, 9);
	assert_int_equal(goes_to(w, &a[0]), 5);
	assert_int_equal(goes_to(w, &b[0]), 6);
	assert_int_equal(goes_to(w, &a[1]), 5);
	assert_int_equal(goes_to(w, &b[0]), 6);
	assert_int_equal(goes_to(w, &b[1]), 5);
	assert_int_equal(goes_to(w, &a[n - 1]), 5);
	// The last one is through: the id may be another datagram's.
	assert_int_equal(goes_to(w, &a[2]), 5);
	assert_int_equal(goes_to(w, &b[0]), 6);
	assert_int_equal(goes_to(w, &b[1]), 6);
	world_free(w);
}

static void test_flood_of_first_fragments_costs_itself(void **state)
{
	enum { FLOOD = 4 * SLUICE_FRAGMENTS };
	struct frame pieces[PIECES_MOST], first;
	struct world *w = two_services();
	unsigned n = client_sends(pieces, 53, 9);

	(void)state;
	assert_int_equal(goes_to(w, &pieces[0]), 5);
	assert_int_equal(goes_to(w, &pieces[1]), 5);
	first = pieces[0];
	for (unsigned i = 0; i < FLOOD; i++) {
		first.bytes[28] = (uint8_t)(10 + (i >> 16)); // source and id
		pieces_finish(&first, i % 65536, 0x2000);
		assert_int_equal(goes_to(w, &first), 5);
	}
	for (unsigned i = 2; i < n; i++)
		assert_int_equal(goes_to(w, &pieces[i]), 5);
	// And a new one finds its place.
	client_sends(pieces, 54, 10);
	assert_int_equal(goes_to(w, &pieces[0]), 6);
	assert_int_equal(goes_to(w, &pieces[1]), 6);
	world_free(w);
}

static void test_datagrams_are_forgotten(void **state)
{
	struct frame pieces[PIECES_MOST];
	struct world *w = two_services();

	(void)state;
	client_sends(pieces, 53, 9);
	assert_int_equal(goes_to(w, &pieces[0]), 5);
	w->pipeline.now++;
	assert_int_equal(goes_to(w, &pieces[1]), 5);
	w->pipeline.now++;
	assert_int_equal(fate(w, &pieces[1]), SLUICE_VERDICT_HOLD);
	assert_int_equal(goes_to(w, &pieces[0]), 5);
	world_endpoint_remove(w, 1);
	world_commit(w);
	assert_int_equal(fate(w, &pieces[1]), SLUICE_VERDICT_HOLD);
	world_free(w);
}

// Where a port hands them to us.
static void test_others_datagrams_stay_the_kernels(void **state)
{
	struct frame pieces[PIECES_MOST];
	struct world *w = two_services();
	unsigned n;

	(void)state;
	n = client_sends(pieces, 22, 1); // another port of the virtual address
	assert_int_equal(fate(w, &pieces[1]), SLUICE_VERDICT_HOLD);
	for (unsigned i = 0; i < n; i++)
		assert_int_equal(fate(w, &pieces[i]), SLUICE_VERDICT_PASS);
	n = endpoint_sends(pieces, 22, 1, CLIENT); // its own business
	assert_int_equal(fate(w, &pieces[1]), SLUICE_VERDICT_HOLD);
	for (unsigned i = 0; i < n; i++)
		assert_int_equal(fate(w, &pieces[i]), SLUICE_VERDICT_PASS);
	n = endpoint_sends(pieces, 5353, 2, "172.17.0.1"); // to the host
	for (unsigned i = n; i-- > 0;)
		assert_int_equal(fate(w, &pieces[i]), SLUICE_VERDICT_PASS);
	world_free(w);
}

static void test_answers_come_from_the_virtual_address(void **state)
{
	struct frame pieces[PIECES_MOST];
	struct world *w = two_services();
	unsigned n = endpoint_sends(pieces, 5353, 2, CLIENT);
	struct outcome o;

	(void)state;
	for (unsigned i = 0; i < n; i++) {
		world_run_one(w, &pieces[i], &o);
		assert_int_equal(o.packet.verdict, SLUICE_VERDICT_TRANSMIT);
		assert_int_equal(o.packet.port_out, 0);
		assert_memory_equal(o.frame.bytes + 26, ((uint8_t[]){10, 96, 0, 1}), 4);
	}
	assert_int_equal(sluice_counter_read(&w->endpoint_counters[1].out_packets), n);
	world_free(w);
}

// A first fragment that gets a refusal leads nowhere.
static void test_refused_datagrams_lead_nowhere(void **state)
{
	struct frame pieces[PIECES_MOST];
	struct world *w = two_services();
	struct outcome o;

	(void)state;
	world_endpoint_remove(w, 1);
	world_commit(w);
	client_sends(pieces, 53, 9);
	world_run_one(w, &pieces[0], &o);
	assert_int_equal(o.packet.verdict, SLUICE_VERDICT_TRANSMIT);
	assert_true(o.packet.moved); // the refusal
	assert_int_equal(fate(w, &pieces[1]), SLUICE_VERDICT_HOLD);
	world_free(w);
}

// What holds for whole packets on their way out holds for each fragment.
static void test_later_fragments_leave_as_packets_do(void **state)
{
	struct frame pieces[PIECES_MOST], tagged;
	struct world *w = two_services();
	unsigned n = client_sends(pieces, 53, 9);
	struct sluice_adjacency *a = &w->endpoints[1].adjacency;

	(void)state;
	assert_int_equal(goes_to(w, &pieces[0]), 5);
	a->mtu = PIECE + 19;
	assert_int_equal(fate(w, &pieces[1]), SLUICE_VERDICT_SPLIT);
	assert_int_equal(goes_to(w, &pieces[n - 1]), 5); // smaller
	a->mtu = PIECE + 20;
	assert_int_equal(goes_to(w, &pieces[1]), 5);
	a->state = SLUICE_ADJACENCY_UNRESOLVED;
	assert_int_equal(fate(w, &pieces[1]), SLUICE_VERDICT_RESOLVE);
	a->state = SLUICE_ADJACENCY_NONE;
	assert_int_equal(dropped_as(w, &pieces[1]), SLUICE_DROP_NO_ROUTE);
	a->state = SLUICE_ADJACENCY_READY;

	tagged = pieces[1];
	memmove(tagged.bytes + 18, tagged.bytes + 14, tagged.length - 14);
	memcpy(tagged.bytes + 12, ((uint8_t[]){0x81, 0, 0, 20, 8, 0}), 6);
	tagged.length += 4;
	assert_int_equal(dropped_as(w, &tagged), SLUICE_DROP_VLAN);

	pieces[1].bytes[22] = 1;
	assert_int_equal(dropped_as(w, &pieces[1]), SLUICE_DROP_TTL_EXPIRED);
	world_free(w);
}

// The service is forwarded by another mode since the first fragment was: to and from an endpoint.
static void test_forwarding_changes_between_fragments(void **state)
{
	struct frame in[PIECES_MOST], out[PIECES_MOST];
	struct world *w = two_services();
	unsigned n = client_sends(in, 53, 9);
	struct outcome o;

	(void)state;
	endpoint_sends(out, 5353, 9, CLIENT);
	assert_int_equal(goes_to(w, &in[0]), 5);
	assert_int_equal(fate(w, &out[0]), SLUICE_VERDICT_TRANSMIT);

	w->frontends[1].forwarding = SLUICE_FORWARD_L2DSR;
	world_run_one(w, &in[1], &o);
	assert_int_equal(o.packet.verdict, SLUICE_VERDICT_TRANSMIT);
	assert_memory_equal(o.frame.bytes + 14, in[1].bytes + 14, in[1].length - 14);
	assert_int_equal(fate(w, &out[1]), SLUICE_VERDICT_PASS);

	// By fullnat the ports would have to be known, and nobody kept them.
	w->frontends[1].forwarding = SLUICE_FORWARD_FULLNAT;
	assert_int_equal(dropped_as(w, &in[n - 1]), SLUICE_DROP_FRAGMENT);
	assert_int_equal(dropped_as(w, &out[n - 1]), SLUICE_DROP_FRAGMENT);
	world_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_overlaps_redirect_nothing),
	        cmocka_unit_test(test_flood_of_first_fragments_costs_itself),
	        cmocka_unit_test(test_datagrams_are_forgotten),
	        cmocka_unit_test(test_others_datagrams_stay_the_kernels),
	        cmocka_unit_test(test_answers_come_from_the_virtual_address),
	        cmocka_unit_test(test_refused_datagrams_lead_nowhere),
	        cmocka_unit_test(test_later_fragments_leave_as_packets_do),
	        cmocka_unit_test(test_forwarding_changes_between_fragments),
	};

	world_eal();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
