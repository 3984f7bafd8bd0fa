// SPDX-License-Identifier: BSD-3-Clause

// Plain packets, whose offsets are constants from parse to rewriting, against the same packets with
// a tag that says nothing (802.1Q, priority and VLAN 0). With that they are read and rewritten the
// long way, and must come out byte for byte the same; and as frames that are built from scratch.
// With nat and with fullnat, both ways. SLUICE_RANDOM_PACKETS sets how many, SLUICE_RANDOM_SEED
// which.

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "snat_world.h"
#include "tests/unit/random.h"

enum {
	PACKETS = 200000,
	CLIENT_PORTS = 16,
	FIRST_PORT = 20000,
	LAST_PORT = 29999,
	VLAN = 30,
	NARROW_MTU = 100,
};

// Each with one endpoint.
static const struct place {
	const char *vip, *endpoint;
	enum { PLACE_NEAR, PLACE_TAGGED, PLACE_NARROW, PLACE_UNRESOLVED, PLACE_EMPTY } kind;
} places[] = {
        {"10.96.0.1", "172.17.0.5", PLACE_NEAR},   {"10.96.0.2", "172.17.0.6", PLACE_TAGGED},
        {"10.96.0.3", "172.17.0.7", PLACE_NARROW}, {"10.96.0.4", "172.17.0.8", PLACE_UNRESOLVED},
        {"10.96.0.5", NULL, PLACE_EMPTY},
};

static const struct client {
	const char *address;
	enum world_hop hop; // of the way there
} clients[] = {{"198.51.100.9", READY},
               {"198.51.100.77", READY},
               {"198.51.101.9", UNRESOLVED},
               {"198.51.102.9", NARROW},
               {"203.0.113.9", NO_ROUTE}};

enum {
	PLACE_COUNT = sizeof(places) / sizeof(places[0]),
	CLIENT_COUNT = sizeof(clients) / sizeof(clients[0]),
};

struct fixture {
	struct world *w;
	struct snat_world *snat; // NULL: nat
	uint8_t protocol;
	uint64_t seed;
	uint64_t plain, built, verdicts[SLUICE_VERDICT_SPLIT + 1];
};

// A packet, and what is known of its fate.
struct draft {
	struct frame_fields in, out;
	unsigned place, client, port; // port: number
	bool returns, mangled;
	uint8_t verdict; // TRANSMIT, RESOLVE; NONE: what both ways say
	uint32_t head;
	struct frame frame;
};

static uint32_t draw(struct fixture *fx, uint32_t n)
{
	return random_below(&fx->seed, n);
}

static void begin(struct fixture *fx, uint8_t protocol, bool fullnat)
{
	const char *seed = getenv("SLUICE_RANDOM_SEED");

	memset(fx, 0, sizeof(*fx));
	fx->protocol = protocol;
	fx->seed = seed ? strtoull(seed, NULL, 0) : 0x5eed;
	fx->w = world_new_empty();
	for (unsigned i = 0; i < PLACE_COUNT; i++) {
		unsigned service = world_service(fx->w, SLUICE_ON_EMPTY_REFUSE);
		struct sluice_adjacency *a;

		world_frontend(fx->w, service, places[i].vip, 80, protocol);
		if (!places[i].endpoint)
			continue;
		a = &fx->w->endpoints[world_endpoint(fx->w, service, places[i].endpoint, 8080,
		                                     protocol)]
		             .adjacency;
		if (places[i].kind == PLACE_TAGGED)
			a->vlan = VLAN;
		else if (places[i].kind == PLACE_NARROW)
			a->mtu = NARROW_MTU;
		else if (places[i].kind == PLACE_UNRESOLVED)
			a->state = SLUICE_ADJACENCY_UNRESOLVED;
	}
	if (fullnat)
		fx->snat = snat_world_of(fx->w, FIRST_PORT, LAST_PORT);
	else
		world_commit(fx->w);
}

static void end(struct fixture *fx)
{
	if (fx->snat)
		snat_world_free(fx->snat);
	else
		world_free(fx->w);
}

// ---- drafts

static void draw_fields(struct fixture *fx, struct frame_fields *f)
{
	static const uint8_t ttls[] = {1, 2, 64, 255};
	static const uint8_t flags[] = {SYN, ACK, ACK, ACK | PSH, ACK | PSH, FIN | ACK, RST, 0};

	*f = (struct frame_fields){
	        .ttl = ttls[draw(fx, 16) ? 1 + draw(fx, 3) : 0],
	        .tos = (uint8_t)draw(fx, 256),
	        .id = (uint16_t)draw(fx, 65536),
	        .fragment = draw(fx, 2) ? 0x4000 : 0,
	        .protocol = fx->protocol,
	        .no_checksum = fx->protocol == UDP && draw(fx, 4) == 0,
	        .sequence = (uint32_t)random_next(&fx->seed),
	        .acknowledgement = (uint32_t)random_next(&fx->seed),
	        .flags = flags[draw(fx, 8)],
	        .ip_options = draw(fx, 16) ? 0 : 4 * draw(fx, 11),
	        .tcp_options = fx->protocol == UDP || draw(fx, 2) ? 0 : 4 * draw(fx, 11),
	        .payload = draw(fx, 4) ? draw(fx, 64) : 1400 + draw(fx, 80),
	        .padding = draw(fx, 3) ? 0 : draw(fx, 48),
	};
	if (f->payload >= 2)
		f->word = (uint16_t)draw(fx, 65536);
}

static void address_in(struct fixture *fx, struct draft *d)
{
	const struct place *p = &places[d->place];
	const struct client *c = &clients[d->client];

	d->in.mac_to = HOST_0;
	d->in.mac_from = GATEWAY;
	d->in.source = c->address;
	d->in.source_port = (uint16_t)(40000 + d->port);
	d->in.destination = p->vip;
	d->in.destination_port = 80;
	d->out = d->in;
	d->out.mac_to = BACKEND;
	d->out.mac_from = HOST_1;
	d->out.destination = p->endpoint;
	d->out.destination_port = 8080;
	if (p->kind == PLACE_TAGGED) {
		d->out.tags[0] = 0x8100;
		d->out.tci = VLAN;
	}
	if (fx->snat)
		d->out.source = "172.17.0.1"; // the port is known when it was sent
}

static void run(struct fixture *fx, const struct frame *f, uint32_t head, struct outcome *o)
{
	fx->w->pipeline.refuse_second = fx->w->pipeline.now;
	fx->w->pipeline.refuse_budget = SLUICE_REFUSALS_PER_SECOND;
	world_run(fx->w, &f, &head, o, 1);
}

static uint16_t source_of(const struct outcome *o)
{
	uint16_t port = ntohs(sluice_packet_port(&o->packet, SLUICE_SOURCE));

	assert_in_range(port, FIRST_PORT, LAST_PORT);
	return port;
}

// The port that stands for a client now: its flow may have been closed, or have run out.
static uint16_t open_flow(struct fixture *fx, const struct draft *d)
{
	static struct frame f;
	static struct outcome o;
	struct draft first = {.place = d->place, .client = d->client, .port = d->port};

	address_in(fx, &first);
	first.in.protocol = fx->protocol;
	first.in.flags = ACK;
	frame_build(&f, &first.in);
	run(fx, &f, f.length, &o);
	return source_of(&o);
}

static void address_return(struct fixture *fx, struct draft *d)
{
	const struct place *p = &places[d->place];
	const struct client *c = &clients[d->client];

	d->in.mac_to = HOST_1;
	d->in.mac_from = BACKEND;
	d->in.source = p->endpoint;
	d->in.source_port = 8080;
	d->in.destination = c->address;
	d->in.destination_port = (uint16_t)(40000 + d->port);
	d->out = d->in;
	d->out.mac_to = GATEWAY;
	d->out.mac_from = HOST_0;
	d->out.source = p->vip;
	d->out.source_port = 80;
	if (fx->snat) {
		d->in.destination = "172.17.0.1";
		d->in.destination_port = open_flow(fx, d);
	}
}

static uint8_t fate(const struct draft *d)
{
	enum world_hop hop = d->returns ? clients[d->client].hop : READY;
	uint32_t mtu = WORLD_MTU, headers = d->in.protocol == TCP ? 54 : 42;

	if (!d->returns && places[d->place].kind == PLACE_UNRESOLVED)
		hop = UNRESOLVED;
	if (hop == NARROW || (!d->returns && places[d->place].kind == PLACE_NARROW))
		mtu = NARROW_MTU;
	if (d->mangled || places[d->place].kind == PLACE_EMPTY || hop == NO_ROUTE ||
	    d->in.ttl == 1 || d->frame.length - 14 > mtu || d->head < headers + d->in.ip_options)
		return SLUICE_VERDICT_NONE;
	return hop == UNRESOLVED ? SLUICE_VERDICT_RESOLVE : SLUICE_VERDICT_TRANSMIT;
}

// Anything of both headers but addresses, ports, and what would make it a fragment.
static void mangle(struct fixture *fx, struct frame *f)
{
	for (uint32_t n = 1 + draw(fx, 3); n > 0; n--) {
		uint32_t at = 14 + draw(fx, 40);

		if ((at >= 26 && at < 38) || at == 20 || at == 21)
			continue;
		f->bytes[at] = draw(fx, 2) ? (uint8_t)draw(fx, 256)
		                           : (uint8_t)(f->bytes[at] + draw(fx, 5) - 2);
	}
	if (draw(fx, 4) == 0)
		f->length = draw(fx, f->length + 1);
}

static void draw_draft(struct fixture *fx, struct draft *d)
{
	d->place = draw(fx, PLACE_COUNT);
	d->client = draw(fx, CLIENT_COUNT);
	d->port = draw(fx, CLIENT_PORTS);
	d->returns = draw(fx, 2) && places[d->place].endpoint;
	draw_fields(fx, &d->in);
	if (d->returns)
		address_return(fx, d);
	else
		address_in(fx, d);
	d->out.ttl--;
	memset(d->frame.bytes, 0, 128);
	frame_build(&d->frame, &d->in);
	d->mangled = draw(fx, 4) == 0;
	if (d->mangled)
		mangle(fx, &d->frame);
	d->head = draw(fx, 8) ? d->frame.length : draw(fx, d->frame.length + 1);
	d->verdict = fate(d);
}

// ---- comparing

static void tag(struct frame *to, const struct frame *from)
{
	static const uint8_t nothing[4] = {0x81, 0, 0, 0};

	to->length = from->length + 4;
	memcpy(to->bytes, from->bytes, 12);
	memcpy(to->bytes + 12, nothing, 4);
	memcpy(to->bytes + 16, from->bytes + 12, from->length - 12);
}

// What goes back or stays as it came has the tag still.
static void untag(struct frame *f)
{
	static const uint8_t nothing[4] = {0x81, 0, 0, 0};

	if (f->length < 16 || memcmp(f->bytes + 12, nothing, 4) != 0)
		return;
	f->length -= 4;
	memmove(f->bytes + 12, f->bytes + 16, f->length - 12);
}

// Where the part of a frame begins that matters: the kernel makes a new Ethernet header.
static unsigned begins(uint8_t verdict)
{
	return verdict == SLUICE_VERDICT_RESOLVE ? 14 : 0;
}

static void expect_same(const struct outcome *plain, struct outcome *tagged)
{
	unsigned skip = begins(plain->packet.verdict);

	untag(&tagged->frame);
	assert_int_equal(plain->packet.verdict, tagged->packet.verdict);
	assert_int_equal(plain->packet.reason, tagged->packet.reason);
	assert_int_equal(plain->packet.port_out, tagged->packet.port_out);
	assert_int_equal(plain->packet.slot, tagged->packet.slot);
	assert_int_equal(plain->frame.length, tagged->frame.length);
	assert_memory_equal(plain->frame.bytes + skip, tagged->frame.bytes + skip,
	                    plain->frame.length - skip);
}

static void expect_built(struct fixture *fx, struct draft *d, const struct outcome *o)
{
	static struct frame expected;
	unsigned skip = begins(d->verdict);

	assert_int_equal(o->packet.verdict, d->verdict);
	if (fx->snat && !d->returns)
		d->out.source_port = source_of(o);
	if (skip > 0)
		memset(d->out.tags, 0, sizeof(d->out.tags));
	frame_build(&expected, &d->out);
	assert_int_equal(o->frame.length, expected.length);
	assert_memory_equal(o->frame.bytes + skip, expected.bytes + skip, expected.length - skip);
	fx->built++;
}

static void one_packet(struct fixture *fx)
{
	static struct draft d;
	static struct outcome plain, tagged;
	static struct frame twin;

	draw_draft(fx, &d);
	if (d.frame.length < 14 || d.head < 14)
		return; // nowhere to put the tag
	tag(&twin, &d.frame);
	run(fx, &d.frame, d.head, &plain);
	run(fx, &twin, d.head + 4, &tagged);
	if (d.verdict != SLUICE_VERDICT_NONE) {
		assert_int_equal(plain.packet.plain, d.in.ip_options == 0 ? fx->protocol : 0);
		expect_built(fx, &d, &plain);
	}
	assert_false(tagged.packet.plain);
	expect_same(&plain, &tagged);
	fx->plain += plain.packet.plain != 0;
	fx->verdicts[plain.packet.verdict]++;
}

static void test_plain_packets_come_out_as_others_do(void **state)
{
	const char *setting = getenv("SLUICE_RANDOM_PACKETS");
	uint64_t packets = setting ? strtoull(setting, NULL, 0) : PACKETS;
	static struct fixture fx;

	(void)state;
	for (unsigned kind = 0; kind < 4; kind++) {
		begin(&fx, kind & 1 ? UDP : TCP, kind & 2);
		for (uint64_t i = 0; i < packets; i++) {
			fx.w->pipeline.now += draw(&fx, 50) == 0;
			one_packet(&fx);
		}
		print_message("%s, %s: plain %lu, built %lu, transmit %lu, drop %lu, pass %lu, "
		              "resolve %lu\n",
		              kind & 2 ? "fullnat" : "nat", kind & 1 ? "UDP" : "TCP", fx.plain,
		              fx.built, fx.verdicts[1], fx.verdicts[2], fx.verdicts[3],
		              fx.verdicts[4]);
		assert_true(fx.plain > packets / 2);
		assert_true(fx.built > packets / 4);
		for (unsigned i = SLUICE_VERDICT_TRANSMIT; i <= SLUICE_VERDICT_RESOLVE; i++)
			assert_true(fx.verdicts[i] > packets / 1000);
		end(&fx);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_plain_packets_come_out_as_others_do),
	};

	world_eal();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
