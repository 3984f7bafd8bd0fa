// SPDX-License-Identifier: BSD-3-Clause
#include "rows.h"

#define FROM_CLIENTS      .mac_to = HOST_0, .mac_from = GATEWAY
#define TO_BACKENDS       .mac_to = BACKEND, .mac_from = HOST_1, .ttl = 63
#define FROM_BACKENDS     .mac_to = HOST_1, .mac_from = BACKEND
#define TO_CLIENTS        .mac_to = GATEWAY, .mac_from = HOST_0, .ttl = 63
#define ANSWER            .mac_to = GATEWAY, .mac_from = HOST_0

#define BY(address, port) .source = (address), .source_port = (port)
#define TO(address, port) .destination = (address), .destination_port = (port)

#define CLIENT_4          "198.51.100.9"
#define CLIENT_6          "2001:db8:100::9"
#define TCP_4             .protocol = TCP, BY(CLIENT_4, 40000)
#define UDP_4             .protocol = UDP, BY(CLIENT_4, 40000)
#define TCP_6             .protocol = TCP, BY(CLIENT_6, 40000)
#define UDP_6             .protocol = UDP, BY(CLIENT_6, 40000)
#define WEB_4             TO("10.96.0.1", 80)
#define DNS_4             TO("10.96.0.1", 53)
#define WEB_6             TO("2001:db8:96::1", 80)
#define DNS_6             TO("2001:db8:96::1", 53)

#define TRANSMIT(port)    SLUICE_VERDICT_TRANSMIT, 0, port
#define DROP(reason)      SLUICE_VERDICT_DROP, SLUICE_DROP_##reason, 0
#define PASS              SLUICE_VERDICT_PASS
#define HOLD              SLUICE_VERDICT_HOLD
#define SPLIT             SLUICE_VERDICT_SPLIT
#define RESOLVE           SLUICE_VERDICT_RESOLVE, 0, 0

// Frequent whole packets: {in}, verdict, {out}; more fields of both may follow in the arguments.
#define IN_TCP_4(...)                                                                              \
	{FROM_CLIENTS, TCP_4, WEB_4, __VA_ARGS__}, TRANSMIT(1),                                    \
	{                                                                                          \
		TO_BACKENDS, TCP_4, TO("172.17.0.5", 8080), __VA_ARGS__                            \
	}
#define IN_UDP_4(...)                                                                              \
	{FROM_CLIENTS, UDP_4, DNS_4, __VA_ARGS__}, TRANSMIT(1),                                    \
	{                                                                                          \
		TO_BACKENDS, UDP_4, TO("172.17.0.5", 5353), __VA_ARGS__                            \
	}
#define IN_TCP_6(...)                                                                              \
	{FROM_CLIENTS, TCP_6, WEB_6, __VA_ARGS__}, TRANSMIT(1),                                    \
	{                                                                                          \
		TO_BACKENDS, TCP_6, TO("fd00::5", 8080), __VA_ARGS__                               \
	}
#define IN_UDP_6(...)                                                                              \
	{FROM_CLIENTS, UDP_6, DNS_6, __VA_ARGS__}, TRANSMIT(1),                                    \
	{                                                                                          \
		TO_BACKENDS, UDP_6, TO("fd00::5", 5353), __VA_ARGS__                               \
	}
#define RETURN(l4, endpoint, endpoint_port, vip, vip_port, client, ...)                            \
	{FROM_BACKENDS, .protocol = l4, BY(endpoint, endpoint_port), TO(client, 40000),            \
	 __VA_ARGS__},                                                                             \
	        TRANSMIT(0),                                                                       \
	{                                                                                          \
		TO_CLIENTS, .protocol = l4, BY(vip, vip_port), TO(client, 40000), __VA_ARGS__      \
	}
#define OUT_TCP_4(...) RETURN(TCP, "172.17.0.5", 8080, "10.96.0.1", 80, CLIENT_4, __VA_ARGS__)
#define OUT_UDP_4(...) RETURN(UDP, "172.17.0.5", 5353, "10.96.0.1", 53, CLIENT_4, __VA_ARGS__)
#define OUT_TCP_6(...) RETURN(TCP, "fd00::5", 8080, "2001:db8:96::1", 80, CLIENT_6, __VA_ARGS__)
#define OUT_UDP_6(...) RETURN(UDP, "fd00::5", 5353, "2001:db8:96::1", 53, CLIENT_6, __VA_ARGS__)

// A TCP packet to a service without endpoints, and the reset that answers it.
#define EMPTY_4 .protocol = TCP, BY(CLIENT_4, 40000), TO("10.96.0.5", 80)
#define EMPTY_6 .protocol = TCP, BY(CLIENT_6, 40000), TO("2001:db8:96::5", 80)
#define RESET_4                                                                                    \
	ANSWER, .fragment = 0x4000, .protocol = TCP, BY("10.96.0.5", 80), TO(CLIENT_4, 40000)
#define RESET_6 ANSWER, .protocol = TCP, BY("2001:db8:96::5", 80), TO(CLIENT_6, 40000)

#define PAD_4   .padding = 6 // a bare IPv4 TCP header in the shortest Ethernet frame

const struct row rows[] = {
        // ---- client to service
        {"TCP SYN, IPv4", IN_TCP_4(.flags = SYN, .sequence = 77, PAD_4)},
        {"TCP data, IPv4", IN_TCP_4(.flags = ACK | PSH, .payload = 101, .acknowledgement = 9)},
        {"TCP FIN, IPv4", IN_TCP_4(.flags = FIN | ACK)},
        {"TCP RST, IPv4", IN_TCP_4(.flags = RST)},
        {"TCP without flags, IPv4", IN_TCP_4(.flags = 0)},
        {"TCP options, IPv4", IN_TCP_4(.flags = SYN, .tcp_options = 40, .payload = 1)},
        {"TCP as large as the MTU, IPv4", IN_TCP_4(.flags = ACK, .payload = 1460)},
        {"TOS, id and don't-fragment stay", IN_TCP_4(.tos = 0xb9, .id = 7, .fragment = 0x4000)},
        {"IP options, the shortest", IN_TCP_4(.ip_options = 4, .flags = SYN)},
        {"IP options, the longest", IN_UDP_4(.ip_options = 40, .payload = 5)},
        {"UDP, IPv4", IN_UDP_4(.payload = 33)},
        {"UDP, IPv4, empty, padded", IN_UDP_4(.padding = 18)},
        {"UDP without checksum stays so, IPv4", IN_UDP_4(.payload = 8, .no_checksum = true)},
        {"TCP SYN, IPv6", IN_TCP_6(.flags = SYN, .sequence = 77)},
        {"TCP data, IPv6", IN_TCP_6(.flags = ACK | PSH, .payload = 100)},
        {"TCP as large as the MTU, IPv6", IN_TCP_6(.flags = ACK, .payload = 1440)},
        {"traffic class and flow label stay", IN_TCP_6(.tos = 0xb9, .id = 0x4321)},
        {"UDP, IPv6", IN_UDP_6(.payload = 33)},
        {"UDP, IPv6, padded", IN_UDP_6(.payload = 1, .padding = 9)},
        {"UDP without checksum stays so, IPv6", IN_UDP_6(.payload = 8, .no_checksum = true)},
        {"hop-by-hop options", IN_TCP_6(.extensions = {HOP_BY_HOP}, .flags = SYN)},
        {"destination options", IN_UDP_6(.extensions = {DESTINATION_OPTIONS}, .payload = 9)},
        {"routing header", IN_TCP_6(.extensions = {ROUTING}, .flags = ACK)},
        {"atomic fragment", IN_UDP_6(.extensions = {FRAGMENT}, .payload = 9)},
        {"all extension headers", IN_TCP_6(.extensions = {HOP_BY_HOP, DESTINATION_OPTIONS, ROUTING,
                                                          FRAGMENT, DESTINATION_OPTIONS},
                                           .extension_size = 24, .flags = ACK, .payload = 3)},
        {"as many extension headers as are read",
         IN_UDP_6(.extensions = {60, 60, 60, 60, 60, 60, 60, 60}, .payload = 4)},
        {"more extension headers than are read",
         {FROM_CLIENTS, UDP_6, DNS_6, .extensions = {60, 60, 60, 60, 60, 60, 60, 60, 60}},
         DROP(BAD_HEADER)},
        {"node port, IPv4",
         {FROM_CLIENTS, TCP_4, TO("192.0.2.10", 30080), .flags = SYN},
         TRANSMIT(1),
         {TO_BACKENDS, TCP_4, TO("172.17.0.6", 8080), .flags = SYN}},
        {"node port, IPv6",
         {FROM_CLIENTS, TCP_6, TO("2001:db8:2::10", 30080), .flags = SYN},
         TRANSMIT(1),
         {TO_BACKENDS, TCP_6, TO("fd00::6", 8080), .flags = SYN}},
        {"an endpoint as the client of a service",
         {FROM_BACKENDS, .protocol = TCP, BY("172.17.0.5", 8080), TO("10.96.0.2", 80)},
         TRANSMIT(1),
         {TO_BACKENDS, .protocol = TCP, BY("172.17.0.5", 8080), TO("172.17.0.6", 8080)}},

        // ---- endpoint to client
        {"return, TCP SYN ACK, IPv4", OUT_TCP_4(.flags = SYN | ACK, PAD_4)},
        {"return, TCP data, IPv4", OUT_TCP_4(.flags = ACK, .payload = 1460)},
        {"return, TCP RST, IPv4", OUT_TCP_4(.flags = RST | ACK)},
        {"return, IP options", OUT_TCP_4(.flags = ACK, .ip_options = 12)},
        {"return, UDP, IPv4", OUT_UDP_4(.payload = 100)},
        {"return, UDP without checksum, IPv4", OUT_UDP_4(.payload = 100, .no_checksum = true)},
        {"return, TCP, IPv6", OUT_TCP_6(.flags = ACK, .payload = 77)},
        {"return, UDP, IPv6", OUT_UDP_6(.payload = 77)},
        {"return, extension headers",
         OUT_UDP_6(.extensions = {HOP_BY_HOP, DESTINATION_OPTIONS}, .payload = 7)},
        {"return of a shared endpoint, first service, IPv4",
         RETURN(TCP, "172.17.0.7", 8080, "10.96.0.3", 80, CLIENT_4, .flags = SYN | ACK),
         .first = {FROM_CLIENTS, TCP_4, TO("10.96.0.3", 80), .flags = SYN}},
        {"return of a shared endpoint, second service, IPv4",
         RETURN(TCP, "172.17.0.7", 8080, "10.96.0.4", 81, CLIENT_4, .flags = SYN | ACK),
         .first = {FROM_CLIENTS, TCP_4, TO("10.96.0.4", 81), .flags = SYN}},
        {"return of a shared endpoint, first service, IPv6",
         RETURN(UDP, "fd00::7", 5353, "2001:db8:96::3", 53, CLIENT_6, .payload = 5),
         .first = {FROM_CLIENTS, UDP_6, TO("2001:db8:96::3", 53)}},
        {"return of a shared endpoint, second service, IPv6",
         RETURN(UDP, "fd00::7", 5353, "2001:db8:96::4", 53, CLIENT_6, .payload = 5),
         .first = {FROM_CLIENTS, UDP_6, TO("2001:db8:96::4", 53)}},
        {"return of a shared endpoint to an unknown client, IPv4",
         {FROM_BACKENDS, .protocol = TCP, BY("172.17.0.7", 8080), TO(CLIENT_4, 40000)},
         DROP(NO_RETURN_FLOW)},
        {"return of a shared endpoint to another port of a known client",
         {FROM_BACKENDS, .protocol = TCP, BY("172.17.0.7", 8080), TO(CLIENT_4, 40001)},
         DROP(NO_RETURN_FLOW),
         .first = {FROM_CLIENTS, TCP_4, TO("10.96.0.4", 81), .flags = SYN}},
        {"return of a shared endpoint to an unknown client, IPv6",
         {FROM_BACKENDS, .protocol = UDP, BY("fd00::7", 5353), TO(CLIENT_6, 40000)},
         DROP(NO_RETURN_FLOW)},
        {"return by node port, IPv4",
         RETURN(TCP, "172.17.0.6", 8080, "192.0.2.10", 30080, CLIENT_4, .flags = SYN | ACK),
         .first = {FROM_CLIENTS, TCP_4, TO("192.0.2.10", 30080), .flags = SYN}},
        {"return by node port, IPv6",
         RETURN(TCP, "fd00::6", 8080, "2001:db8:2::10", 30080, CLIENT_6, .flags = SYN | ACK),
         .first = {FROM_CLIENTS, TCP_6, TO("2001:db8:2::10", 30080), .flags = SYN}},

        // ---- the kernel's packets
        {"answer to the host's own probe, IPv4",
         {FROM_BACKENDS, .protocol = TCP, BY("172.17.0.5", 8080), TO("172.17.0.1", 40000)},
         PASS},
        {"answer to the host's own probe, IPv6",
         {FROM_BACKENDS, .protocol = TCP, BY("fd00::5", 8080), TO("fd00::1", 40000)},
         PASS},
        {"answer of a shared endpoint to the host's own probe",
         {FROM_BACKENDS, .protocol = TCP, BY("172.17.0.7", 8080), TO("172.17.0.1", 40000)},
         PASS},
        {"another address", {FROM_CLIENTS, TCP_4, TO("10.96.0.99", 80)}, PASS},
        {"another address, IPv6", {FROM_CLIENTS, TCP_6, TO("2001:db8:96::99", 80)}, PASS},
        {"routing header with segments left",
         {FROM_CLIENTS, TCP_6, WEB_6, .extensions = {HOP_BY_HOP, ROUTING}, .segments_left = 1},
         PASS},
        {"another port of a virtual address", {FROM_CLIENTS, TCP_4, TO("10.96.0.1", 22)}, PASS},
        {"port 0 of a virtual address", {FROM_CLIENTS, TCP_4, TO("10.96.0.1", 0)}, PASS},
        {"a service's port, other protocol", {FROM_CLIENTS, UDP_4, TO("10.96.0.1", 80)}, PASS},
        {"another port of an endpoint",
         {FROM_BACKENDS, .protocol = TCP, BY("172.17.0.5", 22), TO(CLIENT_4, 40000)},
         PASS},
        {"an endpoint's port, other protocol",
         {FROM_BACKENDS, .protocol = UDP, BY("172.17.0.5", 8080), TO(CLIENT_4, 40000)},
         PASS},
        {"ICMP echo to a virtual address",
         {FROM_CLIENTS, .protocol = ICMP, BY(CLIENT_4, 0), WEB_4, .payload = 56},
         PASS},
        {"ICMPv6 echo to a virtual address",
         {FROM_CLIENTS, .protocol = ICMP6, BY(CLIENT_6, 0), WEB_6, .payload = 56},
         PASS},
        {"ICMPv6 behind extension headers",
         {FROM_CLIENTS, .protocol = ICMP6, BY(CLIENT_6, 0), WEB_6, .extensions = {60}},
         PASS},
        {"SCTP to a virtual address",
         {FROM_CLIENTS, .protocol = SCTP, BY(CLIENT_4, 0), WEB_4, .payload = 32},
         PASS},
        {"IPsec to a virtual address",
         {FROM_CLIENTS, UDP_6, DNS_6, .extensions = {AUTHENTICATION}, .extension_size = 24},
         PASS},
        {"IPv6 without next header", {FROM_CLIENTS, .protocol = 59, BY(CLIENT_6, 0), WEB_6}, PASS},
        {"ARP", {FROM_CLIENTS, UDP_4, DNS_4}, PASS, .patches = {{12, 0x08}, {13, 0x06}}},
        {"LLDP", {FROM_CLIENTS, UDP_4, DNS_4}, PASS, .patches = {{12, 0x88}, {13, 0xcc}}},
        {"802.3 length in place of a type",
         {FROM_CLIENTS, UDP_4, DNS_4},
         PASS,
         .patches = {{12, 0x00}, {13, 0x26}}},
        {"nothing but an Ethernet header of another type",
         {FROM_CLIENTS, UDP_4, DNS_4},
         PASS,
         .patches = {{12, 0x08}, {13, 0x06}},
         .cut = 14},

        // ---- fragments
        // Each of a datagram of its own, as bursts of them are tried.
        {"first fragment, UDP, IPv4", IN_UDP_4(.fragment = 0x2000, .id = 1, .payload = 64)},
        {"first fragment, TCP, IPv4", IN_TCP_4(.fragment = 0x2000, .id = 2, .payload = 64)},
        {"first fragment, UDP, IPv6",
         IN_UDP_6(.extensions = {FRAGMENT}, .fragment = 1, .datagram = 1, .payload = 64)},
        {"first fragment, TCP, IPv6",
         IN_TCP_6(.extensions = {FRAGMENT}, .fragment = 1, .datagram = 2, .payload = 64)},
        {"first fragment behind hop-by-hop options, IPv6",
         IN_UDP_6(.extensions = {HOP_BY_HOP, FRAGMENT, DESTINATION_OPTIONS}, .fragment = 1,
                  .datagram = 3, .payload = 64)},
        {"first fragment to a node port",
         {FROM_CLIENTS, TCP_4, TO("192.0.2.10", 30080), .fragment = 0x2000, .id = 3},
         TRANSMIT(1),
         {TO_BACKENDS, TCP_4, TO("172.17.0.6", 8080), .fragment = 0x2000, .id = 3}},
        {"return, first fragment, IPv4", OUT_UDP_4(.fragment = 0x2000, .id = 4, .payload = 64)},
        {"return, first fragment, IPv6",
         OUT_UDP_6(.extensions = {FRAGMENT}, .fragment = 1, .datagram = 4, .payload = 64)},
        {"first fragment to a service without endpoints",
         {FROM_CLIENTS, EMPTY_4, .fragment = 0x2000, .id = 5, .flags = SYN},
         TRANSMIT(0),
         {RESET_4, .flags = RST | ACK, .acknowledgement = 1}},
        {"first fragment to another port",
         {FROM_CLIENTS, UDP_4, TO("10.96.0.1", 80), .fragment = 0x2000, .id = 6},
         PASS},
        {"first fragment of an endpoint's own",
         {FROM_BACKENDS, .protocol = UDP, BY("172.17.0.5", 22), TO(CLIENT_4, 40000),
          .fragment = 0x2000, .id = 7},
         PASS},
        {"later fragment before its first, IPv4",
         {FROM_CLIENTS, UDP_4, DNS_4, .fragment = 0x2001, .id = 8, .payload = 64},
         HOLD},
        {"last fragment before its first, IPv4",
         {FROM_CLIENTS, UDP_4, DNS_4, .fragment = 0x0009, .id = 9, .payload = 3},
         HOLD},
        {"last fragment before its first, IPv6",
         {FROM_CLIENTS, UDP_6, DNS_6, .extensions = {FRAGMENT}, .fragment = 8, .datagram = 9,
          .payload = 3},
         HOLD},
        {"last fragment behind hop-by-hop options, IPv6",
         {FROM_CLIENTS, UDP_6, DNS_6, .extensions = {HOP_BY_HOP, FRAGMENT}, .fragment = 8,
          .datagram = 10},
         HOLD},
        {"last fragment that begins with an extension header, IPv6",
         {FROM_CLIENTS, .protocol = DESTINATION_OPTIONS, BY(CLIENT_6, 0), DNS_6,
          .extensions = {FRAGMENT}, .fragment = 8, .datagram = 11, .payload = 30},
         HOLD},
        {"return, last fragment before its first, IPv4",
         {FROM_BACKENDS, .protocol = UDP, BY("172.17.0.5", 0), TO(CLIENT_4, 0), .fragment = 9,
          .id = 10},
         HOLD},
        {"return, last fragment before its first, IPv6",
         {FROM_BACKENDS, .protocol = TCP, BY("fd00::5", 0), TO(CLIENT_6, 0),
          .extensions = {FRAGMENT}, .fragment = 8, .datagram = 12},
         HOLD},
        {"last fragment to a node port's address",
         {FROM_CLIENTS, TCP_4, TO("192.0.2.10", 30080), .fragment = 9, .id = 11},
         PASS},
        {"last fragment of an endpoint to the host, IPv4",
         {FROM_BACKENDS, .protocol = UDP, BY("172.17.0.5", 0), TO("172.17.0.1", 0), .fragment = 9,
          .id = 12},
         PASS},
        {"last fragment of an endpoint to the host, IPv6",
         {FROM_BACKENDS, .protocol = UDP, BY("fd00::5", 0), TO("fd00::1", 0),
          .extensions = {FRAGMENT}, .fragment = 8, .datagram = 13},
         PASS},
        {"fragment of another's traffic, IPv4",
         {FROM_CLIENTS, UDP_4, TO("10.96.0.99", 53), .fragment = 9, .payload = 64},
         PASS},
        {"fragment of another's traffic, IPv6",
         {FROM_CLIENTS, UDP_6, TO("2001:db8:96::99", 53), .extensions = {FRAGMENT}, .fragment = 8},
         PASS},
        {"fragment of a ping to a virtual address, IPv4",
         {FROM_CLIENTS, .protocol = ICMP, BY(CLIENT_4, 0), WEB_4, .fragment = 0x2000,
          .payload = 64},
         PASS},
        {"fragment of a ping to a virtual address, IPv6",
         {FROM_CLIENTS, .protocol = ICMP6, BY(CLIENT_6, 0), WEB_6, .extensions = {FRAGMENT},
          .fragment = 1, .payload = 64},
         PASS},
        {"the reserved bit makes no fragment", IN_UDP_4(.fragment = 0x8000, .payload = 2)},

        // ---- tags
        {"VLAN", {FROM_CLIENTS, TCP_4, WEB_4, .tags = {0x8100}}, DROP(VLAN)},
        {"VLAN, IPv6", {FROM_CLIENTS, TCP_6, WEB_6, .tags = {0x8100}}, DROP(VLAN)},
        {"QinQ", {FROM_CLIENTS, TCP_4, WEB_4, .tags = {0x88a8, 0x8100}}, PASS},

        // ---- time to live
        {"TTL 1", {FROM_CLIENTS, TCP_4, WEB_4, .ttl = 1}, DROP(TTL_EXPIRED)},
        {"TTL 0", {FROM_CLIENTS, TCP_4, WEB_4}, DROP(TTL_EXPIRED), .patches = {{22, 0}}},
        {"hop limit 1", {FROM_CLIENTS, UDP_6, DNS_6, .ttl = 1}, DROP(TTL_EXPIRED)},
        {"hop limit 0", {FROM_CLIENTS, UDP_6, DNS_6}, DROP(TTL_EXPIRED), .patches = {{21, 0}}},
        {"return, TTL 1",
         {FROM_BACKENDS, .protocol = TCP, BY("172.17.0.5", 8080), TO(CLIENT_4, 40000), .ttl = 1},
         DROP(TTL_EXPIRED)},
        {"TTL 2 leaves as 1",
         {FROM_CLIENTS, TCP_4, WEB_4, .ttl = 2},
         TRANSMIT(1),
         {.mac_to = BACKEND, .mac_from = HOST_1, TCP_4, TO("172.17.0.5", 8080), .ttl = 1}},
        {"hop limit 255",
         {FROM_CLIENTS, TCP_6, WEB_6, .ttl = 255},
         TRANSMIT(1),
         {.mac_to = BACKEND, .mac_from = HOST_1, TCP_6, TO("fd00::5", 8080), .ttl = 254}},

        // ---- next hops
        {"larger than the MTU, IPv4",
         {FROM_CLIENTS, UDP_4, TO("10.96.0.10", 53), .payload = 73},
         SPLIT},
        {"as large as a small MTU, IPv4",
         {FROM_CLIENTS, UDP_4, TO("10.96.0.10", 53), .payload = 72},
         TRANSMIT(1),
         {TO_BACKENDS, UDP_4, TO("172.17.0.10", 5353), .payload = 72}},
        {"as large as a small MTU, IPv6",
         {FROM_CLIENTS, UDP_6, TO("2001:db8:96::a", 53), .payload = 52},
         TRANSMIT(1),
         {TO_BACKENDS, UDP_6, TO("fd00::a", 5353), .payload = 52}},
        {"return, larger than the MTU, IPv4",
         {FROM_BACKENDS, .protocol = UDP, BY("172.17.0.5", 5353), TO("198.51.102.9", 40000),
          .payload = 73},
         SPLIT},
        {"return, as large as a small MTU, IPv6",
         RETURN(UDP, "fd00::5", 5353, "2001:db8:96::1", 53, "2001:db8:102::9", .payload = 52)},
        {"unresolved endpoint, IPv4",
         {FROM_CLIENTS, TCP_4, TO("10.96.0.8", 80), .flags = ACK},
         RESOLVE,
         {FROM_CLIENTS, TCP_4, TO("172.17.0.8", 8080), .flags = ACK, .ttl = 63}},
        {"unresolved endpoint, IPv6",
         {FROM_CLIENTS, TCP_6, TO("2001:db8:96::8", 80), .flags = ACK},
         RESOLVE,
         {FROM_CLIENTS, TCP_6, TO("fd00::8", 8080), .flags = ACK, .ttl = 63}},
        {"return to an unresolved next hop, IPv4",
         {FROM_BACKENDS, .protocol = TCP, BY("172.17.0.5", 8080), TO("198.51.101.9", 40000)},
         RESOLVE,
         {FROM_BACKENDS, .protocol = TCP, BY("10.96.0.1", 80), TO("198.51.101.9", 40000),
          .ttl = 63}},
        {"return to an unresolved next hop, IPv6",
         {FROM_BACKENDS, .protocol = TCP, BY("fd00::5", 8080), TO("2001:db8:101::9", 40000)},
         RESOLVE,
         {FROM_BACKENDS, .protocol = TCP, BY("2001:db8:96::1", 80), TO("2001:db8:101::9", 40000),
          .ttl = 63}},
        {"endpoint without route",
         {FROM_CLIENTS, TCP_4, TO("10.96.0.9", 80), .flags = SYN},
         DROP(NO_ROUTE)},
        {"return without route, IPv4",
         {FROM_BACKENDS, .protocol = TCP, BY("172.17.0.5", 8080), TO("203.0.113.1", 40000)},
         DROP(NO_ROUTE)},
        {"return without route, IPv6",
         {FROM_BACKENDS, .protocol = TCP, BY("fd00::5", 8080), TO("2001:db8:bad::1", 40000)},
         DROP(NO_ROUTE)},

        // ---- no endpoint
        {"SYN refused, IPv4",
         {FROM_CLIENTS, EMPTY_4, .flags = SYN, .sequence = 0xfffffffe, .id = 9, .tos = 4, PAD_4},
         TRANSMIT(0),
         {RESET_4, .flags = RST | ACK, .acknowledgement = 0xffffffff}},
        {"SYN with data refused, IPv4",
         {FROM_CLIENTS, EMPTY_4, .flags = SYN, .sequence = 0xfffffffe, .payload = 5},
         TRANSMIT(0),
         {RESET_4, .flags = RST | ACK, .acknowledgement = 4}},
        {"SYN with options refused, IPv4",
         {FROM_CLIENTS, EMPTY_4, .flags = SYN, .sequence = 5, .tcp_options = 20, .ip_options = 8},
         TRANSMIT(0),
         {RESET_4, .flags = RST | ACK, .acknowledgement = 6}},
        {"ACK refused, IPv4",
         {FROM_CLIENTS, EMPTY_4, .flags = ACK, .sequence = 5, .acknowledgement = 1234},
         TRANSMIT(0),
         {RESET_4, .flags = RST, .sequence = 1234}},
        {"SYN ACK refused, IPv4",
         {FROM_CLIENTS, EMPTY_4, .flags = SYN | ACK, .sequence = 5, .acknowledgement = 1234},
         TRANSMIT(0),
         {RESET_4, .flags = RST, .sequence = 1234}},
        {"FIN ACK with data refused, IPv4",
         {FROM_CLIENTS, EMPTY_4, .flags = FIN | ACK, .acknowledgement = 1234, .payload = 10},
         TRANSMIT(0),
         {RESET_4, .flags = RST, .sequence = 1234}},
        {"FIN without ACK refused, IPv4",
         {FROM_CLIENTS, EMPTY_4, .flags = FIN, .sequence = 100, .payload = 7},
         TRANSMIT(0),
         {RESET_4, .flags = RST | ACK, .acknowledgement = 108}},
        {"data without ACK refused, IPv4",
         {FROM_CLIENTS, EMPTY_4, .flags = 0, .sequence = 100, .payload = 7, .padding = 3},
         TRANSMIT(0),
         {RESET_4, .flags = RST | ACK, .acknowledgement = 107}},
        {"RST is not answered, IPv4", {FROM_CLIENTS, EMPTY_4, .flags = RST}, DROP(NO_ENDPOINT)},
        {"RST ACK is not answered, IPv6",
         {FROM_CLIENTS, EMPTY_6, .flags = RST | ACK},
         DROP(NO_ENDPOINT)},
        {"SYN refused, IPv6",
         {FROM_CLIENTS, EMPTY_6, .flags = SYN, .sequence = 41, .tos = 3, .id = 99},
         TRANSMIT(0),
         {RESET_6, .flags = RST | ACK, .acknowledgement = 42}},
        {"SYN behind extension headers refused, IPv6",
         {FROM_CLIENTS, EMPTY_6, .flags = SYN, .sequence = 41, .extensions = {HOP_BY_HOP, 60}},
         TRANSMIT(0),
         {RESET_6, .flags = RST | ACK, .acknowledgement = 42}},
        {"ACK with data refused, IPv6",
         {FROM_CLIENTS, EMPTY_6, .flags = ACK, .acknowledgement = 7, .payload = 1400},
         TRANSMIT(0),
         {RESET_6, .flags = RST, .sequence = 7}},
        {"no answer to nobody, IPv4",
         {FROM_CLIENTS, .protocol = TCP, BY("0.0.0.0", 40000), TO("10.96.0.5", 80), .flags = SYN},
         DROP(NO_ENDPOINT)},
        {"no answer to oneself, IPv4",
         {FROM_CLIENTS, .protocol = TCP, BY("127.0.0.1", 40000), TO("10.96.0.5", 80), .flags = SYN},
         DROP(NO_ENDPOINT)},
        {"no answer to a group, IPv4",
         {FROM_CLIENTS, .protocol = TCP, BY("224.0.0.5", 40000), TO("10.96.0.5", 80), .flags = SYN},
         DROP(NO_ENDPOINT)},
        {"no answer to all, IPv4",
         {FROM_CLIENTS, .protocol = TCP, BY("255.255.255.255", 40000), TO("10.96.0.5", 80),
          .flags = SYN},
         DROP(NO_ENDPOINT)},
        {"no answer to nobody, IPv6",
         {FROM_CLIENTS, .protocol = TCP, BY("::", 40000), TO("2001:db8:96::5", 80), .flags = SYN},
         DROP(NO_ENDPOINT)},
        {"no answer to oneself, IPv6",
         {FROM_CLIENTS, .protocol = TCP, BY("::1", 40000), TO("2001:db8:96::5", 80), .flags = SYN},
         DROP(NO_ENDPOINT)},
        {"no answer to a group, IPv6",
         {FROM_CLIENTS, .protocol = TCP, BY("ff02::1", 40000), TO("2001:db8:96::5", 80),
          .flags = SYN},
         DROP(NO_ENDPOINT)},
        {"onEmpty: drop",
         {FROM_CLIENTS, TCP_4, TO("10.96.0.6", 80), .flags = SYN},
         DROP(NO_ENDPOINT)},
        {"onEmpty: keepLast, never had one",
         {FROM_CLIENTS, TCP_4, TO("10.96.0.7", 80), .flags = SYN},
         DROP(NO_ENDPOINT)},

        // ---- headers that cannot be
        {"IP version 5", {FROM_CLIENTS, TCP_4, WEB_4}, DROP(BAD_HEADER), .patches = {{14, 0x55}}},
        {"IPv6 under IPv4's type",
         {FROM_CLIENTS, TCP_6, WEB_6},
         DROP(BAD_HEADER),
         .patches = {{12, 0x08}, {13, 0x00}}},
        {"IPv4 under IPv6's type",
         {FROM_CLIENTS, TCP_4, WEB_4, .payload = 20},
         DROP(BAD_HEADER),
         .patches = {{12, 0x86}, {13, 0xdd}}},
        {"header length 4",
         {FROM_CLIENTS, TCP_4, WEB_4},
         DROP(BAD_HEADER),
         .patches = {{14, 0x44}}},
        {"header length 0",
         {FROM_CLIENTS, TCP_4, WEB_4},
         DROP(BAD_HEADER),
         .patches = {{14, 0x40}}},
        {"header longer than the packet",
         {FROM_CLIENTS, UDP_4, DNS_4},
         DROP(BAD_HEADER),
         .patches = {{14, 0x48}}},
        {"header as long as the packet",
         {FROM_CLIENTS, UDP_4, DNS_4},
         DROP(BAD_HEADER),
         .patches = {{14, 0x47}}},
        {"total length 0", {FROM_CLIENTS, TCP_4, WEB_4}, DROP(BAD_HEADER), .patches = {{17, 0}}},
        {"total length 19", {FROM_CLIENTS, TCP_4, WEB_4}, DROP(BAD_HEADER), .patches = {{17, 19}}},
        {"total length leaves no TCP header",
         {FROM_CLIENTS, TCP_4, WEB_4},
         DROP(BAD_HEADER),
         .patches = {{17, 39}}},
        {"total length leaves no UDP header",
         {FROM_CLIENTS, UDP_4, DNS_4},
         DROP(BAD_HEADER),
         .patches = {{17, 27}}},
        {"total length past the frame",
         {FROM_CLIENTS, TCP_4, WEB_4},
         DROP(TRUNCATED),
         .patches = {{17, 41}}},
        {"total length far past the frame",
         {FROM_CLIENTS, TCP_4, WEB_4, .padding = 6},
         DROP(TRUNCATED),
         .patches = {{16, 0xff}, {17, 0xff}}},
        {"payload length leaves no TCP header",
         {FROM_CLIENTS, TCP_6, WEB_6},
         DROP(BAD_HEADER),
         .patches = {{19, 19}}},
        {"payload length 0", {FROM_CLIENTS, UDP_6, DNS_6}, DROP(BAD_HEADER), .patches = {{19, 0}}},
        {"payload length past the frame",
         {FROM_CLIENTS, TCP_6, WEB_6},
         DROP(TRUNCATED),
         .patches = {{19, 21}}},
        {"extension header longer than the packet",
         {FROM_CLIENTS, UDP_6, DNS_6, .extensions = {60}, .payload = 8},
         DROP(BAD_HEADER),
         .patches = {{55, 3}}},
        {"extension header as long as the packet",
         {FROM_CLIENTS, UDP_6, DNS_6, .extensions = {60}, .payload = 8},
         DROP(BAD_HEADER),
         .patches = {{55, 2}}},
        {"extension header that is not there",
         {FROM_CLIENTS, .protocol = 60, BY(CLIENT_6, 0), DNS_6, .payload = 7},
         DROP(BAD_HEADER)},
        {"TCP header length 4",
         {FROM_CLIENTS, TCP_4, WEB_4},
         DROP(BAD_HEADER),
         .patches = {{46, 0x40}}},
        {"TCP header length 0",
         {FROM_CLIENTS, TCP_6, WEB_6},
         DROP(BAD_HEADER),
         .patches = {{66, 0x00}}},
        {"TCP header longer than the segment",
         {FROM_CLIENTS, TCP_4, WEB_4, .payload = 3, .padding = 9},
         DROP(BAD_HEADER),
         .patches = {{46, 0x60}}},
        {"UDP length 7", {FROM_CLIENTS, UDP_4, DNS_4}, DROP(BAD_HEADER), .patches = {{39, 7}}},
        {"UDP length 0", {FROM_CLIENTS, UDP_6, DNS_6}, DROP(BAD_HEADER), .patches = {{59, 0}}},
        {"UDP length past the packet",
         {FROM_CLIENTS, UDP_4, DNS_4, .payload = 4, .padding = 14},
         DROP(BAD_HEADER),
         .patches = {{39, 13}}},
        {"UDP length shorter than the packet", IN_UDP_4(.payload = 4), .patches = {{39, 10}}},
};

const size_t row_count = sizeof(rows) / sizeof(rows[0]);

static void patch(const struct row *r, struct frame *f)
{
	for (unsigned i = 0; i < ROW_PATCHES && r->patches[i].at; i++)
		f->bytes[r->patches[i].at] = r->patches[i].value;
}

void row_build_in(const struct row *r, struct frame *f)
{
	frame_build(f, &r->in);
	patch(r, f);
	if (r->cut)
		f->length = r->cut;
}

void row_build_out(const struct row *r, struct frame *f)
{
	frame_build(f, &r->out);
	patch(r, f);
}
