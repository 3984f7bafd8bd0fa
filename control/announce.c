// SPDX-License-Identifier: BSD-3-Clause
#include "control/announce.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <netlink/socket.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "sluice/log.h"

enum {
	ANSWER_SECONDS = 5, // netlink answers at once; a limit, so that a defect cannot hang us
};

struct sluice_announce {
	struct sluice_kernel *kernel;
	struct nl_sock *socket;
	bool missing_reported;    // the interface
	uint32_t ifindex;         // of the interface when ours was filled
	char interface[IFNAMSIZ]; // empty: none
	size_t count;
	struct sluice_address *vips; // what is to be there: sorted, no two alike
	size_t ours_count;
	struct sluice_address *ours; // what we put there, sorted: the mirror learns of it later
};

// What one call did.
struct tally {
	unsigned added;
	unsigned removed;
	int error; // the first, as -errno
};

static int address_compare(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct sluice_address));
}

static bool contains(const struct sluice_address *sorted, size_t count,
                     const struct sluice_address *address)
{
	return count > 0 &&
	       bsearch(address, sorted, count, sizeof(*sorted), address_compare) != NULL;
}

static const char *address_text(const struct sluice_address *address, char *text)
{
	unsigned len;
	const uint8_t *wire = sluice_address_wire(address, &len);

	return inet_ntop(len == 4 ? AF_INET : AF_INET6, wire, text, INET6_ADDRSTRLEN);
}

// Sends a request and waits for its acknowledgement. Frees the message. 0 or -errno.
static int request(struct sluice_announce *a, struct nl_msg *message)
{
	uint32_t buffer[2048];
	uint32_t sequence;
	int fd = nl_socket_get_fd(a->socket);
	ssize_t len;

	nl_complete_msg(a->socket, message);
	nlmsg_hdr(message)->nlmsg_flags |= NLM_F_ACK;
	sequence = nlmsg_hdr(message)->nlmsg_seq;
	len = send(fd, nlmsg_hdr(message), nlmsg_hdr(message)->nlmsg_len, 0);
	nlmsg_free(message);
	if (len < 0)
		return -errno;
	while ((len = recv(fd, buffer, sizeof(buffer), 0)) >= 0 || errno == EINTR) {
		int left = (int)len;

		for (struct nlmsghdr *m = (struct nlmsghdr *)buffer; len > 0 && nlmsg_ok(m, left);
		     m = nlmsg_next(m, &left)) {
			const struct nlmsgerr *answer = nlmsg_data(m);

			if (m->nlmsg_type == NLMSG_ERROR && m->nlmsg_seq == sequence)
				return answer->error;
		}
	}
	return -errno;
}

// An IPv6 VIP is deprecated from the start, so that connections of the host itself never choose
// it as their source; it works no less for that.
static int address_request(struct sluice_announce *a, uint32_t ifindex,
                           const struct sluice_address *address, int type)
{
	struct ifaddrmsg header = {.ifa_index = ifindex, .ifa_scope = RT_SCOPE_UNIVERSE};
	struct ifa_cacheinfo lifetime = {.ifa_valid = UINT32_MAX, .ifa_prefered = 0};
	bool add = type == RTM_NEWADDR;
	struct nl_msg *message = nlmsg_alloc_simple(type, add ? NLM_F_CREATE | NLM_F_EXCL : 0);
	unsigned len;
	const uint8_t *wire = sluice_address_wire(address, &len);

	if (message == NULL)
		return -ENOMEM;
	header.ifa_family = len == 4 ? AF_INET : AF_INET6;
	header.ifa_prefixlen = (uint8_t)(len * 8);
	if (nlmsg_append(message, &header, sizeof(header), NLMSG_ALIGNTO) < 0 ||
	    nla_put(message, IFA_LOCAL, (int)len, wire) < 0 ||
	    nla_put(message, IFA_ADDRESS, (int)len, wire) < 0 ||
	    (add && nla_put_u8(message, IFA_PROTO, SLUICE_ADDRESS_PROTOCOL) < 0) ||
	    (add && len == 16 &&
	     (nla_put_u32(message, IFA_FLAGS, IFA_F_NODAD | IFA_F_NOPREFIXROUTE) < 0 ||
	      nla_put(message, IFA_CACHEINFO, sizeof(lifetime), &lifetime) < 0))) {
		nlmsg_free(message);
		return -ENOMEM;
	}
	return request(a, message);
}

static void failed(struct tally *t, const char *what, const struct sluice_address *address,
                   int error)
{
	char text[INET6_ADDRSTRLEN];

	log_error("announce: cannot %s %s: %s", what, address_text(address, text),
	          strerror(-error));
	if (t->error == 0)
		t->error = error;
}

static void remove_one(struct sluice_announce *a, uint32_t ifindex,
                       const struct sluice_address *address, struct tally *t)
{
	int rc = address_request(a, ifindex, address, RTM_DELADDR);

	if (rc == 0)
		t->removed++;
	else if (rc != -EADDRNOTAVAIL) // gone already
		failed(t, "remove", address, rc);
}

// Addresses that carry our mark and are not to be there: on our interface, or on another one that
// an earlier process announced on.
struct stale {
	const struct sluice_announce *a;
	uint32_t ifindex; // ours; 0: none
	size_t count;
	size_t room;
	struct sluice_kernel_address *addresses;
};

static void stale_visit(void *context, const struct sluice_kernel_address *address)
{
	struct stale *s = context;
	const struct sluice_announce *a = s->a;

	if (!address->announced || (address->ifindex == s->ifindex &&
	                            (contains(a->vips, a->count, &address->address) ||
	                             contains(a->ours, a->ours_count, &address->address))))
		return;
	if (s->count == s->room) {
		size_t room = s->room == 0 ? 16 : s->room * 2;
		struct sluice_kernel_address *more =
		        reallocarray(s->addresses, room, sizeof(*more));

		if (more == NULL)
			return; // at the next call
		s->addresses = more;
		s->room = room;
	}
	s->addresses[s->count++] = *address;
}

static void remove_all(struct sluice_announce *a, uint32_t ifindex, struct tally *t)
{
	struct stale s = {.a = a, .ifindex = ifindex};

	for (size_t i = 0; i < a->ours_count; i++)
		if (!contains(a->vips, a->count, &a->ours[i]))
			remove_one(a, ifindex, &a->ours[i], t);
	sluice_kernel_addresses_visit(a->kernel, stale_visit, &s);
	for (size_t i = 0; i < s.count; i++)
		remove_one(a, s.addresses[i].ifindex, &s.addresses[i].address, t);
	free(s.addresses);
}

// Whether the address is there afterwards and is ours. The mirror may be behind: it is asked only
// about what others do.
static bool add_one(struct sluice_announce *a, uint32_t ifindex,
                    const struct sluice_address *address, struct tally *t)
{
	const struct sluice_kernel_address *there =
	        sluice_kernel_address_find(a->kernel, ifindex, address);
	bool ours = contains(a->ours, a->ours_count, address);
	int rc;

	if (there != NULL && !there->announced)
		return false;
	if (there != NULL && ours)
		return true;
	rc = address_request(a, ifindex, address, RTM_NEWADDR);
	if (rc == 0) {
		t->added++;
		return true;
	}
	// Put there by us a moment ago, or in an earlier life; or by somebody else just now.
	if (rc == -EEXIST)
		return ours || there != NULL;
	failed(t, "add", address, rc);
	return false;
}

static void add_all(struct sluice_announce *a, uint32_t ifindex, struct tally *t)
{
	size_t count = 0;
	struct sluice_address *ours = calloc(a->count + 1, sizeof(*ours));

	if (ours == NULL) {
		t->error = -ENOMEM;
		return;
	}
	for (size_t i = 0; i < a->count; i++)
		if (add_one(a, ifindex, &a->vips[i], t))
			ours[count++] = a->vips[i];
	free(a->ours);
	a->ours = ours;
	a->ours_count = count;
}

// An interface that is down answers for nothing; in a new network namespace lo is.
static void interface_up(struct sluice_announce *a, const struct sluice_kernel_link *link)
{
	struct ifinfomsg header = {
	        .ifi_index = (int)link->ifindex, .ifi_flags = IFF_UP, .ifi_change = IFF_UP};
	struct nl_msg *message = nlmsg_alloc_simple(RTM_NEWLINK, 0);
	int rc = -ENOMEM;

	if (message != NULL) {
		// A message has room for a page: this cannot fail.
		nlmsg_append(message, &header, sizeof(header), NLMSG_ALIGNTO);
		rc = request(a, message);
	}
	if (rc == 0)
		log_notice("announce: %s was down, set up", link->name);
	else
		log_error("announce: cannot set %s up: %s", link->name, strerror(-rc));
}

int sluice_announce_refresh(struct sluice_announce *a)
{
	const struct sluice_kernel_link *link =
	        sluice_kernel_link_find_name(a->kernel, a->interface);
	bool wanted = a->count > 0 && a->interface[0] != '\0';
	struct tally t = {0};

	if (link == NULL) {
		if (wanted && !a->missing_reported)
			log_warning("announce: there is no interface %s", a->interface);
		a->missing_reported = wanted;
		a->ours_count = 0;
		remove_all(a, 0, &t);
		return wanted ? -ENODEV : t.error;
	}
	a->missing_reported = false;
	if (link->ifindex != a->ifindex) // another one of that name
		a->ours_count = 0;
	a->ifindex = link->ifindex;
	if (!link->up && wanted)
		interface_up(a, link);
	remove_all(a, link->ifindex, &t);
	add_all(a, link->ifindex, &t);
	if (t.added > 0 || t.removed > 0)
		log_info("announce: %u addresses added to %s, %u removed", t.added, a->interface,
		         t.removed);
	return t.error;
}

int sluice_announce_set(struct sluice_announce *a, const struct sluice_address *vips, size_t count)
{
	struct sluice_address *copy = calloc(count + 1, sizeof(*copy));
	size_t unique = 0;

	if (copy == NULL)
		return -ENOMEM;
	if (count > 0) {
		memcpy(copy, vips, count * sizeof(*copy));
		qsort(copy, count, sizeof(*copy), address_compare);
	}
	for (size_t i = 0; i < count; i++)
		if (unique == 0 || !sluice_address_equal(&copy[unique - 1], &copy[i]))
			copy[unique++] = copy[i];
	free(a->vips);
	a->vips = copy;
	a->count = unique;
	return sluice_announce_refresh(a);
}

int sluice_announce_withdraw(struct sluice_announce *a)
{
	return sluice_announce_set(a, NULL, 0);
}

struct sluice_announce *sluice_announce_new(struct sluice_kernel *kernel, const char *interface)
{
	struct sluice_announce *a;
	struct timeval limit = {.tv_sec = ANSWER_SECONDS};
	int rc = -ENOMEM;

	if (interface == NULL)
		interface = "";
	if (strlen(interface) >= sizeof(a->interface)) {
		errno = EINVAL;
		return NULL;
	}
	a = calloc(1, sizeof(*a));
	if (a == NULL)
		return NULL;
	a->kernel = kernel;
	memcpy(a->interface, interface, strlen(interface) + 1);
	a->socket = nl_socket_alloc();
	if (a->socket == NULL)
		goto fail;
	rc = -EIO;
	if (nl_connect(a->socket, NETLINK_ROUTE) < 0 ||
	    setsockopt(nl_socket_get_fd(a->socket), SOL_SOCKET, SO_RCVTIMEO, &limit,
	               sizeof(limit)) < 0)
		goto fail;
	return a;

fail:
	sluice_announce_free(a);
	errno = -rc;
	return NULL;
}

void sluice_announce_free(struct sluice_announce *a)
{
	if (a == NULL)
		return;
	if (a->socket != NULL)
		nl_socket_free(a->socket);
	free(a->vips);
	free(a->ours);
	free(a);
}
