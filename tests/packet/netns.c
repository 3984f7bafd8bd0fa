// SPDX-License-Identifier: BSD-3-Clause
#include "netns.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/if_ether.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <netpacket/packet.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

void netns_enter(void)
{
	assert_int_equal(unshare(CLONE_NEWNET), 0);
	netns_run("ip link set lo up");
}

void netns_run(const char *format, ...)
{
	char command[512];
	va_list list;

	va_start(list, format);
	// NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): clang-tidy 14 does not see va_start
	vsnprintf(command, sizeof(command), format, list);
	va_end(list);
	if (system(command) != 0)
		fail_msg("failed: %s", command);
}

int netns_raw_socket(const char *interface)
{
	struct sockaddr_ll a = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL)};
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int room = 8 << 20;

	assert_true(fd >= 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room));
	a.sll_ifindex = (int)if_nametoindex(interface);
	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	return fd;
}

static uint32_t sum(const void *data, size_t length, uint32_t start)
{
	const uint8_t *p = data;

	for (size_t i = 0; i < length; i++)
		start += i % 2 ? p[i] : (uint32_t)p[i] << 8;
	return start;
}

static uint16_t fold(uint32_t s)
{
	s = (s & 0xffff) + (s >> 16);
	s = (s & 0xffff) + (s >> 16);
	return htons((uint16_t)~s);
}

size_t netns_tcp_frame(uint8_t *frame, size_t size, const uint8_t mac[6], const char *source,
                       uint16_t source_port, const char *destination, uint16_t destination_port,
                       uint8_t flags)
{
	struct ether_header ethernet = {.ether_type = htons(ETHERTYPE_IP)};
	struct iphdr ip = {.version = 4, .ihl = 5, .ttl = 64, .protocol = IPPROTO_TCP};
	struct tcphdr tcp = {.th_sport = htons(source_port),
	                     .th_dport = htons(destination_port),
	                     .th_off = 5,
	                     .th_flags = flags,
	                     .th_win = htons(1000)};
	size_t length = size - sizeof(ethernet) - sizeof(ip); // TCP

	memcpy(ethernet.ether_dhost, mac, 6);
	memcpy(ethernet.ether_shost, "\x02\0\0\0\0\1", 6);
	ip.tot_len = htons((uint16_t)(sizeof(ip) + length));
	inet_pton(AF_INET, source, &ip.saddr);
	inet_pton(AF_INET, destination, &ip.daddr);
	ip.check = fold(sum(&ip, sizeof(ip), 0));
	memset(frame, 0, size);
	memcpy(frame, &ethernet, sizeof(ethernet));
	memcpy(frame + sizeof(ethernet), &ip, sizeof(ip));
	memcpy(frame + sizeof(ethernet) + sizeof(ip), &tcp, sizeof(tcp));
	tcp.th_sum =
	        fold(sum(&tcp, sizeof(tcp), sum(&ip.saddr, 8, IPPROTO_TCP + (uint32_t)length)));
	memcpy(frame + sizeof(ethernet) + sizeof(ip), &tcp, sizeof(tcp));
	return size;
}
