// SPDX-License-Identifier: BSD-3-Clause
#include "control/kernel.h"

#include <errno.h>
#include <linux/fib_rules.h>
#include <linux/nexthop.h>
#include <linux/rtnetlink.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "control/kernel_private.h"
#include "sluice/log.h"

enum {
	RECEIVE_BUFFER = 8 << 20, // bytes; a burst of some 10,000 notifications
	RETRY_SECONDS = 1,        // until a dump that failed is asked for again
	READS_MAX = 512,          // messages' buffers in one round of the loop
	FIRST_READ_SECONDS = 30,  // more than any table needs: netlink does not answer
};

static const int groups[] = {
        RTNLGRP_LINK,       RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR, RTNLGRP_IPV4_ROUTE,
        RTNLGRP_IPV6_ROUTE, RTNLGRP_NEIGH,       RTNLGRP_IPV4_RULE,   RTNLGRP_IPV6_RULE,
};

// What each dump asks for.
static const struct {
	const char *name;
	int type;
	unsigned char family;
} dumps[SLUICE_KERNEL_DUMPS] = {
        [SLUICE_KERNEL_DUMP_LINKS] = {"links", RTM_GETLINK, AF_UNSPEC},
        [SLUICE_KERNEL_DUMP_ADDRESSES] = {"addresses", RTM_GETADDR, AF_UNSPEC},
        [SLUICE_KERNEL_DUMP_RULES] = {"rules", RTM_GETRULE, AF_UNSPEC},
        [SLUICE_KERNEL_DUMP_NEXT_HOPS] = {"next hop objects", RTM_GETNEXTHOP, AF_UNSPEC},
        [SLUICE_KERNEL_DUMP_ROUTES_V4] = {"IPv4 routes", RTM_GETROUTE, AF_INET},
        [SLUICE_KERNEL_DUMP_ROUTES_V6] = {"IPv6 routes", RTM_GETROUTE, AF_INET6},
        [SLUICE_KERNEL_DUMP_NEIGHBOURS] = {"neighbours", RTM_GETNEIGH, AF_UNSPEC},
};

bool sluice_kernel_attribute_address(const struct nlattr *attribute, struct sluice_address *address)
{
	if (attribute == NULL)
		return false;
	switch (nla_len(attribute)) {
	case 4: {
		uint32_t v4;

		memcpy(&v4, nla_data(attribute), 4);
		*address = sluice_address_from_v4(v4);
		return true;
	}
	case 16:
		*address = sluice_address_from_v6(nla_data(attribute));
		return true;
	default:
		return false;
	}
}

void sluice_kernel_dump_want(struct sluice_kernel *k, unsigned wanted)
{
	k->wanted |= wanted;
	// A read round ends by starting what is wanted; outside of one, begin a round.
	event_active(k->readable, EV_READ, 0);
}

// The family's header has the family as its first byte; the rest is zero.
static int dump_send(struct sluice_kernel *k, enum sluice_kernel_dump dump)
{
	union {
		unsigned char family;
		struct ifinfomsg link;
		struct ifaddrmsg address;
		struct rtmsg route; // also fib_rule_hdr: of the same shape
		struct nhmsg next_hop;
		struct ndmsg neighbour;
	} header = {.link = {0}};
	static const size_t sizes[SLUICE_KERNEL_DUMPS] = {
	        sizeof(header.link),      sizeof(header.address), sizeof(header.route),
	        sizeof(header.next_hop),  sizeof(header.route),   sizeof(header.route),
	        sizeof(header.neighbour),
	};
	struct nl_msg *message = nlmsg_alloc_simple(dumps[dump].type, NLM_F_DUMP);
	int rc;

	if (message == NULL)
		return -ENOMEM;
	header.family = dumps[dump].family;
	if (nlmsg_append(message, &header, sizes[dump], NLMSG_ALIGNTO) < 0 ||
	    (dump == SLUICE_KERNEL_DUMP_LINKS &&
	     nla_put_u32(message, IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS) < 0)) {
		nlmsg_free(message);
		return -ENOMEM;
	}
	rc = nl_send_auto(k->socket, message);
	k->sequence = nlmsg_hdr(message)->nlmsg_seq;
	nlmsg_free(message);
	return rc < 0 ? -EIO : 0;
}

// What could not be read now is read again, or the mirror would stay behind for good.
static void dump_later(struct sluice_kernel *k, enum sluice_kernel_dump dump)
{
	struct timeval in = {.tv_sec = RETRY_SECONDS};

	k->failed |= 1U << dump;
	event_add(k->retry, &in);
}

static void retry_event(evutil_socket_t fd, short what, void *context)
{
	struct sluice_kernel *k = context;
	unsigned failed = k->failed;

	(void)fd;
	(void)what;
	k->failed = 0;
	sluice_kernel_dump_want(k, failed);
}

static void dump_start(struct sluice_kernel *k)
{
	if (k->active != SLUICE_KERNEL_DUMP_NONE || k->wanted == 0 || !k->drained)
		return;

	unsigned dump = (unsigned)__builtin_ctz(k->wanted);

	k->wanted &= ~(1U << dump);
	k->epochs[dump]++;
	k->interrupted = false;
	k->drained = false;
	if (dump_send(k, dump) == 0) {
		k->active = dump;
		return;
	}
	log_error("netlink: cannot ask for the %s", dumps[dump].name);
	dump_later(k, dump);
}

static void dump_end(struct sluice_kernel *k, int error)
{
	enum sluice_kernel_dump dump = k->active;

	k->active = SLUICE_KERNEL_DUMP_NONE;
	// Kernels before 5.3 have no next hop objects, and one built without IPv6 no IPv6 routes.
	if (error == EOPNOTSUPP || error == EAFNOSUPPORT)
		return;
	if (error != 0) {
		log_error("netlink: cannot read the %s: %s", dumps[dump].name, strerror(error));
		dump_later(k, dump);
		return;
	}
	if (k->interrupted) {
		k->wanted |= 1U << dump;
		return;
	}
	sluice_kernel_links_sweep(k, dump);
	sluice_kernel_routes_sweep(k, dump);
}

static void rule_message(struct sluice_kernel *k, struct nlmsghdr *message)
{
	struct nlattr *attributes[FRA_L3MDEV + 1];
	struct rtmsg *rule = nlmsg_data(message);

	if (message->nlmsg_type != RTM_NEWRULE || k->rules_reported ||
	    (rule->rtm_family != AF_INET && rule->rtm_family != AF_INET6) ||
	    nlmsg_parse(message, sizeof(*rule), attributes, FRA_L3MDEV, NULL) < 0)
		return;

	uint32_t priority = attributes[FRA_PRIORITY] ? nla_get_u32(attributes[FRA_PRIORITY]) : 0;

	if (priority == 0 || priority == 32766 || priority == 32767 || attributes[FRA_L3MDEV])
		return;
	k->rules_reported = true;
	log_warning("policy routing rule %u is not followed: routes are those of the tables main "
	            "and default",
	            priority);
}

static void message_dispatch(struct sluice_kernel *k, struct nlmsghdr *message, bool dumped)
{
	switch (message->nlmsg_type) {
	case RTM_NEWLINK:
	case RTM_DELLINK:
		sluice_kernel_link_message(k, message);
		break;
	case RTM_NEWADDR:
	case RTM_DELADDR:
		sluice_kernel_address_message(k, message);
		break;
	case RTM_NEWROUTE:
	case RTM_DELROUTE:
		sluice_kernel_route_message(k, message, dumped);
		break;
	case RTM_NEWNEIGH:
	case RTM_DELNEIGH:
		sluice_kernel_neighbour_message(k, message);
		break;
	case RTM_NEWNEXTHOP:
	case RTM_DELNEXTHOP:
		sluice_kernel_next_hop_message(k, message, dumped);
		break;
	case RTM_NEWRULE:
		rule_message(k, message);
		break;
	default:
		break;
	}
}

static void message_read(struct sluice_kernel *k, struct nlmsghdr *message)
{
	bool dumped = k->active != SLUICE_KERNEL_DUMP_NONE &&
	              message->nlmsg_pid == nl_socket_get_local_port(k->socket) &&
	              message->nlmsg_seq == k->sequence;

	if (dumped && (message->nlmsg_flags & NLM_F_DUMP_INTR))
		k->interrupted = true;
	if (message->nlmsg_type == NLMSG_DONE || message->nlmsg_type == NLMSG_ERROR) {
		// Both begin with an error number; DONE's is 0 or the reason why the dump broke
		// off.
		int error = 0;

		if (message->nlmsg_len >= NLMSG_LENGTH(sizeof(error)))
			memcpy(&error, nlmsg_data(message), sizeof(error));
		if (dumped)
			dump_end(k, -error);
		return;
	}
	message_dispatch(k, message, dumped);
}

static void messages_lost(struct sluice_kernel *k, const char *why)
{
	log_notice("netlink: %s: reading links, addresses, routes and neighbours again", why);
	k->wanted = SLUICE_KERNEL_DUMP_ALL;
}

// One datagram. False: there was none.
static bool buffer_read(struct sluice_kernel *k)
{
	struct sockaddr_nl from = {0};
	struct iovec vector = {.iov_base = k->buffer, .iov_len = sizeof(k->buffer)};
	struct msghdr header = {.msg_name = &from,
	                        .msg_namelen = sizeof(from),
	                        .msg_iov = &vector,
	                        .msg_iovlen = 1};
	ssize_t len = recvmsg(nl_socket_get_fd(k->socket), &header, MSG_DONTWAIT);

	if (len < 0) {
		if (errno == EINTR)
			return true;
		if (errno == ENOBUFS) {
			// The kernel goes on dropping, without a word, until the socket is empty.
			messages_lost(k, "messages lost");
			return true;
		}
		if (errno == EAGAIN)
			k->drained = true;
		else
			log_error("netlink: %s", strerror(errno));
		return false;
	}
	if (from.nl_pid != 0) // not from the kernel
		return true;
	if (header.msg_flags & MSG_TRUNC)
		messages_lost(k, "a message larger than the buffer");

	int left = (int)len;

	for (struct nlmsghdr *m = (struct nlmsghdr *)(void *)k->buffer; nlmsg_ok(m, left);
	     m = nlmsg_next(m, &left))
		message_read(k, m);
	return true;
}

void sluice_kernel_read(struct sluice_kernel *k)
{
	for (unsigned reads = 0; reads < READS_MAX; reads++) {
		if (buffer_read(k))
			continue;
		if (k->active != SLUICE_KERNEL_DUMP_NONE || k->wanted == 0)
			break;
		dump_start(k);
	}
}

static void readable_event(evutil_socket_t fd, short what, void *context)
{
	struct sluice_kernel *k = context;
	unsigned changes;

	(void)fd;
	(void)what;
	sluice_kernel_read(k);
	changes = k->changes;
	k->changes = 0;
	if (changes != 0)
		k->changed(k->context, changes);
}

static int64_t seconds_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec;
}

// The first reading, which start waits for.
static int first_read(struct sluice_kernel *k)
{
	int64_t end = seconds_now() + FIRST_READ_SECONDS;

	k->wanted = SLUICE_KERNEL_DUMP_ALL;
	for (;;) {
		struct pollfd p = {.fd = nl_socket_get_fd(k->socket), .events = POLLIN};

		sluice_kernel_read(k);
		if (k->failed != 0)
			return -EIO;
		if (k->active == SLUICE_KERNEL_DUMP_NONE && k->wanted == 0)
			break;
		if (seconds_now() >= end)
			return -ETIMEDOUT;
		if (poll(&p, 1, 1000) < 0 && errno != EINTR)
			return -errno;
	}
	k->changes = 0;
	return 0;
}

static int socket_open(struct sluice_kernel *k)
{
	int size = RECEIVE_BUFFER;
	int fd;

	k->socket = nl_socket_alloc();
	if (k->socket == NULL)
		return -ENOMEM;
	if (nl_connect(k->socket, NETLINK_ROUTE) < 0)
		return errno != 0 ? -errno : -EIO;
	fd = nl_socket_get_fd(k->socket);
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) < 0 &&
	    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size)) < 0)
		log_warning("netlink: receive buffer: %s", strerror(errno));
	for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++)
		if (nl_socket_add_membership(k->socket, groups[i]) < 0)
			return -EPROTONOSUPPORT;
	// Kernels before 5.3 have no such group, and no next hop objects either.
	nl_socket_add_membership(k->socket, RTNLGRP_NEXTHOP);
	nl_socket_set_nonblocking(k->socket);
	k->readable = event_new(k->base, fd, EV_READ | EV_PERSIST, readable_event, k);
	k->retry = evtimer_new(k->base, retry_event, k);
	if (k->readable == NULL || k->retry == NULL || event_add(k->readable, NULL) < 0)
		return -ENOMEM;
	return 0;
}

struct sluice_kernel *sluice_kernel_new(struct event_base *base,
                                        void (*changed)(void *context, unsigned what),
                                        void *context)
{
	struct sluice_kernel *k = calloc(1, sizeof(*k));
	int rc;

	if (k == NULL)
		return NULL;
	k->base = base;
	k->changed = changed;
	k->context = context;
	k->active = SLUICE_KERNEL_DUMP_NONE;
	if ((rc = sluice_kernel_links_init(k)) < 0 || (rc = sluice_kernel_routes_init(k)) < 0 ||
	    (rc = sluice_kernel_watch_init(k)) < 0 || (rc = socket_open(k)) < 0 ||
	    (rc = first_read(k)) < 0) {
		sluice_kernel_free(k);
		errno = -rc;
		return NULL;
	}
	return k;
}

void sluice_kernel_free(struct sluice_kernel *k)
{
	if (k == NULL)
		return;
	if (k->readable != NULL)
		event_free(k->readable);
	if (k->retry != NULL)
		event_free(k->retry);
	if (k->socket != NULL)
		nl_socket_free(k->socket);
	sluice_kernel_watch_clear(k);
	sluice_kernel_routes_clear(k);
	sluice_kernel_links_clear(k);
	free(k);
}
