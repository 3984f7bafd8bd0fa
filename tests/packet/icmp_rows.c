// SPDX-License-Identifier: BSD-3-Clause
#include "icmp_rows.h"

#define FROM_CLIENTS      .mac_to = HOST_0, .mac_from = GATEWAY
#define TO_BACKENDS       .mac_to = BACKEND, .mac_from = HOST_1, .ttl = 63
#define FROM_BACKENDS     .mac_to = HOST_1, .mac_from = BACKEND
#define TO_CLIENTS        .mac_to = GATEWAY, .mac_from = HOST_0, .ttl = 63

#define BY(address, port) .source = (address), .source_port = (port)
#define TO(address, port) .destination = (address), .destination_port = (port)
#define ICMP_4(from, to)  .protocol = ICMP, .source = (from), .destination = (to)
#define ICMP_6(from, to)  .protocol = ICMP6, .source = (from), .destination = (to)

#define CLIENT_4          "198.51.100.9"
#define CLIENT_6          "2001:db8:100::9"
#define ROUTER_4          "203.0.113.77" // on the clients' side
#define ROUTER_6          "2001:db8:77::1"
#define INNER_4           "172.17.0.254" // on the endpoints' side
#define INNER_6           "fd00::fe"

#define TRANSMIT(port)    SLUICE_VERDICT_TRANSMIT, 0, port
#define DROP(reason)      SLUICE_VERDICT_DROP, SLUICE_DROP_##reason, 0
#define PASS              SLUICE_VERDICT_PASS
#define RESOLVE           SLUICE_VERDICT_RESOLVE, 0, 0

#define UNREACHABLE_4     0x0303, 0
#define TOO_BIG_4         0x0304, 1300
#define EXCEEDED_4        0x0b00, 0
#define PROBLEM_4         0x0c00, 20U << 24
#define UNREACHABLE_6     0x0104, 0
#define TOO_BIG_6         0x0200, 1300
#define EXCEEDED_6        0x0300, 0
#define PROBLEM_6         0x0401, 6

// An error from `from` about what an endpoint sent to the client, in, and as the endpoint gets it.
#define ABOUT_OUT(...) ABOUT_OUT_(__VA_ARGS__)
#define ABOUT_OUT_(icmp, l4, from, vip, vip_port, endpoint, endpoint_port, client, ...)            \
	{{FROM_CLIENTS, icmp(from, vip)},                                                          \
	 {.protocol = l4, BY(vip, vip_port), TO(client, 40000), __VA_ARGS__}},                     \
	        TRANSMIT(1),                                                                       \
	{                                                                                          \
		{TO_BACKENDS, icmp(from, endpoint)},                                               \
		{                                                                                  \
			.protocol = l4, BY(endpoint, endpoint_port), TO(client, 40000),            \
			__VA_ARGS__                                                                \
		}                                                                                  \
	}
// An error from `from` about what a client sent, in, and as the client gets it from `seen`.
#define ABOUT_IN(...) ABOUT_IN_(__VA_ARGS__)
#define ABOUT_IN_(icmp, l4, from, seen, vip, vip_port, endpoint, endpoint_port, client, ...)       \
	{{FROM_BACKENDS, icmp(from, client)},                                                      \
	 {.protocol = l4, BY(client, 40000), TO(endpoint, endpoint_port), __VA_ARGS__}},           \
	        TRANSMIT(0),                                                                       \
	{                                                                                          \
		{TO_CLIENTS, icmp(seen, client)},                                                  \
		{                                                                                  \
			.protocol = l4, BY(client, 40000), TO(vip, vip_port), __VA_ARGS__          \
		}                                                                                  \
	}
#define WEB_4 "10.96.0.1", 80, "172.17.0.5", 8080, CLIENT_4
#define DNS_4 "10.96.0.1", 53, "172.17.0.5", 5353, CLIENT_4
#define WEB_6 "2001:db8:96::1", 80, "fd00::5", 8080, CLIENT_6
#define DNS_6 "2001:db8:96::1", 53, "fd00::5", 5353, CLIENT_6

// What a client sent to an endpoint, and the error that comes for it to `to`.
#define QUOTE_WEB_4                                                                                \
	{                                                                                          \
		.protocol = TCP, BY(CLIENT_4, 40000), TO("172.17.0.5", 8080)                       \
	}
#define QUOTE_VIP_4                                                                                \
	{                                                                                          \
		.protocol = TCP, BY("10.96.0.1", 80), TO(CLIENT_4, 40000)                          \
	}
#define QUOTE_VIP_6                                                                                \
	{                                                                                          \
		.protocol = TCP, BY("2001:db8:96::1", 80), TO(CLIENT_6, 40000)                     \
	}

const struct icmp_row icmp_rows[] = {
        // ---- about what an endpoint sent: to the endpoint
        {"fragmentation needed, TCP", TOO_BIG_4,
         ABOUT_OUT(ICMP_4, TCP, ROUTER_4, WEB_4, .flags = ACK, .payload = 40, .fragment = 0x4000)},
        {"fragmentation needed, UDP", TOO_BIG_4,
         ABOUT_OUT(ICMP_4, UDP, ROUTER_4, DNS_4, .payload = 41, .ttl = 3)},
        {"fragmentation needed, UDP without checksum", TOO_BIG_4,
         ABOUT_OUT(ICMP_4, UDP, ROUTER_4, DNS_4, .payload = 5, .no_checksum = true)},
        {"port unreachable from the client", UNREACHABLE_4,
         ABOUT_OUT(ICMP_4, UDP, CLIENT_4, DNS_4, .payload = 12)},
        {"time exceeded, IP options quoted", EXCEEDED_4,
         ABOUT_OUT(ICMP_4, TCP, ROUTER_4, WEB_4, .flags = ACK, .ip_options = 40, .ttl = 1)},
        {"parameter problem, TCP options quoted", PROBLEM_4,
         ABOUT_OUT(ICMP_4, TCP, ROUTER_4, WEB_4, .flags = SYN, .tcp_options = 20)},
        {"first fragment quoted", TOO_BIG_4,
         ABOUT_OUT(ICMP_4, UDP, ROUTER_4, DNS_4, .payload = 64, .fragment = 0x2000)},
        {"packet too big, TCP", TOO_BIG_6,
         ABOUT_OUT(ICMP_6, TCP, ROUTER_6, WEB_6, .flags = ACK, .payload = 99)},
        {"packet too big, UDP", TOO_BIG_6,
         ABOUT_OUT(ICMP_6, UDP, ROUTER_6, DNS_6, .payload = 41, .ttl = 3)},
        {"packet too big, as large as errors are", TOO_BIG_6,
         ABOUT_OUT(ICMP_6, TCP, ROUTER_6, WEB_6, .flags = ACK, .payload = 1172)},
        {"port unreachable from the client, IPv6", UNREACHABLE_6,
         ABOUT_OUT(ICMP_6, UDP, CLIENT_6, DNS_6, .payload = 12)},
        {"time exceeded, IPv6", EXCEEDED_6, ABOUT_OUT(ICMP_6, UDP, ROUTER_6, DNS_6, .payload = 1)},
        {"parameter problem, extension headers quoted", PROBLEM_6,
         ABOUT_OUT(ICMP_6, TCP, ROUTER_6, WEB_6, .flags = SYN,
                   .extensions = {HOP_BY_HOP, ROUTING, DESTINATION_OPTIONS}, .extension_size = 16)},
        {"first fragment quoted, IPv6", TOO_BIG_6,
         ABOUT_OUT(ICMP_6, UDP, ROUTER_6, DNS_6, .payload = 64, .extensions = {FRAGMENT},
                   .fragment = 1)},
        {"to an endpoint behind a node port", TOO_BIG_4,
         ABOUT_OUT(ICMP_4, TCP, ROUTER_4, "192.0.2.10", 30080, "172.17.0.6", 8080, CLIENT_4,
                   .flags = ACK)},
        {"to a shared endpoint", TOO_BIG_4,
         ABOUT_OUT(ICMP_4, TCP, ROUTER_4, "10.96.0.4", 81, "172.17.0.7", 8080, CLIENT_4,
                   .flags = ACK)},

        // ---- about what a client sent: to the client
        {"fragmentation needed behind the load balancer, TCP", TOO_BIG_4,
         ABOUT_IN(ICMP_4, TCP, INNER_4, INNER_4, WEB_4, .flags = ACK, .payload = 40,
                  .fragment = 0x4000)},
        {"fragmentation needed behind the load balancer, UDP", TOO_BIG_4,
         ABOUT_IN(ICMP_4, UDP, INNER_4, INNER_4, DNS_4, .payload = 40, .no_checksum = true)},
        {"port unreachable from the endpoint", UNREACHABLE_4,
         ABOUT_IN(ICMP_4, UDP, "172.17.0.5", "10.96.0.1", DNS_4, .payload = 12)},
        {"time exceeded from the endpoint, TCP", EXCEEDED_4,
         ABOUT_IN(ICMP_4, TCP, "172.17.0.5", "10.96.0.1", WEB_4, .flags = SYN, .ttl = 1)},
        {"time exceeded behind the load balancer", EXCEEDED_4,
         ABOUT_IN(ICMP_4, TCP, INNER_4, INNER_4, WEB_4, .flags = SYN, .ttl = 1)},
        {"parameter problem from another endpoint", PROBLEM_4,
         ABOUT_IN(ICMP_4, TCP, "172.17.0.6", "172.17.0.6", WEB_4, .ip_options = 8)},
        {"packet too big behind the load balancer, TCP", TOO_BIG_6,
         ABOUT_IN(ICMP_6, TCP, INNER_6, INNER_6, WEB_6, .flags = ACK, .payload = 77)},
        {"packet too big behind the load balancer, UDP", TOO_BIG_6,
         ABOUT_IN(ICMP_6, UDP, INNER_6, INNER_6, DNS_6, .payload = 77)},
        {"port unreachable from the endpoint, IPv6", UNREACHABLE_6,
         ABOUT_IN(ICMP_6, UDP, "fd00::5", "2001:db8:96::1", DNS_6, .payload = 12)},
        {"parameter problem from the endpoint, TCP, IPv6", PROBLEM_6,
         ABOUT_IN(ICMP_6, TCP, "fd00::5", "2001:db8:96::1", WEB_6, .flags = SYN,
                  .extensions = {DESTINATION_OPTIONS})},
        {"time exceeded behind the load balancer, IPv6", EXCEEDED_6,
         ABOUT_IN(ICMP_6, TCP, INNER_6, INNER_6, WEB_6, .flags = SYN, .ttl = 1)},
        {"from a shared endpoint, first service", UNREACHABLE_4,
         ABOUT_IN(ICMP_4, TCP, "172.17.0.7", "10.96.0.3", "10.96.0.3", 80, "172.17.0.7", 8080,
                  CLIENT_4, .flags = ACK),
         .first = {FROM_CLIENTS, .protocol = TCP, BY(CLIENT_4, 40000), TO("10.96.0.3", 80)}},
        {"from a shared endpoint, second service", UNREACHABLE_4,
         ABOUT_IN(ICMP_4, TCP, "172.17.0.7", "10.96.0.4", "10.96.0.4", 81, "172.17.0.7", 8080,
                  CLIENT_4, .flags = ACK),
         .first = {FROM_CLIENTS, .protocol = TCP, BY(CLIENT_4, 40000), TO("10.96.0.4", 81)}},
        {"from a shared endpoint, second service, IPv6", UNREACHABLE_6,
         ABOUT_IN(ICMP_6, UDP, "fd00::7", "2001:db8:96::4", "2001:db8:96::4", 53, "fd00::7", 5353,
                  CLIENT_6, .payload = 2),
         .first = {FROM_CLIENTS, .protocol = UDP, BY(CLIENT_6, 40000), TO("2001:db8:96::4", 53)}},
        {"from a shared endpoint to an unknown client",
         UNREACHABLE_4,
         {{FROM_BACKENDS, ICMP_4("172.17.0.7", CLIENT_4)},
          {.protocol = TCP, BY(CLIENT_4, 40000), TO("172.17.0.7", 8080)}},
         DROP(NO_RETURN_FLOW)},
        {"by node port, IPv6", TOO_BIG_6,
         ABOUT_IN(ICMP_6, TCP, "fd00::6", "2001:db8:2::10", "2001:db8:2::10", 30080, "fd00::6",
                  8080, CLIENT_6, .flags = ACK),
         .first = {FROM_CLIENTS, .protocol = TCP, BY(CLIENT_6, 40000),
                   TO("2001:db8:2::10", 30080)}},

        // ---- next hops and time to live
        {"to an unresolved endpoint",
         TOO_BIG_4,
         {{FROM_CLIENTS, ICMP_4(ROUTER_4, "10.96.0.8")},
          {.protocol = TCP, BY("10.96.0.8", 80), TO(CLIENT_4, 40000)}},
         RESOLVE,
         {{FROM_CLIENTS, ICMP_4(ROUTER_4, "172.17.0.8"), .ttl = 63},
          {.protocol = TCP, BY("172.17.0.8", 8080), TO(CLIENT_4, 40000)}}},
        {"to an unresolved client, IPv6",
         TOO_BIG_6,
         {{FROM_BACKENDS, ICMP_6(INNER_6, "2001:db8:101::9")},
          {.protocol = UDP, BY("2001:db8:101::9", 40000), TO("fd00::5", 5353)}},
         RESOLVE,
         {{FROM_BACKENDS, ICMP_6(INNER_6, "2001:db8:101::9"), .ttl = 63},
          {.protocol = UDP, BY("2001:db8:101::9", 40000), TO("2001:db8:96::1", 53)}}},
        {"to an endpoint without route",
         TOO_BIG_4,
         {{FROM_CLIENTS, ICMP_4(ROUTER_4, "10.96.0.9")},
          {.protocol = TCP, BY("10.96.0.9", 80), TO(CLIENT_4, 40000)}},
         DROP(NO_ROUTE)},
        {"to a client without route",
         TOO_BIG_4,
         {{FROM_BACKENDS, ICMP_4(INNER_4, "203.0.113.1")},
          {.protocol = TCP, BY("203.0.113.1", 40000), TO("172.17.0.5", 8080)}},
         DROP(NO_ROUTE)},
        {"too big itself is not answered",
         TOO_BIG_6,
         {{FROM_BACKENDS, ICMP_6(INNER_6, "2001:db8:102::9")},
          {.protocol = UDP, BY("2001:db8:102::9", 40000), TO("fd00::5", 5353), .payload = 9}},
         DROP(TOO_BIG)},
        {"too big itself is not answered, don't fragment",
         TOO_BIG_4,
         {{FROM_CLIENTS, ICMP_4(ROUTER_4, "10.96.0.10"), .fragment = 0x4000},
          {.protocol = UDP, BY("10.96.0.10", 53), TO(CLIENT_4, 40000), .payload = 60}},
         DROP(TOO_BIG)},
        {"TTL 1",
         TOO_BIG_4,
         {{FROM_CLIENTS, ICMP_4(ROUTER_4, "10.96.0.1"), .ttl = 1}, QUOTE_VIP_4},
         DROP(TTL_EXPIRED)},
        {"about a service without endpoints",
         TOO_BIG_4,
         {{FROM_CLIENTS, ICMP_4(ROUTER_4, "10.96.0.5")},
          {.protocol = TCP, BY("10.96.0.5", 80), TO(CLIENT_4, 40000)}},
         DROP(NO_ENDPOINT)},
        {"in a VLAN",
         TOO_BIG_4,
         {{FROM_CLIENTS, ICMP_4(ROUTER_4, "10.96.0.1"), .tags = {0x8100}}, QUOTE_VIP_4},
         DROP(VLAN)},

        // ---- the kernel's
        {"about the host's own probe",
         UNREACHABLE_4,
         {{FROM_BACKENDS, ICMP_4("172.17.0.5", "172.17.0.1")},
          {.protocol = TCP, BY("172.17.0.1", 40000), TO("172.17.0.5", 8080)}},
         PASS},
        {"about another port of a virtual address",
         TOO_BIG_4,
         {{FROM_CLIENTS, ICMP_4(ROUTER_4, "10.96.0.1")},
          {.protocol = TCP, BY("10.96.0.1", 22), TO(CLIENT_4, 40000)}},
         PASS},
        {"about another protocol of a service's port",
         TOO_BIG_4,
         {{FROM_CLIENTS, ICMP_4(ROUTER_4, "10.96.0.1")},
          {.protocol = UDP, BY("10.96.0.1", 80), TO(CLIENT_4, 40000)}},
         PASS},
        {"about a packet to a virtual address",
         UNREACHABLE_4,
         {{FROM_CLIENTS, ICMP_4(ROUTER_4, "10.96.0.1")},
          {.protocol = TCP, BY(CLIENT_4, 40000), TO("10.96.0.1", 80)}},
         PASS},
        {"about another's packet",
         TOO_BIG_6,
         {{FROM_CLIENTS, ICMP_6(ROUTER_6, "2001:db8:2::10")}, QUOTE_VIP_6},
         PASS},
        {"about a client's packet, to another",
         TOO_BIG_4,
         {{FROM_BACKENDS, ICMP_4(INNER_4, "198.51.100.8")}, QUOTE_WEB_4},
         PASS},
        {"about another port of an endpoint",
         TOO_BIG_4,
         {{FROM_BACKENDS, ICMP_4(INNER_4, CLIENT_4)},
          {.protocol = TCP, BY(CLIENT_4, 40000), TO("172.17.0.5", 22)}},
         PASS},
        {"about a ping to a virtual address",
         UNREACHABLE_4,
         {{FROM_CLIENTS, ICMP_4(ROUTER_4, "10.96.0.1")},
          {.protocol = ICMP, BY("10.96.0.1", 0), TO(CLIENT_4, 0), .payload = 20}},
         PASS},
        {"about a ping to a virtual address, IPv6",
         UNREACHABLE_6,
         {{FROM_CLIENTS, ICMP_6(ROUTER_6, "2001:db8:96::1")},
          {.protocol = ICMP6, BY("2001:db8:96::1", 0), TO(CLIENT_6, 0), .payload = 20}},
         PASS},
        {"about SCTP",
         UNREACHABLE_4,
         {{FROM_CLIENTS, ICMP_4(ROUTER_4, "10.96.0.1")},
          {.protocol = SCTP, BY("10.96.0.1", 0), TO(CLIENT_4, 0), .payload = 20}},
         PASS},
        {"about a later fragment",
         TOO_BIG_4,
         {{FROM_CLIENTS, ICMP_4(ROUTER_4, "10.96.0.1")},
          {.protocol = UDP, BY("10.96.0.1", 53), TO(CLIENT_4, 40000), .fragment = 0x2010}},
         PASS},
        {"about a later fragment, IPv6",
         TOO_BIG_6,
         {{FROM_CLIENTS, ICMP_6(ROUTER_6, "2001:db8:96::1")},
          {.protocol = UDP,
           BY("2001:db8:96::1", 53),
           TO(CLIENT_6, 40000),
           .extensions = {FRAGMENT},
           .fragment = 0x10}},
         PASS},
        {"more extension headers quoted than are read",
         TOO_BIG_6,
         {{FROM_CLIENTS, ICMP_6(ROUTER_6, "2001:db8:96::1")},
          {.protocol = UDP,
           BY("2001:db8:96::1", 53),
           TO(CLIENT_6, 40000),
           .extensions = {60, 60, 60, 60, 60, 60, 60, 60, 60}}},
         PASS},
        {"about a packet on a source route",
         TOO_BIG_6,
         {{FROM_CLIENTS, ICMP_6(ROUTER_6, "2001:db8:96::1")},
          {.protocol = UDP,
           BY("2001:db8:96::1", 53),
           TO(CLIENT_6, 40000),
           .extensions = {ROUTING},
           .segments_left = 1}},
         PASS},
        {"source quench",
         0x0400,
         0,
         {{FROM_CLIENTS, ICMP_4(ROUTER_4, "10.96.0.1")}, QUOTE_VIP_4},
         PASS},
        {"redirect", 0x0501, 0, {{FROM_CLIENTS, ICMP_4(ROUTER_4, "10.96.0.1")}, QUOTE_VIP_4}, PASS},
        {"redirect, IPv6",
         0x8900,
         0,
         {{FROM_CLIENTS, ICMP_6(ROUTER_6, "2001:db8:96::1")}, QUOTE_VIP_6},
         PASS},
        {"an echo reply that looks like an error",
         0x0000,
         0,
         {{FROM_CLIENTS, ICMP_4(ROUTER_4, "10.96.0.1")}, QUOTE_VIP_4},
         PASS},
        {"an error type of experiments, IPv6",
         0x6400,
         0,
         {{FROM_CLIENTS, ICMP_6(ROUTER_6, "2001:db8:96::1")}, QUOTE_VIP_6},
         PASS},
        {"an error in fragments",
         TOO_BIG_4,
         {{FROM_CLIENTS, ICMP_4(ROUTER_4, "10.96.0.1"), .fragment = 0x2000}, QUOTE_VIP_4},
         PASS},
        {"an error in fragments, IPv6",
         TOO_BIG_6,
         {{FROM_CLIENTS, ICMP_6(ROUTER_6, "2001:db8:96::1"), .extensions = {FRAGMENT},
           .fragment = 1},
          QUOTE_VIP_6},
         PASS},
        {"ICMPv6 in IPv4",
         0x0200,
         1300,
         {{FROM_CLIENTS, .protocol = ICMP6, .source = ROUTER_4, .destination = "10.96.0.1"},
          QUOTE_VIP_4},
         PASS},
        {"IPv4 quoted in ICMPv6",
         TOO_BIG_6,
         {{FROM_CLIENTS, ICMP_6(ROUTER_6, "2001:db8:96::1")}, QUOTE_VIP_4},
         PASS},
};

const size_t icmp_row_count = sizeof(icmp_rows) / sizeof(icmp_rows[0]);

uint32_t icmp_row_quoted(const struct icmp_row *r)
{
	struct frame original;

	frame_build(&original, &r->in.quoted);
	return original.length - 14;
}

uint32_t icmp_row_needed(const struct icmp_row *r)
{
	const struct frame_fields *q = &r->in.quoted;
	uint32_t transport = q->protocol == TCP ? 20 + q->tcp_options : 8;

	return icmp_row_quoted(r) - q->payload - transport + 4;
}

void icmp_row_build_in(const struct icmp_row *r, struct frame *f, uint32_t quoted)
{
	struct frame original;

	frame_build(&original, &r->in.quoted);
	frame_build_error(f, &r->in.outer, r->type_code, r->word, &original, quoted);
}

// Half a transport checksum is as it was: it can't be told by how much the other half changes.
void icmp_row_build_out(const struct icmp_row *r, struct frame *f, uint32_t quoted)
{
	uint32_t checksum = icmp_row_needed(r) - 4 + (r->in.quoted.protocol == TCP ? 16 : 6);
	struct frame original, before;

	frame_build(&before, &r->in.quoted);
	frame_build(&original, &r->out.quoted);
	if (quoted == checksum + 1)
		original.bytes[14 + checksum] = before.bytes[14 + checksum];
	frame_build_error(f, &r->out.outer, r->type_code, r->word, &original, quoted);
}
