// SPDX-License-Identifier: BSD-3-Clause

// Next hops in use: kept resolved, and kept honest.
//
// What sluice forwards never passes the kernel's IP output, so the kernel neither resolves a next
// hop on its own nor notices that one no longer answers. Two requests make it do both:
// NTF_USE resolves an entry that is missing or failed, and state NUD_PROBE makes the kernel ask the
// known MAC at once whether it is still there, while the entry stays usable; after three
// seconds of silence (three probes) the entry has failed, which is notified, and is asked for by
// broadcast in the same round of the loop. NTF_EXT_MANAGED would leave the timing to the kernel,
// which confirms an entry twice a minute at best and leaves flags behind when we are killed.
#include <errno.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "control/kernel_private.h"
#include "sluice/log.h"

enum {
	TICK_MS = 50, // at least between two rounds that send
	REQUESTS_PER_TICK = 50,
	PROBE_MS = 3000, // between two probes of a usable next hop
	WAIT_MS = 1000,  // to look again at one that the kernel is asking for
	RETRY_MS = 1000, // after the first failure, times the number of failures
	RETRY_MAX = 5,   // ... up to
};

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int request_send(struct sluice_kernel *k, const struct sluice_kernel_hop *hop,
                        uint16_t state, uint8_t flags, int netlink_flags)
{
	struct ndmsg header = {
	        .ndm_ifindex = (int)hop->ifindex, .ndm_state = state, .ndm_flags = flags};
	struct nl_msg *message = nlmsg_alloc_simple(RTM_NEWNEIGH, netlink_flags);
	unsigned len;
	const uint8_t *bytes = sluice_address_wire(&hop->address, &len);
	int rc = -ENOMEM;

	if (message == NULL)
		return rc;
	header.ndm_family = len == 4 ? AF_INET : AF_INET6;
	if (nlmsg_append(message, &header, sizeof(header), NLMSG_ALIGNTO) == 0 &&
	    nla_put(message, NDA_DST, (int)len, bytes) == 0) {
		nl_complete_msg(k->requests, message);
		rc = 0;
		if (send(nl_socket_get_fd(k->requests), nlmsg_hdr(message),
		         nlmsg_hdr(message)->nlmsg_len, MSG_DONTWAIT) < 0)
			rc = -errno;
	}
	nlmsg_free(message);
	if (rc < 0)
		log_error("netlink: cannot ask for a neighbour: %s", strerror(-rc));
	return rc;
}

int sluice_kernel_resolve(struct sluice_kernel *k, uint32_t ifindex,
                          const struct sluice_address *address)
{
	struct sluice_kernel_hop hop = {.address = *address, .ifindex = ifindex};
	const struct sluice_kernel_neighbour_state *s = sluice_kernel_neighbour_state(k, &hop);

	// NTF_USE would make an entry that an administrator fixed an ordinary one.
	if (s != NULL && s->kept)
		return 0;
	// The same goes for one that was fixed a moment ago: what is not known is only created.
	return request_send(k, &hop, NUD_NONE, NTF_USE, s == NULL ? NLM_F_CREATE | NLM_F_EXCL : 0);
}

// Does for one next hop what is due, and says when to look again. Returns the requests sent.
static unsigned watched_serve(struct sluice_kernel *k, struct sluice_kernel_watched *w, int64_t now)
{
	const struct sluice_kernel_neighbour_state *s = sluice_kernel_neighbour_state(k, &w->hop);

	if (s != NULL && s->neighbour.usable) {
		w->tries = 0;
		w->due = now + PROBE_MS;
		if (s->kept || (s->nud & NUD_PROBE) != 0)
			return 0;
		request_send(k, &w->hop, NUD_PROBE, 0, 0);
		return 1;
	}
	if (s != NULL && (s->nud & NUD_INCOMPLETE) != 0) {
		w->due = now + WAIT_MS;
		return 0;
	}
	if (w->tries < RETRY_MAX)
		w->tries++;
	w->due = now + (int64_t)w->tries * RETRY_MS;
	sluice_kernel_resolve(k, w->hop.ifindex, &w->hop.address);
	return 1;
}

static void tick_in(struct sluice_kernel *k, int64_t ms)
{
	struct timeval in;

	if (ms < TICK_MS)
		ms = TICK_MS;
	in.tv_sec = ms / 1000;
	in.tv_usec = ms % 1000 * 1000;
	event_add(k->tick, &in);
}

static void tick_event(evutil_socket_t fd, short what, void *context)
{
	struct sluice_kernel *k = context;
	int64_t now = now_ms();
	int64_t next = now + PROBE_MS;
	unsigned sent = 0;
	size_t i;

	(void)fd;
	(void)what;
	if (k->watched_count == 0)
		return;
	for (i = 0; i < k->watched_count && sent < REQUESTS_PER_TICK; i++) {
		struct sluice_kernel_watched *w =
		        &k->watched[(k->watched_at + i) % k->watched_count];

		if (w->due <= now)
			sent += watched_serve(k, w, now);
		if (w->due < next)
			next = w->due;
	}
	k->watched_at = (k->watched_at + i) % k->watched_count;
	tick_in(k, i < k->watched_count ? TICK_MS : next - now);
}

static int hop_compare(const void *a, const void *b)
{
	const struct sluice_kernel_hop *x = a;
	const struct sluice_kernel_hop *y = b;

	if (x->ifindex != y->ifindex)
		return x->ifindex < y->ifindex ? -1 : 1;
	return memcmp(&x->address, &y->address, sizeof(x->address));
}

static struct sluice_kernel_watched *watched_find(const struct sluice_kernel *k,
                                                  const struct sluice_kernel_hop *hop)
{
	// The hop is the first member: an element compares as a hop.
	static_assert(offsetof(struct sluice_kernel_watched, hop) == 0, "compared as a hop");
	if (k->watched_count == 0)
		return NULL;
	return bsearch(hop, k->watched, k->watched_count, sizeof(*k->watched), hop_compare);
}

bool sluice_kernel_watches(const struct sluice_kernel *k, const struct sluice_kernel_hop *hop)
{
	return watched_find(k, hop) != NULL;
}

void sluice_kernel_watch_notice(struct sluice_kernel *k, const struct sluice_kernel_hop *hop)
{
	struct sluice_kernel_watched *w = watched_find(k, hop);
	const struct sluice_kernel_neighbour_state *s;
	struct timeval at_once = {0};

	if (w == NULL)
		return;
	s = sluice_kernel_neighbour_state(k, hop);
	if (s != NULL && s->neighbour.usable) {
		// Not probed before its time, but asked for at once when it fails next.
		w->tries = 0;
		w->due = now_ms() + PROBE_MS;
		return;
	}
	// The first failure is answered at once, those that follow at their time.
	if (w->tries > 0)
		return;
	w->due = now_ms();
	event_add(k->tick, &at_once);
}

int sluice_kernel_watch_next_hops(struct sluice_kernel *k, const struct sluice_kernel_hop *hops,
                                  size_t count)
{
	struct sluice_kernel_watched *watched = NULL;
	size_t unique = 0;

	if (count > 0) {
		watched = calloc(count, sizeof(*watched));
		if (watched == NULL)
			return -ENOMEM;
	}
	for (size_t i = 0; i < count; i++)
		watched[i].hop = hops[i];
	if (count > 0)
		qsort(watched, count, sizeof(*watched), hop_compare);
	for (size_t i = 0; i < count; i++) {
		const struct sluice_kernel_watched *old;

		if (unique > 0 && hop_compare(&watched[unique - 1].hop, &watched[i].hop) == 0)
			continue;
		old = watched_find(k, &watched[i].hop);
		watched[unique++] = old != NULL ? *old : watched[i]; // new ones are due at once
	}
	free(k->watched);
	k->watched = watched;
	k->watched_count = unique;
	k->watched_at = 0;
	event_del(k->tick);
	if (unique > 0)
		event_active(k->tick, EV_TIMEOUT, 0);
	return 0;
}

// A request that failed; the next hop is asked for again in its time.
static void failure_read(struct sluice_kernel *k, const struct nlmsghdr *m)
{
	const struct nlmsgerr *failure = nlmsg_data(m);
	int error;

	if (m->nlmsg_type != NLMSG_ERROR || m->nlmsg_len < NLMSG_LENGTH(sizeof(*failure)))
		return;
	error = -failure->error;
	if (error == ENOBUFS && !k->overflow_reported) {
		k->overflow_reported = true;
		log_warning(
		        "the kernel's neighbour table is full: raise "
		        "net.ipv4.neigh.default.gc_thresh3 (and net.ipv6's) above the number of "
		        "next hops");
	}
	// EEXIST: the kernel is at it already, which it does not notify. ENOENT: the entry went
	// while the request was on its way. ENODEV: its link.
	if (error != 0 && error != ENOBUFS && error != EEXIST && error != ENOENT && error != ENODEV)
		log_notice("netlink: asking for a neighbour: %s", strerror(error));
}

static void failures_event(evutil_socket_t fd, short what, void *context)
{
	struct sluice_kernel *k = context;
	ssize_t len;

	(void)what;
	while ((len = recv(fd, k->buffer, sizeof(k->buffer), MSG_DONTWAIT)) > 0) {
		int left = (int)len;

		for (struct nlmsghdr *m = (struct nlmsghdr *)(void *)k->buffer; nlmsg_ok(m, left);
		     m = nlmsg_next(m, &left))
			failure_read(k, m);
	}
}

int sluice_kernel_watch_init(struct sluice_kernel *k)
{
	k->requests = nl_socket_alloc();
	if (k->requests == NULL)
		return -ENOMEM;
	if (nl_connect(k->requests, NETLINK_ROUTE) < 0)
		return errno != 0 ? -errno : -EIO;
	nl_socket_set_nonblocking(k->requests);
	k->failures = event_new(k->base, nl_socket_get_fd(k->requests), EV_READ | EV_PERSIST,
	                        failures_event, k);
	k->tick = evtimer_new(k->base, tick_event, k);
	if (k->failures == NULL || k->tick == NULL || event_add(k->failures, NULL) < 0)
		return -ENOMEM;
	return 0;
}

void sluice_kernel_watch_clear(struct sluice_kernel *k)
{
	if (k->tick != NULL)
		event_free(k->tick);
	if (k->failures != NULL)
		event_free(k->failures);
	if (k->requests != NULL)
		nl_socket_free(k->requests);
	free(k->watched);
}
