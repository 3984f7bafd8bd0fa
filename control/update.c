// SPDX-License-Identifier: BSD-3-Clause
#include "control/update.h"

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "control/address.h"
#include "control/announce.h"
#include "control/compile.h"
#include "control/kernel.h"
#include "control/model.h"
#include "control/state.h"
#include "control/stats.h"
#include "control/steer.h"
#include "dataplane/flow_file.h"
#include "dataplane/hash.h"
#include "dataplane/worker.h"
#include "sluice/log.h"

enum {
	SETTLE_US = 10000, // after a publication: the answers are on their way by then
};

// Somebody who waits for the next publication.
struct waiter {
	sluice_update_done *done;
	void *context;
};

struct sluice_updater {
	struct sluice_update_context with;
	struct sluice_hash_key row_key;
	struct event *due, *settle;
	uint64_t asked_us; // when the first change of the batch came; 0: none waits
	unsigned kernel_changed;
	struct sluice_fib *fib;           // of the kernel's tables as last read
	struct sluice_compiled *compiled; // what the workers have
	size_t waiter_count, waiter_capacity;
	struct waiter *waiters;
};

static uint64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

// ---- the steps

// The FIB follows routes, neighbours and links; without a new one the old one stays.
static void refresh_fib(struct sluice_updater *u)
{
	const unsigned matters =
	        SLUICE_KERNEL_ROUTES | SLUICE_KERNEL_NEIGHBOURS | SLUICE_KERNEL_LINKS;
	struct sluice_fib *fresh;

	if (u->fib && !(u->kernel_changed & matters))
		return;
	fresh = sluice_fib_new(u->with.kernel, u->with.ports, u->with.port_count);
	if (!fresh)
		return;
	sluice_fib_put(u->fib);
	u->fib = fresh;
}

static struct sluice_compiled *compile(struct sluice_updater *u)
{
	struct sluice_compile_input in = {
	        .model = u->with.model,
	        .kernel = u->with.kernel,
	        .ports = u->with.ports,
	        .port_count = u->with.port_count,
	        .row_key = u->row_key,
	        .snat = u->with.snat,
	};

	refresh_fib(u);
	if (!u->fib) {
		errno = ENOMEM;
		return NULL;
	}
	in.fib = u->fib;
	return sluice_compile(&in);
}

static int compare_addresses(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct sluice_address));
}

// Addresses that stay virtual: those of the new set that the old one had.
static void withdraw_old(struct sluice_updater *u, const struct sluice_compiled *fresh)
{
	const struct sluice_steer_sets *now = &fresh->steer;
	const struct sluice_steer_sets *before = &u->compiled->steer;
	struct sluice_address *stay;
	size_t n = 0;

	stay = calloc(now->virtual_address_count + 1, sizeof(*stay));
	if (!stay)
		return; // they go a moment later, with the announcement of the new ones
	for (size_t i = 0; i < now->virtual_address_count; i++)
		if (bsearch(&now->virtual_addresses[i], before->virtual_addresses,
		            before->virtual_address_count, sizeof(*stay), compare_addresses))
			stay[n++] = now->virtual_addresses[i];
	sluice_announce_set(u->with.announce, stay, n);
	free(stay);
}

static bool same_addresses(const struct sluice_steer_sets *a, const struct sluice_steer_sets *b)
{
	return a->virtual_address_count == b->virtual_address_count &&
	       (a->virtual_address_count == 0 ||
	        memcmp(a->virtual_addresses, b->virtual_addresses,
	               a->virtual_address_count * sizeof(struct sluice_address)) == 0);
}

// People want to know since when an endpoint can't be reached.
static void note_reachability(const struct sluice_updater *u, const struct sluice_compiled *before,
                              const struct sluice_compiled *now)
{
	const struct sluice_model *m = u->with.model;

	for (size_t i = 0; i < m->service_count; i++) {
		struct sluice_model_service *s = m->services[i];

		for (size_t k = 0; k < s->endpoint_count; k++) {
			const struct sluice_endpoint *new =
			        sluice_compiled_endpoint(now, &s->endpoints[k]);
			const struct sluice_endpoint *old =
			        before ? sluice_compiled_endpoint(before, &s->endpoints[k]) : NULL;
			bool up = new &&new->adjacency.state == SLUICE_ADJACENCY_READY;
			bool was = old && old->adjacency.state == SLUICE_ADJACENCY_READY;
			const char *why = sluice_compiled_obstacle(now, &s->endpoints[k]);
			char name[SLUICE_ENDPOINT_TEXT];

			if (up == was)
				continue;
			sluice_endpoint_format(&s->endpoints[k].spec.address,
			                       s->endpoints[k].spec.port, name);
			sluice_events_add(&s->events, up ? SLUICE_EVENT_UP : SLUICE_EVENT_DOWN,
			                  "%s: %s", name, up ? "next hop resolved" : why);
			log_info("%s/%s: endpoint %s is %s%s", s->spec.namespace_, s->spec.name,
			         name, up ? "reachable" : "unreachable: ", up ? "" : why);
		}
	}
}

static void publish(struct sluice_updater *u, struct sluice_compiled *fresh)
{
	struct sluice_compiled *old = u->compiled;
	bool readdressed = !old || !same_addresses(&old->steer, &fresh->steer);

	if (u->with.announce && old && readdressed)
		withdraw_old(u, fresh);
	sluice_dataplane_publish(u->with.dataplane, &fresh->snapshot);
	u->compiled = fresh;
	sluice_steer_sync(u->with.steer, &fresh->steer);
	if (u->with.announce && readdressed)
		sluice_announce_set(u->with.announce, fresh->steer.virtual_addresses,
		                    fresh->steer.virtual_address_count);
}

// What no answer has to wait for.
static void follow_up(struct sluice_updater *u, struct sluice_compiled *old)
{
	const struct sluice_compiled *now = u->compiled;
	struct timeval soon = {.tv_usec = SETTLE_US};

	sluice_kernel_watch_next_hops(u->with.kernel, now->hops, now->hop_count);
	note_reachability(u, old, now);
	sluice_compiled_free(old);
	sluice_model_reclaim(u->with.model, now->snapshot.generation);
	sluice_frontends_sweep(&u->with.model->frontends, sluice_model_now_ms());
	if (!evtimer_pending(u->settle, NULL))
		event_add(u->settle, &soon);
}

static void answer(struct sluice_updater *u, const struct sluice_update_result *result)
{
	struct waiter *waiters = u->waiters;
	size_t n = u->waiter_count;

	// A waiter may ask for the next update.
	u->waiters = NULL;
	u->waiter_count = u->waiter_capacity = 0;
	for (size_t i = 0; i < n; i++)
		waiters[i].done(waiters[i].context, result);
	free(waiters);
}

int sluice_update_now(struct sluice_updater *u)
{
	struct sluice_update_result result = {0};
	struct sluice_compiled *old = u->compiled, *fresh = compile(u);

	if (fresh) {
		// Says itself what went wrong.
		int unsaved = sluice_state_save(u->with.state, u->with.model);

		sluice_flow_file_trust(u->with.flows, unsaved == 0);
		if (u->with.snat_flows)
			sluice_flow_file_trust(u->with.snat_flows, unsaved == 0);
		publish(u, fresh);
		u->kernel_changed = 0;
		result.rows_moved = fresh->rows_moved;
	} else {
		result.error = -errno;
		log_error("update to generation %lu not applied: %s", u->with.model->generation,
		          strerror(errno));
	}
	result.generation = sluice_update_generation(u);
	result.applied_us = u->asked_us ? now_us() - u->asked_us : 0;
	u->asked_us = 0;
	if (fresh)
		sluice_stats_published(u->with.stats, &result);
	answer(u, &result);
	if (fresh)
		follow_up(u, old);
	return result.error;
}

static void on_due(evutil_socket_t fd, short what, void *argument)
{
	(void)fd;
	(void)what;
	sluice_update_now(argument);
}

static void on_settle(evutil_socket_t fd, short what, void *argument)
{
	struct sluice_updater *u = argument;

	(void)fd;
	(void)what;
	sluice_state_settle(u->with.state);
}

// ---- asked for

// The rest of this round of the loop comes first, so that what arrived together goes together.
static void schedule(struct sluice_updater *u)
{
	struct timeval at_once = {0};

	if (u->asked_us)
		return;
	u->asked_us = now_us();
	event_add(u->due, &at_once);
}

void sluice_update_request(struct sluice_updater *u, sluice_update_done *done, void *context)
{
	if (done && u->waiter_count == u->waiter_capacity) {
		size_t capacity = u->waiter_capacity ? 2 * u->waiter_capacity : 8;
		void *grown = realloc(u->waiters, capacity * sizeof(*u->waiters));

		if (!grown) {
			done(context, &(struct sluice_update_result){.error = -ENOMEM});
			return;
		}
		u->waiters = grown;
		u->waiter_capacity = capacity;
	}
	if (done)
		u->waiters[u->waiter_count++] = (struct waiter){done, context};
	schedule(u);
}

void sluice_update_kernel_changed(struct sluice_updater *u, unsigned what)
{
	if (u->with.announce && (what & (SLUICE_KERNEL_LINKS | SLUICE_KERNEL_ADDRESSES)))
		sluice_announce_refresh(u->with.announce);
	if (!u->kernel_changed)
		sluice_model_advance(u->with.model);
	u->kernel_changed |= what;
	schedule(u);
}

struct sluice_updater *sluice_updater_new(const struct sluice_update_context *context)
{
	struct sluice_updater *u = calloc(1, sizeof(*u));

	if (!u)
		return NULL;
	u->with = *context;
	sluice_hash_key_expand(&u->row_key, context->seed);
	u->due = evtimer_new(context->base, on_due, u);
	u->settle = evtimer_new(context->base, on_settle, u);
	if (!u->due || !u->settle) {
		sluice_updater_free(u);
		errno = ENOMEM;
		return NULL;
	}
	return u;
}

void sluice_updater_free(struct sluice_updater *u)
{
	if (!u)
		return;
	if (u->due)
		event_free(u->due);
	if (u->settle)
		event_free(u->settle);
	sluice_compiled_free(u->compiled);
	sluice_fib_put(u->fib);
	free(u->waiters);
	free(u);
}

uint64_t sluice_update_generation(const struct sluice_updater *u)
{
	return u->compiled ? u->compiled->snapshot.generation : 0;
}

const char *sluice_update_obstacle(const struct sluice_updater *u,
                                   const struct sluice_model_endpoint *e)
{
	return u->compiled ? sluice_compiled_obstacle(u->compiled, e) : "nothing published";
}
