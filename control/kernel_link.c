// SPDX-License-Identifier: BSD-3-Clause
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if.h>
#include <linux/if_addr.h>
#include <linux/if_arp.h>
#include <linux/if_ether.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "control/announce.h"
#include "control/kernel_private.h"
#include "sluice/log.h"

enum {
	NUD_USABLE = NUD_PERMANENT | NUD_NOARP | NUD_REACHABLE | NUD_PROBE | NUD_STALE | NUD_DELAY,
};

int sluice_kernel_links_init(struct sluice_kernel *k)
{
	int rc;

	if ((rc = sluice_kernel_map_init(&k->links, sizeof(struct sluice_kernel_link),
	                                 sizeof(struct sluice_kernel_link))) < 0 ||
	    (rc = sluice_kernel_map_init(&k->addresses, sizeof(struct sluice_kernel_address),
	                                 sizeof(struct sluice_kernel_address))) < 0)
		return rc;
	return sluice_kernel_map_init(&k->neighbours, sizeof(struct sluice_kernel_neighbour_state),
	                              sizeof(struct sluice_kernel_neighbour));
}

void sluice_kernel_links_clear(struct sluice_kernel *k)
{
	sluice_kernel_map_clear(&k->links);
	sluice_kernel_map_clear(&k->addresses);
	sluice_kernel_map_clear(&k->neighbours);
}

static struct sluice_kernel_key key_of(const struct sluice_address *address, uint32_t ifindex,
                                       uint32_t length)
{
	struct sluice_kernel_key key = {.where = ifindex, .length = length};

	if (address != NULL)
		key.address = *address;
	return key;
}

// Keeps what was read. Without memory the entry is missing until the next reading of all.
static void keep(struct sluice_kernel *k, struct sluice_kernel_map *map,
                 const struct sluice_kernel_key *key, const void *value,
                 enum sluice_kernel_dump dump, unsigned change)
{
	int rc = sluice_kernel_map_put(map, key, value, k->epochs[dump]);

	if (rc < 0)
		log_error("netlink: no memory for an entry");
	if (rc > 0)
		k->changes |= change;
}

// A link went, or stopped or began to carry packets. The kernel drops IPv4 routes of a link that
// is set down, and marks next hops of multipath routes, without a notification: read them again.
static void link_state_changed(struct sluice_kernel *k)
{
	sluice_kernel_dump_want(k, SLUICE_KERNEL_DUMP_ALL_ROUTES);
}

static bool address_not_on_link(void *context, struct sluice_kernel_node *node)
{
	return node->key.where != *(const uint32_t *)context;
}

static void link_gone(struct sluice_kernel *k, const struct sluice_kernel_key *key)
{
	uint32_t ifindex = key->where;

	if (!sluice_kernel_map_remove(&k->links, key))
		return;
	k->changes |= SLUICE_KERNEL_LINKS;
	if (sluice_kernel_map_filter(&k->addresses, address_not_on_link, &ifindex) > 0)
		k->changes |= SLUICE_KERNEL_ADDRESSES;
	if (sluice_kernel_map_filter(&k->neighbours, address_not_on_link, &ifindex) > 0)
		k->changes |= SLUICE_KERNEL_NEIGHBOURS;
	link_state_changed(k);
}

// An 802.1Q VLAN interface on a link of this namespace; one of 802.1ad (QinQ) is not followed.
static void read_vlan(struct sluice_kernel_link *link, struct nlattr **attributes)
{
	struct nlattr *info[IFLA_INFO_MAX + 1], *data[IFLA_VLAN_MAX + 1];

	if (attributes[IFLA_LINK] == NULL || attributes[IFLA_LINK_NETNSID] != NULL ||
	    attributes[IFLA_LINKINFO] == NULL ||
	    nla_parse_nested(info, IFLA_INFO_MAX, attributes[IFLA_LINKINFO], NULL) < 0 ||
	    info[IFLA_INFO_KIND] == NULL || nla_strcmp(info[IFLA_INFO_KIND], "vlan") != 0 ||
	    info[IFLA_INFO_DATA] == NULL ||
	    nla_parse_nested(data, IFLA_VLAN_MAX, info[IFLA_INFO_DATA], NULL) < 0 ||
	    data[IFLA_VLAN_ID] == NULL)
		return;
	if (data[IFLA_VLAN_PROTOCOL] != NULL &&
	    nla_get_u16(data[IFLA_VLAN_PROTOCOL]) != htons(ETH_P_8021Q))
		return;
	link->parent = nla_get_u32(attributes[IFLA_LINK]);
	link->vlan = nla_get_u16(data[IFLA_VLAN_ID]) & 0x0fff;
}

void sluice_kernel_link_message(struct sluice_kernel *k, struct nlmsghdr *message)
{
	struct ifinfomsg *header = nlmsg_data(message);
	struct nlattr *attributes[IFLA_MAX + 1];
	struct sluice_kernel_link link;
	const struct sluice_kernel_link *old;

	// A bridge tells of its ports in messages of its own family: the link is still there.
	if (nlmsg_parse(message, sizeof(*header), attributes, IFLA_MAX, NULL) < 0 ||
	    header->ifi_family == AF_BRIDGE)
		return;

	struct sluice_kernel_key key = key_of(NULL, (uint32_t)header->ifi_index, 0);

	if (message->nlmsg_type == RTM_DELLINK) {
		link_gone(k, &key);
		return;
	}
	if (attributes[IFLA_IFNAME] == NULL)
		return;
	memset(&link, 0, sizeof(link));
	link.ifindex = (uint32_t)header->ifi_index;
	link.mtu = attributes[IFLA_MTU] ? nla_get_u32(attributes[IFLA_MTU]) : 0;
	nla_strlcpy(link.name, attributes[IFLA_IFNAME], sizeof(link.name));
	if (attributes[IFLA_ADDRESS] != NULL && nla_len(attributes[IFLA_ADDRESS]) == 6)
		memcpy(link.mac, nla_data(attributes[IFLA_ADDRESS]), 6);
	link.up = (header->ifi_flags & IFF_UP) != 0;
	link.running = link.up && (header->ifi_flags & IFF_RUNNING) != 0;
	link.loopback = (header->ifi_flags & IFF_LOOPBACK) != 0;
	link.master = attributes[IFLA_MASTER] ? nla_get_u32(attributes[IFLA_MASTER]) : 0;
	read_vlan(&link, attributes);
	old = sluice_kernel_link_find(k, link.ifindex);
	if (old != NULL && (old->up != link.up || old->running != link.running))
		link_state_changed(k);
	keep(k, &k->links, &key, &link, SLUICE_KERNEL_DUMP_LINKS, SLUICE_KERNEL_LINKS);
}

void sluice_kernel_address_message(struct sluice_kernel *k, struct nlmsghdr *message)
{
	struct ifaddrmsg *header = nlmsg_data(message);
	struct nlattr *attributes[IFA_PROTO + 1];
	struct sluice_kernel_address a;

	if (nlmsg_parse(message, sizeof(*header), attributes, IFA_PROTO, NULL) < 0 ||
	    (header->ifa_family != AF_INET && header->ifa_family != AF_INET6))
		return;
	memset(&a, 0, sizeof(a));
	// With a peer, IFA_ADDRESS is the peer's and IFA_LOCAL the host's own.
	if (!sluice_kernel_attribute_address(attributes[IFA_LOCAL], &a.address) &&
	    !sluice_kernel_attribute_address(attributes[IFA_ADDRESS], &a.address))
		return;
	a.ifindex = header->ifa_index;
	a.prefix_length = header->ifa_prefixlen;
	a.scope = header->ifa_scope;
	a.tentative = (header->ifa_flags & (IFA_F_TENTATIVE | IFA_F_DADFAILED)) != 0;
	a.announced = attributes[IFA_PROTO] != NULL &&
	              nla_get_u8(attributes[IFA_PROTO]) == SLUICE_ADDRESS_PROTOCOL;

	struct sluice_kernel_key key = key_of(&a.address, a.ifindex, a.prefix_length);

	if (message->nlmsg_type == RTM_NEWADDR) {
		keep(k, &k->addresses, &key, &a, SLUICE_KERNEL_DUMP_ADDRESSES,
		     SLUICE_KERNEL_ADDRESSES);
		return;
	}
	if (sluice_kernel_map_remove(&k->addresses, &key))
		k->changes |= SLUICE_KERNEL_ADDRESSES;
	// IPv4 routes that prefer the address as their source go with it, and nobody says so.
	if (header->ifa_family == AF_INET && !a.announced)
		sluice_kernel_dump_want(k, 1 << SLUICE_KERNEL_DUMP_ROUTES_V4);
}

static bool multicast(const struct sluice_address *address)
{
	if (sluice_address_family(address) == SLUICE_IPV4)
		return address->bytes[12] >= 224;
	return address->bytes[0] == 0xff;
}

static void neighbour_gone(struct sluice_kernel *k, const struct sluice_kernel_key *key,
                           const struct sluice_kernel_hop *hop, bool was_usable)
{
	if (!sluice_kernel_map_remove(&k->neighbours, key))
		return;
	if (was_usable)
		k->changes |= SLUICE_KERNEL_NEIGHBOURS;
	sluice_kernel_watch_notice(k, hop);
}

// False: not a neighbour of ours.
static bool neighbour_decode(struct nlmsghdr *message, struct sluice_kernel_neighbour_state *s)
{
	struct ndmsg *header = nlmsg_data(message);
	struct nlattr *attributes[NDA_FLAGS_EXT + 1];
	struct sluice_kernel_neighbour *n = &s->neighbour;

	memset(s, 0, sizeof(*s));
	if (nlmsg_parse(message, sizeof(*header), attributes, NDA_FLAGS_EXT, NULL) < 0 ||
	    (header->ndm_family != AF_INET && header->ndm_family != AF_INET6) ||
	    (header->ndm_flags & NTF_PROXY) != 0 ||
	    !sluice_kernel_attribute_address(attributes[NDA_DST], &n->address) ||
	    multicast(&n->address))
		return false;
	n->ifindex = (uint32_t)header->ndm_ifindex;
	s->nud = header->ndm_state;
	s->kept = (header->ndm_state & (NUD_PERMANENT | NUD_NOARP)) != 0 ||
	          (header->ndm_flags & NTF_EXT_LEARNED) != 0 ||
	          (attributes[NDA_FLAGS_EXT] != NULL &&
	           (nla_get_u32(attributes[NDA_FLAGS_EXT]) & NTF_EXT_MANAGED) != 0);
	n->failed = (header->ndm_state & NUD_FAILED) != 0;
	n->usable = (header->ndm_state & NUD_USABLE) != 0 && attributes[NDA_LLADDR] != NULL &&
	            nla_len(attributes[NDA_LLADDR]) == 6;
	if (n->usable)
		memcpy(n->mac, nla_data(attributes[NDA_LLADDR]), 6);
	return true;
}

void sluice_kernel_neighbour_message(struct sluice_kernel *k, struct nlmsghdr *message)
{
	struct sluice_kernel_neighbour_state s;
	struct sluice_kernel_neighbour *n = &s.neighbour;
	struct sluice_kernel_neighbour old = {0};
	const struct sluice_kernel_neighbour *known;

	if (!neighbour_decode(message, &s))
		return;

	struct sluice_kernel_hop hop = {.address = n->address, .ifindex = n->ifindex};
	struct sluice_kernel_key key = key_of(&n->address, n->ifindex, 0);

	known = sluice_kernel_neighbour_find(k, n->ifindex, &n->address);
	if (known != NULL)
		old = *known;
	if (message->nlmsg_type == RTM_DELNEIGH) {
		neighbour_gone(k, &key, &hop, old.usable);
		return;
	}
	// Asked again, a failed one is failed until there is an answer.
	if ((s.nud & NUD_INCOMPLETE) != 0 && old.failed)
		n->failed = true;
	keep(k, &k->neighbours, &key, &s, SLUICE_KERNEL_DUMP_NEIGHBOURS, 0);
	if (old.usable != n->usable || memcmp(old.mac, n->mac, sizeof(n->mac)) != 0 ||
	    (n->failed && !old.failed && sluice_kernel_watches(k, &hop)))
		k->changes |= SLUICE_KERNEL_NEIGHBOURS;
	if (old.usable != n->usable || n->failed)
		sluice_kernel_watch_notice(k, &hop);
}

static bool still_there(void *context, struct sluice_kernel_node *node)
{
	return node->epoch == *(const uint32_t *)context;
}

void sluice_kernel_links_sweep(struct sluice_kernel *k, enum sluice_kernel_dump dump)
{
	struct sluice_kernel_map *map = dump == SLUICE_KERNEL_DUMP_LINKS        ? &k->links
	                                : dump == SLUICE_KERNEL_DUMP_ADDRESSES  ? &k->addresses
	                                : dump == SLUICE_KERNEL_DUMP_NEIGHBOURS ? &k->neighbours
	                                                                        : NULL;
	unsigned change = dump == SLUICE_KERNEL_DUMP_LINKS       ? SLUICE_KERNEL_LINKS
	                  : dump == SLUICE_KERNEL_DUMP_ADDRESSES ? SLUICE_KERNEL_ADDRESSES
	                                                         : SLUICE_KERNEL_NEIGHBOURS;

	if (map != NULL && sluice_kernel_map_filter(map, still_there, &k->epochs[dump]) > 0)
		k->changes |= change;
}

const struct sluice_kernel_link *sluice_kernel_link_find(const struct sluice_kernel *k,
                                                         uint32_t ifindex)
{
	struct sluice_kernel_key key = key_of(NULL, ifindex, 0);
	const struct sluice_kernel_node *n = sluice_kernel_map_find(&k->links, &key);

	return n == NULL ? NULL : (const void *)n->value;
}

// A search by value over a map: what is looked for, and what was found.
struct search {
	const char *name;
	const struct sluice_address *address;
	const void *found;
};

static void link_name_visit(void *context, const struct sluice_kernel_node *node)
{
	struct search *s = context;
	const struct sluice_kernel_link *link = (const void *)node->value;

	if (strcmp(link->name, s->name) == 0)
		s->found = link;
}

const struct sluice_kernel_link *sluice_kernel_link_find_name(const struct sluice_kernel *k,
                                                              const char *name)
{
	struct search s = {.name = name};

	sluice_kernel_map_visit(&k->links, link_name_visit, &s);
	return s.found;
}

static void address_search_visit(void *context, const struct sluice_kernel_node *node)
{
	struct search *s = context;

	if (sluice_address_equal(&node->key.address, s->address))
		s->found = node->value;
}

const struct sluice_kernel_address *sluice_kernel_address_find(const struct sluice_kernel *k,
                                                               uint32_t ifindex,
                                                               const struct sluice_address *address)
{
	struct search s = {.address = address};

	if (ifindex == 0) {
		sluice_kernel_map_visit(&k->addresses, address_search_visit, &s);
		return s.found;
	}

	int longest = sluice_address_family(address) == SLUICE_IPV4 ? 32 : 128;

	for (int length = longest; length >= 0; length--) {
		struct sluice_kernel_key key = key_of(address, ifindex, (uint32_t)length);
		const struct sluice_kernel_node *n = sluice_kernel_map_find(&k->addresses, &key);

		if (n != NULL)
			return (const void *)n->value;
	}
	return NULL;
}

const struct sluice_kernel_neighbour_state *
sluice_kernel_neighbour_state(const struct sluice_kernel *k, const struct sluice_kernel_hop *hop)
{
	struct sluice_kernel_key key = key_of(&hop->address, hop->ifindex, 0);
	const struct sluice_kernel_node *n = sluice_kernel_map_find(&k->neighbours, &key);

	return n == NULL ? NULL : (const void *)n->value;
}

const struct sluice_kernel_neighbour *
sluice_kernel_neighbour_find(const struct sluice_kernel *k, uint32_t ifindex,
                             const struct sluice_address *address)
{
	struct sluice_kernel_hop hop = {.address = *address, .ifindex = ifindex};
	const struct sluice_kernel_neighbour_state *s = sluice_kernel_neighbour_state(k, &hop);

	return s == NULL ? NULL : &s->neighbour;
}

size_t sluice_kernel_neighbour_count(const struct sluice_kernel *k)
{
	return k->neighbours.count;
}

struct link_visitor {
	void (*visit)(void *context, const struct sluice_kernel_link *);
	void *context;
};

static void link_visit(void *context, const struct sluice_kernel_node *node)
{
	const struct link_visitor *v = context;

	v->visit(v->context, (const void *)node->value);
}

void sluice_kernel_links_visit(const struct sluice_kernel *k,
                               void (*visit)(void *context, const struct sluice_kernel_link *),
                               void *context)
{
	struct link_visitor v = {visit, context};

	sluice_kernel_map_visit(&k->links, link_visit, &v);
}

struct address_visitor {
	void (*visit)(void *context, const struct sluice_kernel_address *);
	void *context;
};

static void address_visit(void *context, const struct sluice_kernel_node *node)
{
	const struct address_visitor *v = context;

	v->visit(v->context, (const void *)node->value);
}

void sluice_kernel_addresses_visit(const struct sluice_kernel *k,
                                   void (*visit)(void *context,
                                                 const struct sluice_kernel_address *),
                                   void *context)
{
	struct address_visitor v = {visit, context};

	sluice_kernel_map_visit(&k->addresses, address_visit, &v);
}

struct neighbour_visitor {
	void (*visit)(void *context, const struct sluice_kernel_neighbour *);
	void *context;
};

static void neighbour_visit(void *context, const struct sluice_kernel_node *node)
{
	const struct neighbour_visitor *v = context;
	const struct sluice_kernel_neighbour_state *s = (const void *)node->value;

	v->visit(v->context, &s->neighbour);
}

void sluice_kernel_neighbours_visit(const struct sluice_kernel *k,
                                    void (*visit)(void *context,
                                                  const struct sluice_kernel_neighbour *),
                                    void *context)
{
	struct neighbour_visitor v = {visit, context};

	sluice_kernel_map_visit(&k->neighbours, neighbour_visit, &v);
}
