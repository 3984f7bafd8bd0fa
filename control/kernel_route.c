// SPDX-License-Identifier: BSD-3-Clause

// The routes of the kernel mirror.
//
// A map from (prefix, table, length) to the routes of that prefix by metric, and for each table
// how many prefixes there are of each length: a lookup tries the lengths that occur, from the
// longest. Lengths count from the start of the 16 bytes, so that IPv4's are 96..128.
//
// rtnetlink tells of routes in a way that does not identify them: several IPv4 routes may have the
// same prefix and metric, an IPv6 route grows and shrinks by a next hop at a time, and IPv4 routes
// vanish without a word when a link or a next hop object goes. What is certain is applied at once;
// where it is not, the routes of the family are read again, which settles it.
#include <errno.h>
#include <linux/nexthop.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "control/kernel_private.h"
#include "sluice/log.h"

enum {
	TABLE_MAIN = 0, // indices of ours
	TABLE_DEFAULT = 1,
	HOPS_MAX = 256, // of one route; what is more is not used
	GROUP_MAX = 32, // members of a next hop group whose routes do not name them
	LENGTH_V4 = 96, // bits before an IPv4 address
};

// A message, read.
struct decoded {
	struct sluice_kernel_key key;
	struct sluice_kernel_route route; // without next hops
	size_t count;
	struct sluice_kernel_next_hop hops[HOPS_MAX];
};

// A next hop object. Only needed where routes name the object and no more
// (net.ipv4.nexthop_compat_mode 0).
struct next_hop_object {
	struct sluice_kernel_next_hop hop;
	bool blackhole;
	uint32_t count; // of a group
	uint32_t members[GROUP_MAX];
};

int sluice_kernel_routes_init(struct sluice_kernel *k)
{
	int rc = sluice_kernel_map_init(&k->routes, sizeof(struct sluice_kernel_route_option *),
	                                sizeof(struct sluice_kernel_route_option *));

	if (rc < 0)
		return rc;
	return sluice_kernel_map_init(&k->next_hops, sizeof(struct next_hop_object),
	                              sizeof(struct next_hop_object));
}

static struct sluice_kernel_route_option *node_options(const struct sluice_kernel_node *node)
{
	struct sluice_kernel_route_option *options;

	memcpy(&options, node->value, sizeof(struct sluice_kernel_route_option *));
	return options;
}

static void node_options_set(struct sluice_kernel_node *node,
                             struct sluice_kernel_route_option *options)
{
	memcpy(node->value, &options, sizeof(struct sluice_kernel_route_option *));
}

static void option_free(struct sluice_kernel_route_option *option)
{
	free(option->route.next_hops);
	free(option);
}

static bool options_free(void *context, struct sluice_kernel_node *node)
{
	(void)context;
	for (struct sluice_kernel_route_option *o = node_options(node), *next; o; o = next) {
		next = o->next;
		option_free(o);
	}
	return false;
}

void sluice_kernel_routes_clear(struct sluice_kernel *k)
{
	if (k->routes.buckets != NULL)
		sluice_kernel_map_filter(&k->routes, options_free, NULL);
	sluice_kernel_map_clear(&k->routes);
	sluice_kernel_map_clear(&k->next_hops);
}

static enum sluice_kernel_dump key_dump(const struct sluice_kernel_key *key)
{
	return key->length >= LENGTH_V4 && sluice_address_family(&key->address) == SLUICE_IPV4
	               ? SLUICE_KERNEL_DUMP_ROUTES_V4
	               : SLUICE_KERNEL_DUMP_ROUTES_V6;
}

static bool same_hop(const struct sluice_kernel_next_hop *a, const struct sluice_kernel_next_hop *b)
{
	return a->ifindex == b->ifindex && a->has_gateway == b->has_gateway &&
	       sluice_address_equal(&a->gateway, &b->gateway);
}

// The same next hops in the same order; whether they are alive aside.
static bool same_hops(const struct sluice_kernel_route *route, const struct decoded *d)
{
	if (route->next_hop_count != d->count)
		return false;
	for (size_t i = 0; i < d->count; i++)
		if (!same_hop(&route->next_hops[i], &d->hops[i]))
			return false;
	return true;
}

static bool same_life(const struct sluice_kernel_route *route, const struct decoded *d)
{
	for (size_t i = 0; i < d->count; i++)
		if (route->next_hops[i].dead != d->hops[i].dead)
			return false;
	return true;
}

static bool same_source(const struct sluice_kernel_route *a, const struct sluice_kernel_route *b)
{
	return a->has_source == b->has_source && sluice_address_equal(&a->source, &b->source);
}

static size_t hop_position(const struct sluice_kernel_route *route,
                           const struct sluice_kernel_next_hop *hop)
{
	size_t i = 0;

	while (i < route->next_hop_count && !same_hop(&route->next_hops[i], hop))
		i++;
	return i;
}

// --- reading a message

static void hop_decode(struct sluice_kernel *k, struct nlattr *attributes[], unsigned ifindex,
                       unsigned flags, struct decoded *d)
{
	struct sluice_kernel_next_hop *hop;

	if (d->count == HOPS_MAX)
		return;
	hop = &d->hops[d->count++];
	memset(hop, 0, sizeof(*hop));
	hop->ifindex = ifindex;
	hop->dead = (flags & RTNH_F_DEAD) != 0;
	hop->has_gateway = sluice_kernel_attribute_address(attributes[RTA_GATEWAY], &hop->gateway);
	if (attributes[RTA_VIA] != NULL && nla_len(attributes[RTA_VIA]) == 2 + 16) {
		const struct rtvia *via = nla_data(attributes[RTA_VIA]);

		hop->gateway = sluice_address_from_v6(via->rtvia_addr);
		hop->has_gateway = true;
	}
	if (attributes[RTA_ENCAP] == NULL)
		return;
	hop->ifindex = 0;
	if (!k->encap_reported)
		log_warning("routes that encapsulate (MPLS, seg6, ...) are not followed");
	k->encap_reported = true;
}

static void multipath_decode(struct sluice_kernel *k, const struct nlattr *multipath,
                             struct decoded *d)
{
	struct rtnexthop *hop = nla_data(multipath);
	int left = nla_len(multipath);

	while (left >= (int)sizeof(*hop) && hop->rtnh_len >= sizeof(*hop) &&
	       hop->rtnh_len <= left) {
		struct nlattr *attributes[RTA_MAX + 1];
		int step = RTNH_ALIGN(hop->rtnh_len);

		if (nla_parse(attributes, RTA_MAX, (struct nlattr *)(void *)RTNH_DATA(hop),
		              hop->rtnh_len - (int)RTNH_LENGTH(0), NULL) == 0)
			hop_decode(k, attributes, (unsigned)hop->rtnh_ifindex, hop->rtnh_flags, d);
		left -= step;
		hop = (struct rtnexthop *)(void *)((char *)hop + step);
	}
}

static const struct next_hop_object *object_find(const struct sluice_kernel *k, uint32_t id)
{
	struct sluice_kernel_key key = {.where = id};
	const struct sluice_kernel_node *n = sluice_kernel_map_find(&k->next_hops, &key);

	return n == NULL ? NULL : (const void *)n->value;
}

static void object_decode(const struct sluice_kernel *k, uint32_t id, struct decoded *d)
{
	const struct next_hop_object *object = object_find(k, id);

	if (object == NULL)
		return;
	if (object->blackhole)
		d->route.type = SLUICE_KERNEL_ROUTE_REJECT;
	else if (object->count == 0 && d->count < HOPS_MAX)
		d->hops[d->count++] = object->hop;
	for (uint32_t i = 0; i < object->count && d->count < HOPS_MAX; i++) {
		const struct next_hop_object *member = object_find(k, object->members[i]);

		if (member != NULL && !member->blackhole)
			d->hops[d->count++] = member->hop;
	}
}

// Whether the prefix is one that packets are forwarded to.
static bool forwarded(const struct rtmsg *header, const struct sluice_address *prefix)
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

	if (header->rtm_family == AF_INET)
		return header->rtm_dst_len < 4 || prefix->bytes[12] < 224;
	if (header->rtm_dst_len >= 8 && prefix->bytes[0] == 0xff)
		return false;
	if (header->rtm_dst_len >= 10 && prefix->bytes[0] == 0xfe &&
	    (prefix->bytes[1] & 0xc0) == 0x80)
		return false;
	// An IPv6 route for mapped addresses is about no packet, and would pass for an IPv4 one.
	return header->rtm_dst_len < LENGTH_V4 || memcmp(prefix->bytes, mapped, 12) != 0;
}

static bool type_decode(unsigned char type, struct decoded *d)
{
	switch (type) {
	case RTN_UNICAST:
		d->route.type = SLUICE_KERNEL_ROUTE_UNICAST;
		return true;
	case RTN_BLACKHOLE:
	case RTN_UNREACHABLE:
	case RTN_PROHIBIT:
		d->route.type = SLUICE_KERNEL_ROUTE_REJECT;
		return true;
	case RTN_THROW:
		d->route.type = SLUICE_KERNEL_ROUTE_THROW;
		return true;
	default:
		return false;
	}
}

// False: not a route of ours.
static bool route_decode(struct sluice_kernel *k, struct nlmsghdr *message, struct decoded *d)
{
	struct rtmsg *header = nlmsg_data(message);
	struct nlattr *a[RTA_MAX + 1];
	uint32_t table;

	if (nlmsg_parse(message, sizeof(*header), a, RTA_MAX, NULL) < 0 ||
	    (header->rtm_family != AF_INET && header->rtm_family != AF_INET6) ||
	    (header->rtm_flags & RTM_F_CLONED) != 0 || header->rtm_src_len != 0 ||
	    header->rtm_tos != 0)
		return false;
	memset(&d->key, 0, sizeof(d->key));
	memset(&d->route, 0, sizeof(d->route));
	d->count = 0;
	table = a[RTA_TABLE] ? nla_get_u32(a[RTA_TABLE]) : header->rtm_table;
	if ((table != RT_TABLE_MAIN && table != RT_TABLE_DEFAULT) ||
	    !type_decode(header->rtm_type, d))
		return false;
	if (!sluice_kernel_attribute_address(a[RTA_DST], &d->key.address) &&
	    header->rtm_family == AF_INET)
		d->key.address = sluice_address_from_v4(0);
	if (!forwarded(header, &d->key.address))
		return false;
	d->key.where = table == RT_TABLE_MAIN ? TABLE_MAIN : TABLE_DEFAULT;
	d->key.length = header->rtm_dst_len + (header->rtm_family == AF_INET ? LENGTH_V4 : 0U);
	d->route.prefix = d->key.address;
	d->route.prefix_length = header->rtm_dst_len;
	d->route.metric = a[RTA_PRIORITY] ? nla_get_u32(a[RTA_PRIORITY]) : 0;
	d->route.has_source = sluice_kernel_attribute_address(a[RTA_PREFSRC], &d->route.source);
	if (d->route.type != SLUICE_KERNEL_ROUTE_UNICAST)
		return true;
	if (a[RTA_MULTIPATH] != NULL)
		multipath_decode(k, a[RTA_MULTIPATH], d);
	else if (a[RTA_OIF] != NULL)
		hop_decode(k, a, nla_get_u32(a[RTA_OIF]), header->rtm_flags, d);
	else if (a[RTA_NH_ID] != NULL)
		object_decode(k, nla_get_u32(a[RTA_NH_ID]), d);
	return true;
}

// --- keeping routes

// The place of a metric in the list of a prefix: the link to the option that has it or to the
// first that has a higher one.
static struct sluice_kernel_route_option **option_place(struct sluice_kernel_route_option **link,
                                                        uint32_t metric)
{
	while (*link != NULL && (*link)->route.metric < metric)
		link = &(*link)->next;
	return link;
}

static bool hops_set(struct sluice_kernel_route *route, const struct sluice_kernel_next_hop *hops,
                     size_t count)
{
	struct sluice_kernel_next_hop *copy = NULL;

	if (count > 0) {
		copy = malloc(count * sizeof(*copy));
		if (copy == NULL)
			return false;
		memcpy(copy, hops, count * sizeof(*copy));
	}
	free(route->next_hops);
	route->next_hops = copy;
	route->next_hop_count = (uint16_t)count;
	return true;
}

static void option_insert(struct sluice_kernel *k, const struct decoded *d)
{
	struct sluice_kernel_route_option *option = calloc(1, sizeof(*option));
	struct sluice_kernel_route_option *list = NULL;
	struct sluice_kernel_node *node = sluice_kernel_map_find(&k->routes, &d->key);
	struct sluice_kernel_route_option **place;

	if (option == NULL)
		goto no_memory;
	option->route = d->route;
	option->parts = 1;
	option->epoch = k->epochs[key_dump(&d->key)];
	if (!hops_set(&option->route, d->hops, d->count))
		goto no_memory;
	if (node == NULL) {
		if (sluice_kernel_map_put(&k->routes, &d->key, &list, 0) < 0)
			goto no_memory;
		node = sluice_kernel_map_find(&k->routes, &d->key);
		k->lengths[d->key.where][d->key.length]++;
	}
	list = node_options(node);
	place = option_place(&list, d->route.metric);
	option->next = *place;
	*place = option;
	node_options_set(node, list);
	k->changes |= SLUICE_KERNEL_ROUTES;
	return;

no_memory:
	if (option != NULL)
		option_free(option);
	log_error("netlink: no memory for a route");
}

static void option_remove(struct sluice_kernel *k, const struct sluice_kernel_key *key,
                          struct sluice_kernel_route_option *option)
{
	struct sluice_kernel_node *node = sluice_kernel_map_find(&k->routes, key);
	struct sluice_kernel_route_option *list = node_options(node);

	*option_place(&list, option->route.metric) = option->next;
	node_options_set(node, list);
	option_free(option);
	if (list == NULL) {
		k->lengths[key->where][key->length]--;
		sluice_kernel_map_remove(&k->routes, key);
	}
	k->changes |= SLUICE_KERNEL_ROUTES;
}

static struct sluice_kernel_route_option *
option_find(const struct sluice_kernel *k, const struct sluice_kernel_key *key, uint32_t metric)
{
	const struct sluice_kernel_node *node = sluice_kernel_map_find(&k->routes, key);
	struct sluice_kernel_route_option *option = node == NULL ? NULL : node_options(node);

	while (option != NULL && option->route.metric != metric)
		option = option->next;
	return option;
}

// Makes the option what the message says, whatever it was.
static void option_replace(struct sluice_kernel *k, struct sluice_kernel_route_option *option,
                           const struct decoded *d)
{
	bool same = option->route.type == d->route.type && same_hops(&option->route, d) &&
	            same_life(&option->route, d) && same_source(&option->route, &d->route);

	option->epoch = k->epochs[key_dump(&d->key)];
	option->parts = 1;
	if (same)
		return;
	if (!hops_set(&option->route, d->hops, d->count)) {
		log_error("netlink: no memory for a route");
		return;
	}
	option->route.type = d->route.type;
	option->route.has_source = d->route.has_source;
	option->route.source = d->route.source;
	k->changes |= SLUICE_KERNEL_ROUTES;
}

// A dump names another kernel route of the same prefix and metric: its next hops come after those
// that are there, as the kernel takes the first route.
static void option_extend(struct sluice_kernel *k, struct sluice_kernel_route_option *option,
                          struct decoded *d)
{
	struct sluice_kernel_next_hop hops[HOPS_MAX];
	size_t count = option->route.next_hop_count;

	if (count > 0)
		memcpy(hops, option->route.next_hops, count * sizeof(hops[0]));
	option->parts++;
	for (size_t i = 0; i < d->count && count < HOPS_MAX; i++)
		if (hop_position(&option->route, &d->hops[i]) == option->route.next_hop_count)
			hops[count++] = d->hops[i];
	if (count == option->route.next_hop_count)
		return;
	if (hops_set(&option->route, hops, count))
		k->changes |= SLUICE_KERNEL_ROUTES;
}

static void route_added(struct sluice_kernel *k, struct decoded *d, unsigned flags, bool dumped)
{
	struct sluice_kernel_route_option *option = option_find(k, &d->key, d->route.metric);
	enum sluice_kernel_dump dump = key_dump(&d->key);

	if (option == NULL)
		option_insert(k, d);
	else if (dumped && option->epoch == k->epochs[dump])
		option_extend(k, option, d);
	else if (dumped || ((flags & NLM_F_REPLACE) != 0 && option->parts == 1) ||
	         (option->route.type == d->route.type && same_hops(&option->route, d)))
		option_replace(k, option, d);
	else
		sluice_kernel_dump_want(k, 1U << dump);
}

static void route_removed(struct sluice_kernel *k, const struct decoded *d)
{
	struct sluice_kernel_route_option *option = option_find(k, &d->key, d->route.metric);

	if (option == NULL)
		return;
	if (option->parts == 1 && option->route.type == d->route.type &&
	    same_hops(&option->route, d)) {
		option_remove(k, &d->key, option);
		return;
	}
	// One of several, or something else than was known.
	sluice_kernel_dump_want(k, 1U << key_dump(&d->key));
}

void sluice_kernel_route_message(struct sluice_kernel *k, struct nlmsghdr *message, bool dumped)
{
	struct decoded d;

	if (!route_decode(k, message, &d))
		return;
	if (message->nlmsg_type == RTM_NEWROUTE)
		route_added(k, &d, message->nlmsg_flags, dumped);
	else
		route_removed(k, &d);
}

void sluice_kernel_next_hop_message(struct sluice_kernel *k, struct nlmsghdr *message, bool dumped)
{
	struct nhmsg *header = nlmsg_data(message);
	struct nlattr *a[NHA_MAX + 1];
	struct sluice_kernel_key key;
	struct next_hop_object object;

	if (nlmsg_parse(message, sizeof(*header), a, NHA_MAX, NULL) < 0 || a[NHA_ID] == NULL)
		return;
	memset(&key, 0, sizeof(key));
	key.where = nla_get_u32(a[NHA_ID]);
	if (message->nlmsg_type == RTM_DELNEXTHOP) {
		sluice_kernel_map_remove(&k->next_hops, &key);
		sluice_kernel_dump_want(k, SLUICE_KERNEL_DUMP_ALL_ROUTES);
		return;
	}
	memset(&object, 0, sizeof(object));
	object.blackhole = a[NHA_BLACKHOLE] != NULL;
	object.hop.ifindex = a[NHA_OIF] && !a[NHA_ENCAP] ? nla_get_u32(a[NHA_OIF]) : 0;
	object.hop.dead = (header->nh_flags & RTNH_F_DEAD) != 0;
	object.hop.has_gateway =
	        sluice_kernel_attribute_address(a[NHA_GATEWAY], &object.hop.gateway);
	if (a[NHA_GROUP] != NULL) {
		const struct nexthop_grp *group = nla_data(a[NHA_GROUP]);
		size_t count = (size_t)nla_len(a[NHA_GROUP]) / sizeof(*group);

		for (size_t i = 0; i < count && object.count < GROUP_MAX; i++)
			object.members[object.count++] = group[i].id;
	}

	bool known = sluice_kernel_map_find(&k->next_hops, &key) != NULL;
	int rc = sluice_kernel_map_put(&k->next_hops, &key, &object,
	                               k->epochs[SLUICE_KERNEL_DUMP_NEXT_HOPS]);

	if (rc < 0)
		log_error("netlink: no memory for a next hop object");
	if (rc > 0 && known && !dumped)
		sluice_kernel_dump_want(k, SLUICE_KERNEL_DUMP_ALL_ROUTES);
}

// --- the end of a dump

struct sweep {
	struct sluice_kernel *k;
	enum sluice_kernel_dump dump;
};

static bool route_still_there(void *context, struct sluice_kernel_node *node)
{
	struct sweep *s = context;
	struct sluice_kernel_route_option *list = node_options(node);

	if (key_dump(&node->key) != s->dump)
		return true;
	for (struct sluice_kernel_route_option **link = &list; *link != NULL;) {
		struct sluice_kernel_route_option *option = *link;

		if (option->epoch == s->k->epochs[s->dump]) {
			link = &option->next;
			continue;
		}
		*link = option->next;
		option_free(option);
		s->k->changes |= SLUICE_KERNEL_ROUTES;
	}
	node_options_set(node, list);
	if (list != NULL)
		return true;
	s->k->lengths[node->key.where][node->key.length]--;
	return false;
}

static bool object_still_there(void *context, struct sluice_kernel_node *node)
{
	const struct sweep *s = context;

	return node->epoch == s->k->epochs[s->dump];
}

void sluice_kernel_routes_sweep(struct sluice_kernel *k, enum sluice_kernel_dump dump)
{
	struct sweep s = {k, dump};

	if (dump == SLUICE_KERNEL_DUMP_ROUTES_V4 || dump == SLUICE_KERNEL_DUMP_ROUTES_V6)
		sluice_kernel_map_filter(&k->routes, route_still_there, &s);
	else if (dump == SLUICE_KERNEL_DUMP_NEXT_HOPS)
		sluice_kernel_map_filter(&k->next_hops, object_still_there, &s);
}

// --- asking

static void address_mask(struct sluice_address *a, unsigned length)
{
	unsigned whole = length / 8;

	if (length % 8 != 0)
		a->bytes[whole++] &= (uint8_t)(0xff00 >> (length % 8));
	memset(&a->bytes[whole], 0, sizeof(a->bytes) - whole);
}

// The longest prefix of a table that the first length bits of address lie in.
static const struct sluice_kernel_route *table_lookup(const struct sluice_kernel *k, unsigned table,
                                                      const struct sluice_address *address,
                                                      unsigned length)
{
	bool v4 = sluice_address_family(address) == SLUICE_IPV4;
	struct sluice_kernel_key key = {.address = *address, .where = table};

	// What is shorter than the mapped part cannot be an IPv4 route.
	for (int l = (int)length; l >= (v4 ? LENGTH_V4 : 0); l--) {
		const struct sluice_kernel_node *node;

		if (k->lengths[table][l] == 0)
			continue;
		address_mask(&key.address, (unsigned)l);
		key.length = (uint32_t)l;
		node = sluice_kernel_map_find(&k->routes, &key);
		if (node != NULL)
			return &node_options(node)->route;
	}
	return NULL;
}

static bool decides(const struct sluice_kernel_route *route)
{
	return route != NULL && route->type != SLUICE_KERNEL_ROUTE_THROW;
}

const struct sluice_kernel_route *sluice_kernel_route_lookup(const struct sluice_kernel *k,
                                                             const struct sluice_address *address)
{
	const struct sluice_kernel_route *route = table_lookup(k, TABLE_MAIN, address, 128);

	if (decides(route))
		return route;
	route = table_lookup(k, TABLE_DEFAULT, address, 128);
	return decides(route) ? route : NULL;
}

const struct sluice_kernel_next_hop *
sluice_kernel_route_next_hop(const struct sluice_kernel *k, const struct sluice_kernel_route *route)
{
	const struct sluice_kernel_next_hop *second_best = NULL;

	if (route->type != SLUICE_KERNEL_ROUTE_UNICAST)
		return NULL;
	for (size_t i = 0; i < route->next_hop_count; i++) {
		const struct sluice_kernel_next_hop *hop = &route->next_hops[i];
		const struct sluice_kernel_link *link =
		        hop->ifindex == 0 ? NULL : sluice_kernel_link_find(k, hop->ifindex);

		if (link == NULL || !link->up || hop->dead)
			continue;
		if (link->running)
			return hop;
		if (second_best == NULL)
			second_best = hop;
	}
	return second_best;
}

int sluice_kernel_hop_find(const struct sluice_kernel *k, const struct sluice_address *address,
                           struct sluice_kernel_hop *hop)
{
	const struct sluice_kernel_route *route = sluice_kernel_route_lookup(k, address);
	const struct sluice_kernel_next_hop *next =
	        route == NULL ? NULL : sluice_kernel_route_next_hop(k, route);

	if (next == NULL)
		return -EHOSTUNREACH;
	memset(hop, 0, sizeof(*hop));
	hop->ifindex = next->ifindex;
	hop->address = next->has_gateway ? next->gateway : *address;
	return 0;
}

struct route_visitor {
	const struct sluice_kernel *k;
	void (*visit)(void *context, const struct sluice_kernel_route *);
	void *context;
};

static void route_visit(void *context, const struct sluice_kernel_node *node)
{
	const struct route_visitor *v = context;
	const struct sluice_kernel_route *route = &node_options(node)->route;
	const struct sluice_kernel_key *key = &node->key;

	if (key->where == TABLE_DEFAULT) {
		// Unless main has no say in the whole prefix, packets never come here.
		if (!decides(table_lookup(v->k, TABLE_MAIN, &key->address, key->length)) &&
		    route->type != SLUICE_KERNEL_ROUTE_THROW)
			v->visit(v->context, route);
		return;
	}
	if (route->type != SLUICE_KERNEL_ROUTE_THROW) {
		v->visit(v->context, route);
		return;
	}
	// "throw": as the default table has it, or a hole in shorter prefixes of main.
	struct sluice_kernel_route thrown = *route;
	const struct sluice_kernel_route *other =
	        table_lookup(v->k, TABLE_DEFAULT, &key->address, key->length);

	if (decides(other) && other->prefix_length == route->prefix_length)
		return; // the default table's own visit
	thrown.type = decides(other) ? other->type : SLUICE_KERNEL_ROUTE_REJECT;
	thrown.has_source = decides(other) && other->has_source;
	thrown.source = decides(other) ? other->source : (struct sluice_address){0};
	thrown.next_hops = decides(other) ? other->next_hops : NULL;
	thrown.next_hop_count = decides(other) ? other->next_hop_count : 0;
	v->visit(v->context, &thrown);
}

void sluice_kernel_routes_visit(const struct sluice_kernel *k,
                                void (*visit)(void *context, const struct sluice_kernel_route *),
                                void *context)
{
	struct route_visitor v = {k, visit, context};

	sluice_kernel_map_visit(&k->routes, route_visit, &v);
}

size_t sluice_kernel_route_count(const struct sluice_kernel *k)
{
	return k->routes.count;
}
