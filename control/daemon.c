// SPDX-License-Identifier: BSD-3-Clause

// Start-up order, and why:
//
//   signals          kept until all stands: a start is finished, and then stopped cleanly
//   state            locked first: a second daemon of the same state stops here
//   kernel mirror    routes and neighbours are known before the first packet
//   steering guard   where a killed process left its program, service traffic stays dropped
//   EAL, ports       the driver attaches the new program, with empty maps
//   flow table       flows of the process before
//   first update     model -> workers -> steering maps -> addresses on lo
//   workers          they find a snapshot
//   guard released   the maps are filled: workers have the traffic
//   sockets          who gets an answer is served
//
// Stopping is the reverse.

#include "control/daemon.h"

#include <errno.h>
#include <event2/event.h>
#include <libgen.h>
#include <rte_cycles.h>
#include <rte_version.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>
#include <time.h>
#include <unistd.h>

#include "control/announce.h"
#include "control/api.h"
#include "control/compile.h"
#include "control/fib.h"
#include "control/kernel.h"
#include "control/link_watch.h"
#include "control/metrics_server.h"
#include "control/model.h"
#include "control/ports.h"
#include "control/slow_path.h"
#include "control/snat.h"
#include "control/state.h"
#include "control/stats.h"
#include "control/steer.h"
#include "control/update.h"
#include "dataplane/eal.h"
#include "dataplane/flow_file.h"
#include "dataplane/numa.h"
#include "dataplane/port.h"
#include "dataplane/worker.h"
#include "sluice/log.h"

enum {
	DRAIN_MS = 5, // how long a packet may wait to be handed to the kernel
	SIGNALS = 3,
};

struct sluice_daemon {
	struct sluice_daemon_options options;
	struct sluice_config config;
	struct event_base *base;
	struct event *signals[SIGNALS];
	struct event *drain_timer, *second_timer;

	struct sluice_state state;
	bool state_open;
	struct sluice_model model;
	struct sluice_kernel *kernel;
	struct sluice_slow_path *slow_path;
	struct sluice_steer *steer;
	struct sluice_announce *announce;

	struct sluice_numa numa;
	uint64_t nodes; // of memory, that the ports are on
	struct sluice_eal eal;
	bool eal_started;
	unsigned port_count; // opened
	struct sluice_port ports[SLUICE_PORTS_MAX];
	struct sluice_flow_file flow_file, snat_file;
	bool flows_open, snat_open;
	struct sluice_dataplane *dataplane;

	struct sluice_stats_source source;
	struct sluice_stats stats;
	struct sluice_link_watch links;
	struct sluice_updater *updater;
	struct sluice_api *api;
	struct sluice_metrics_server *metrics;
};

static void log_refusal(const struct sluice_error *e)
{
	char text[1024];

	log_error("%s", sluice_error_format(e, text, sizeof(text)));
}

// ---- what the statistics ask

static bool port_link(void *context, size_t port, struct sluice_port_link *out)
{
	struct sluice_daemon *d = context;
	const struct sluice_port *p = &d->ports[port];
	struct sluice_port_losses losses = {0};

	out->up = sluice_port_link_up(p);
	memcpy(out->mac, p->mac, sizeof(out->mac));
	out->mtu = p->mtu;
	out->member_count = sluice_port_members(p, out->members);
	sluice_port_losses(p, &losses);
	out->missed = losses.missed;
	out->errors = losses.errors;
	return true;
}

static const char *obstacle(void *context, const struct sluice_model_endpoint *e)
{
	const struct sluice_daemon *d = context;

	return sluice_update_obstacle(d->updater, e);
}

static bool announced(void *context, const struct sluice_address *vip)
{
	const struct sluice_daemon *d = context;

	return sluice_kernel_address_find(d->kernel, 0, vip) != NULL;
}

static uint64_t cycles(void *context)
{
	(void)context;
	return rte_get_tsc_cycles();
}

static uint32_t flow_now(void *context)
{
	struct timespec t;

	(void)context;
	clock_gettime(CLOCK_BOOTTIME, &t);
	return (uint32_t)t.tv_sec;
}

static uint64_t generation(void *context)
{
	const struct sluice_daemon *d = context;

	return sluice_update_generation(d->updater);
}

static struct sluice_stats_port stats_port(const struct sluice_daemon *d, unsigned i)
{
	const struct sluice_config_port *c = &d->config.ports[i];
	const struct sluice_port *p = &d->ports[i];
	bool steered = p->kind == SLUICE_PORT_AF_XDP;

	return (struct sluice_stats_port){
	        .name = p->name,
	        .queues = p->rx_queues,
	        .device = c->device,
	        .interface = steered ? c->argument : c->interface,
	        .af_xdp = !steered       ? NULL
	                  : p->zero_copy ? "zero-copy"
	                                 : "copy",
	};
}

static void fill_source(struct sluice_daemon *d)
{
	struct sluice_stats_source *s = &d->source;

	s->context = d;
	s->dpdk_version = rte_version();
	s->started = time(NULL);
	s->hugepages = d->eal.hugepages;
	s->memory_bytes = d->eal.memory;
	s->flows_on_hugepages = d->flow_file.hugepages;
	s->announce = d->config.announce;
	s->control_core = d->eal.main_core;
	s->cores_configured = d->config.workers.core_count;
	s->seed = d->config.cluster.seed ? d->config.cluster.seed : d->state.seed;
	s->port_count = d->port_count;
	for (unsigned i = 0; i < d->port_count; i++)
		s->ports[i] = stats_port(d, i);
	s->worker_count = sluice_dataplane_worker_count(d->dataplane);
	for (unsigned i = 0; i < s->worker_count; i++)
		s->workers[i] = (struct sluice_stats_worker){
		        .core = d->eal.worker_cores[i],
		        .counters = sluice_dataplane_counters(d->dataplane, i),
		        .endpoints = sluice_dataplane_endpoint_counters(d->dataplane, i),
		        .endpoint_count = SLUICE_ENDPOINTS_MAX,
		};
	s->drained = sluice_dataplane_drained(d->dataplane);
	s->flows = &d->flow_file.table;
	s->snat = d->snat_open ? &d->snat_file.snat : NULL;
	s->snat_pool = &d->config.snat;
	s->cycles_per_second = rte_get_tsc_hz();
	s->port_link = port_link;
	s->obstacle = obstacle;
	s->announced = announced;
	s->cycles = cycles;
	s->flow_now = flow_now;
	s->generation = generation;
}

// ---- events

static int send_slowly(void *context, const void *packet, size_t length)
{
	struct sluice_daemon *d = context;
	int error = sluice_slow_path_send(d->slow_path, packet, length);

	if (error)
		log_debug("packet not handed to the kernel: %s", strerror(-error));
	return error;
}

static void on_drain(evutil_socket_t fd, short what, void *argument)
{
	struct sluice_daemon *d = argument;

	(void)fd;
	(void)what;
	sluice_dataplane_drain(d->dataplane, send_slowly, d);
}

static void follow_faces(struct sluice_daemon *d)
{
	for (unsigned i = 0; i < d->port_count; i++) {
		const struct sluice_kernel_link *face;

		if (!d->ports[i].has_face)
			continue;
		face = sluice_kernel_link_find(d->kernel, (uint32_t)d->ports[i].ifindex);
		if (face && face->up)
			sluice_port_face_follow(&d->ports[i], face->mtu, face->running);
	}
}

static void on_second(evutil_socket_t fd, short what, void *argument)
{
	struct sluice_daemon *d = argument;

	(void)fd;
	(void)what;
	sluice_stats_sample(&d->stats);
	sluice_link_watch_look(&d->links, &d->source);
	follow_faces(d);
}

static void on_kernel_changed(void *context, unsigned what)
{
	struct sluice_daemon *d = context;

	if (d->updater)
		sluice_update_kernel_changed(d->updater, what);
}

static void on_stop(evutil_socket_t fd, short what, void *argument)
{
	struct sluice_daemon *d = argument;

	(void)fd;
	(void)what;
	event_base_loopbreak(d->base);
}

// 1 where something changed, 0 where not, or -EINVAL.
static int load_services(struct sluice_daemon *d, const struct sluice_config *config,
                         struct sluice_error *e)
{
	const struct sluice_edit edit = {.kind = SLUICE_EDIT_FILE, .changes = &config->changes};

	return sluice_model_apply(&d->model, &edit, e);
}

static struct sluice_flow_timeouts timeouts(const struct sluice_config *config)
{
	const struct sluice_config_timeouts *t = &config->flows.timeouts;

	return (struct sluice_flow_timeouts){.seconds = {
	                                             [SLUICE_FLOW_PROBATION] = t->tcp_syn,
	                                             [SLUICE_FLOW_ESTABLISHED] = t->tcp_established,
	                                             [SLUICE_FLOW_CLOSING] = t->tcp_fin,
	                                             [SLUICE_FLOW_UDP] = t->udp,
	                                     }};
}

static int reload(struct sluice_daemon *d, struct sluice_error *e)
{
	uint64_t started = rte_get_tsc_cycles();
	struct sluice_config fresh;
	struct sluice_flow_timeouts t;
	int changed, error;

	if (sluice_config_load(d->options.config_path, &fresh, e) != 0)
		return -EINVAL;
	t = timeouts(&fresh);
	changed = load_services(d, &fresh, e);
	sluice_config_clear(&fresh);
	if (changed < 0)
		return changed;
	sluice_flow_table_set_timeouts(&d->flow_file.table, &t);
	sluice_flow_timeouts_set(&d->snat_file.snat.timeouts, &t);
	error = sluice_update_now(d->updater);
	if (error)
		return sluice_error_set(e, 503, "not_applied", NULL, "services not in use yet: %s",
		                        strerror(-error));
	if (changed)
		sluice_stats_sync_applied(&d->stats, (rte_get_tsc_cycles() - started) * 1000000 /
		                                             rte_get_tsc_hz());
	return 0;
}

// The services and the time-outs follow the file; what else it says needs a restart.
static void on_reload(evutil_socket_t fd, short what, void *argument)
{
	struct sluice_daemon *d = argument;
	struct sluice_error e = {0};

	(void)fd;
	(void)what;
	sd_notify(0, "RELOADING=1");
	if (reload(d, &e) == 0) {
		log_notice("%s reloaded: services and time-outs; ports, workers, memory, SNAT "
		           "addresses and sockets change at the next start",
		           d->options.config_path);
	} else {
		sluice_stats_sync_refused(&d->stats, e.status);
		log_refusal(&e);
		log_error("%s not reloaded: everything stays as it was", d->options.config_path);
	}
	sd_notify(0, "READY=1");
}

static struct event *add_timer(struct sluice_daemon *d, event_callback_fn callback, long ms)
{
	struct timeval interval = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};
	struct event *e = event_new(d->base, -1, EV_PERSIST, callback, d);

	if (e)
		event_add(e, &interval);
	return e;
}

static int add_signals(struct sluice_daemon *d)
{
	static const struct {
		int number;
		event_callback_fn callback;
	} signals[SIGNALS] = {{SIGTERM, on_stop}, {SIGINT, on_stop}, {SIGHUP, on_reload}};

	signal(SIGPIPE, SIG_IGN); // a client that went away is no reason to stop
	for (unsigned i = 0; i < SIGNALS; i++) {
		d->signals[i] = evsignal_new(d->base, signals[i].number, signals[i].callback, d);
		if (!d->signals[i])
			return -ENOMEM;
		event_add(d->signals[i], NULL);
	}
	return 0;
}

static int add_timers(struct sluice_daemon *d)
{
	d->drain_timer = add_timer(d, on_drain, DRAIN_MS);
	d->second_timer = add_timer(d, on_second, 1000);
	return d->drain_timer && d->second_timer ? 0 : -ENOMEM;
}

// ---- start, in steps

static int start_state(struct sluice_daemon *d)
{
	struct sluice_model_hooks hooks = {
	        .context = &d->stats,
	        .read_slot = sluice_stats_read_slot,
	        .free_compiled = sluice_compile_forget,
	};
	struct sluice_error e = {0};
	int error;

	d->base = event_base_new();
	error = d->base ? add_signals(d) : -ENOMEM;
	if (!error)
		error = sluice_model_init(&d->model, &hooks);
	if (error)
		return error;
	if (d->config.snat.count > 0)
		d->model.snat = &d->config.snat;
	sluice_stats_init(&d->stats, &d->source, &d->model);
	error = sluice_state_open(&d->state, d->config.state.directory, &d->model, &e);
	if (!error) {
		d->state_open = true;
		error = load_services(d, &d->config, &e);
	}
	if (error >= 0)
		error = sluice_model_settle(&d->model, &e);
	if (error < 0)
		log_refusal(&e);
	return error < 0 ? error : 0;
}

static int start_kernel(struct sluice_daemon *d)
{
	d->kernel = sluice_kernel_new(d->base, on_kernel_changed, d);
	d->slow_path = d->kernel ? sluice_slow_path_new() : NULL;
	d->steer = d->slow_path ? sluice_steer_new() : NULL;
	if (d->steer && d->config.announce)
		d->announce = sluice_announce_new(d->kernel, d->config.announce);
	if (!d->steer || (d->config.announce && !d->announce)) {
		log_error("kernel's tables not read: %s (is this root, with CAP_NET_ADMIN and "
		          "CAP_NET_RAW?)",
		          strerror(errno));
		return errno ? -errno : -ENOMEM;
	}
	return d->config.snat.count > 0 ? sluice_snat_check_host(&d->config.snat, d->kernel) : 0;
}

static int start_eal(struct sluice_daemon *d, struct sluice_eal_memory *memory)
{
	const struct sluice_config *c = &d->config;
	unsigned cores[SLUICE_WORKERS_MAX];
	struct sluice_cards cards;
	struct sluice_eal_config eal = {
	        .program = "sluiced",
	        .worker_cores = cores,
	        .worker_core_count = c->workers.core_count,
	        .hugepages = (enum sluice_hugepages)c->memory.hugepages,
	        .log_level = d->options.log_level > SLUICE_LOG_WARNING ? SLUICE_LOG_WARNING
	                                                               : d->options.log_level,
	        .pci = cards.bdf,
	        .extra = d->options.eal_arguments,
	        .extra_count = d->options.eal_argument_count,
	};
	int error = sluice_ports_check(c, memory, &eal.worker_limit);

	if (!error)
		error = sluice_ports_cards(c, &cards);
	if (error)
		return error;
	sluice_numa_read(&d->numa, "");
	d->nodes = sluice_ports_nodes(c, &d->numa);
	eal.numa = &d->numa;
	eal.nodes = d->nodes;
	eal.pci_count = cards.count;
	for (size_t i = 0; i < c->workers.core_count; i++)
		cores[i] = c->workers.cores[i];
	error = sluice_eal_cores(&eal, &d->eal);
	if (error)
		return error;
	if (c->workers.core_count > d->eal.worker_count)
		log_notice("%u of %zu worker cores used: a port has only %u queue%s",
		           d->eal.worker_count, c->workers.core_count, eal.worker_limit,
		           eal.worker_limit == 1 ? "" : "s");
	memory->workers = d->eal.worker_count;
	memory->tables = sluice_fib_memory(sluice_kernel_route_count(d->kernel) +
	                                   sluice_kernel_neighbour_count(d->kernel));
	eal.memory = sluice_eal_memory_estimate(memory);
	error = sluice_eal_start(&eal, &d->eal);
	d->eal_started = error == 0;
	return error;
}

static int start_port(struct sluice_daemon *d, unsigned i, struct rte_mempool *pool)
{
	struct sluice_port_config port = sluice_ports_config(&d->config, i, &d->numa);
	bool steered = port.kind == SLUICE_PORT_AF_XDP;
	int error = steered ? sluice_steer_prepare(d->steer, port.device) : 0;

	if (!error)
		error = sluice_port_open(&d->ports[i], i, &port, pool, d->eal.worker_count,
		                         !d->eal.hugepages);
	if (error)
		return error;
	d->port_count++;
	return steered ? sluice_steer_attach(d->steer, port.device) : 0;
}

static int start_ports(struct sluice_daemon *d, const struct sluice_eal_memory *memory)
{
	struct rte_mempool *pool = sluice_port_pool_new(
	        sluice_eal_buffers(memory->queues, memory->workers), memory->frame,
	        sluice_ports_have_cards(&d->config), sluice_numa_first(d->nodes));
	int error = pool ? 0 : -ENOMEM;

	for (unsigned i = 0; !error && i < d->config.port_count; i++)
		error = start_port(d, i, pool);
	return error;
}

static const struct sluice_snat_pool *snat_pool(const struct sluice_daemon *d)
{
	return d->config.snat.count > 0 ? &d->config.snat : NULL;
}

// Beside the socket: the runtime directory is a tmpfs where the system has one.
static int open_flows(struct sluice_daemon *d, struct sluice_flow_file *f,
                      const struct sluice_snat_pool *snat)
{
	char *path = strdup(d->config.control.socket);
	struct sluice_flow_file_options options = {
	        .snat = snat,
	        .hugepages = d->config.memory.hugepages != SLUICE_HUGEPAGES_OFF,
	        .capacity = d->config.flows.capacity,
	        .epoch = d->state.epoch,
	        .now = flow_now(d),
	        .timeouts = timeouts(&d->config),
	};
	int error;

	if (!path)
		return -ENOMEM;
	options.directory = dirname(path);
	if (mkdir(options.directory, 0755) != 0 && errno != EEXIST)
		log_warning("%s not made: %s", options.directory, strerror(errno));
	error = sluice_flow_file_open(f, &options);
	if (error)
		log_error("flow table in %s not opened: %s", options.directory, strerror(-error));
	free(path);
	if (error)
		return error;
	log_info("flow table %s: %s", f->path, sluice_flow_origin_text(f->origin));
	if (f->lost > 0)
		log_warning("%lu flows found no room in the flow table", f->lost);
	if (f->disk)
		log_warning("%s is on a disk: write-back will stall the workers at times; put "
		            "control.socket into a directory on a tmpfs",
		            f->path);
	return 0;
}

static int start_flows(struct sluice_daemon *d)
{
	const struct sluice_snat_pool *snat = snat_pool(d);
	int error = open_flows(d, &d->flow_file, NULL);

	d->flows_open = error == 0;
	if (!error && snat) {
		error = open_flows(d, &d->snat_file, snat);
		d->snat_open = error == 0;
	}
	return error;
}

static int start_dataplane(struct sluice_daemon *d)
{
	struct sluice_dataplane_config c = {
	        .ports = d->ports,
	        .port_count = d->port_count,
	        .lcores = d->eal.worker_lcores,
	        .nodes = d->eal.worker_nodes,
	        .worker_count = d->eal.worker_count,
	        .idle_poll = d->config.workers.idle == SLUICE_IDLE_POLL,
	        .flows = &d->flow_file.table,
	        .snat = d->snat_open ? &d->snat_file.snat : NULL,
	};
	struct sluice_update_context update = {
	        .base = d->base,
	        .model = &d->model,
	        .kernel = d->kernel,
	        .state = &d->state,
	        .stats = &d->stats,
	        .steer = d->steer,
	        .announce = d->announce,
	        .flows = &d->flow_file,
	        .snat = snat_pool(d),
	        .snat_flows = d->snat_open ? &d->snat_file : NULL,
	        .ports = d->ports,
	        .port_count = d->port_count,
	        .seed = d->config.cluster.seed ? d->config.cluster.seed : d->state.seed,
	};
	int error;

	d->dataplane = sluice_dataplane_new(&c);
	if (!d->dataplane)
		return -errno;
	fill_source(d);
	update.dataplane = d->dataplane;
	d->updater = sluice_updater_new(&update);
	if (!d->updater)
		return -errno;
	error = sluice_update_now(d->updater);
	if (!error)
		error = sluice_dataplane_start(d->dataplane);
	if (error)
		return error;
	d->source.applied = true;
	sluice_steer_release(d->steer);
	return 0;
}

// Programs on the control thread's core would each have their time slice in the middle of a push.
// It works for milliseconds and then sleeps, so they lose little. The workers, which may not sleep,
// keep what priority they were started with.
static void hurry(void)
{
	errno = 0;
	if (nice(-10) == -1 && errno)
		log_debug("no higher priority for the control thread: %s", strerror(errno));
}

static int start_servers(struct sluice_daemon *d)
{
	struct sluice_api_context context = {
	        .base = d->base,
	        .model = &d->model,
	        .updater = d->updater,
	        .stats = &d->stats,
	        .state = &d->state,
	};
	struct sluice_api_config api = {
	        .socket = d->config.control.socket,
	        .mode = d->config.control.mode,
	        .group = d->config.control.group,
	};
	struct sluice_error e = {0};

	d->api = sluice_api_new(&context, &api, &e);
	if (d->api)
		d->metrics =
		        sluice_metrics_server_new(d->base, d->config.metrics.text, &d->stats, &e);
	if (!d->metrics) {
		log_refusal(&e);
		return -EINVAL;
	}
	return add_timers(d);
}

static int start(struct sluice_daemon *d)
{
	struct sluice_eal_memory memory = {0};
	int error = start_state(d);

	if (!error)
		error = start_kernel(d);
	if (!error)
		error = start_eal(d, &memory);
	if (!error)
		error = start_ports(d, &memory);
	if (!error)
		error = start_flows(d);
	if (!error)
		error = start_dataplane(d);
	if (!error)
		error = start_servers(d);
	if (!error)
		hurry(); // the workers' threads exist by now, and don't inherit it
	return error;
}

struct sluice_daemon *sluice_daemon_start(const struct sluice_daemon_options *options,
                                          struct sluice_config *config)
{
	struct sluice_daemon *d = calloc(1, sizeof(*d));
	int error;

	if (!d) {
		sluice_config_clear(config);
		return NULL;
	}
	d->options = *options;
	d->config = *config;
	error = start(d);
	if (error) {
		log_error("not started: %s", strerror(-error));
		sluice_daemon_stop(d);
		return NULL;
	}
	log_notice("ready: %u port%s, %u worker%s, %zu service%s, hugepages %s", d->port_count,
	           d->port_count == 1 ? "" : "s", d->eal.worker_count,
	           d->eal.worker_count == 1 ? "" : "s", d->model.service_count,
	           d->model.service_count == 1 ? "" : "s",
	           d->eal.hugepages ? "in use" : "not used");
	sd_notify(0, "READY=1");
	return d;
}

void sluice_daemon_run(struct sluice_daemon *d)
{
	event_base_dispatch(d->base);
	log_notice("stopping");
	sd_notify(0, "STOPPING=1");
}

void sluice_daemon_stop(struct sluice_daemon *d)
{
	for (unsigned i = 0; i < SIGNALS; i++)
		if (d->signals[i])
			event_free(d->signals[i]);
	if (d->drain_timer)
		event_free(d->drain_timer);
	if (d->second_timer)
		event_free(d->second_timer);
	sluice_metrics_server_free(d->metrics);
	sluice_api_free(d->api);
	// A start that failed leaves the addresses: they are another sluiced's, or what a killed
	// one left for the next start.
	if (d->announce && d->source.applied)
		sluice_announce_withdraw(d->announce);
	sluice_dataplane_free(d->dataplane);
	for (unsigned i = 0; i < d->port_count; i++)
		sluice_port_close(&d->ports[i]);
	sluice_updater_free(d->updater);
	if (d->flows_open)
		sluice_flow_file_close(&d->flow_file);
	if (d->snat_open)
		sluice_flow_file_close(&d->snat_file);
	if (d->state_open)
		sluice_state_close(&d->state);
	sluice_announce_free(d->announce);
	sluice_steer_free(d->steer);
	sluice_slow_path_free(d->slow_path);
	sluice_kernel_free(d->kernel);
	sluice_stats_free(&d->stats);
	sluice_model_free(&d->model);
	if (d->eal_started)
		sluice_eal_stop();
	if (d->base)
		event_base_free(d->base);
	sluice_config_clear(&d->config);
	free(d);
}
