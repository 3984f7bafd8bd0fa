// SPDX-License-Identifier: BSD-3-Clause
#include "control/slow_path.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct sluice_slow_path {
	int v4, v6; // raw sockets that only send; v6 is -1 where the kernel has no IPv6
};

static int socket_open(int family)
{
	// IPPROTO_RAW: the packet brings its IP header, and nothing is ever received.
	return socket(family, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_RAW);
}

struct sluice_slow_path *sluice_slow_path_new(void)
{
	struct sluice_slow_path *s = calloc(1, sizeof(*s));
	int error;

	if (s == NULL)
		return NULL;
	s->v4 = socket_open(AF_INET);
	if (s->v4 < 0)
		goto no_v4;
	s->v6 = socket_open(AF_INET6);
	if (s->v6 < 0 && errno != EAFNOSUPPORT)
		goto no_v6;
	return s;

no_v6:
	error = errno;
	close(s->v4);
	errno = error;
no_v4:
	error = errno;
	free(s);
	errno = error;
	return NULL;
}

static int send_v4(const struct sluice_slow_path *s, const void *packet, size_t len)
{
	struct sockaddr_in to = {.sin_family = AF_INET};
	struct iphdr header;

	if (len < sizeof(header))
		return -EINVAL;
	memcpy(&header, packet, sizeof(header));
	if (ntohs(header.tot_len) != len || header.ihl < 5 || (size_t)header.ihl * 4 > len)
		return -EINVAL;
	to.sin_addr.s_addr = header.daddr;
	if (sendto(s->v4, packet, len, MSG_DONTWAIT, (struct sockaddr *)&to, sizeof(to)) < 0)
		return -errno;
	return 0;
}

static int send_v6(const struct sluice_slow_path *s, const void *packet, size_t len)
{
	struct sockaddr_in6 to = {.sin6_family = AF_INET6};
	struct ip6_hdr header;

	if (len < sizeof(header))
		return -EINVAL;
	memcpy(&header, packet, sizeof(header));
	if (ntohs(header.ip6_plen) + sizeof(header) != len)
		return -EINVAL;
	if (s->v6 < 0)
		return -EAFNOSUPPORT;
	to.sin6_addr = header.ip6_dst;
	if (sendto(s->v6, packet, len, MSG_DONTWAIT, (struct sockaddr *)&to, sizeof(to)) < 0)
		return -errno;
	return 0;
}

int sluice_slow_path_send(struct sluice_slow_path *s, const void *packet, size_t len)
{
	if (len == 0)
		return -EINVAL;
	switch (*(const unsigned char *)packet >> 4) {
	case 4:
		return send_v4(s, packet, len);
	case 6:
		return send_v6(s, packet, len);
	default:
		return -EINVAL;
	}
}

void sluice_slow_path_free(struct sluice_slow_path *s)
{
	if (s == NULL)
		return;
	close(s->v4);
	if (s->v6 >= 0)
		close(s->v6);
	free(s);
}
