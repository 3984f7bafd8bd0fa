// SPDX-License-Identifier: BSD-3-Clause
#include "control/steer.h"

#include <errno.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "control/key_set.h"
#include "control/steer_takeover.h"
#include "dataplane/steer_maps.h"
#include "sluice/log.h"

struct steer_interface {
	char name[IF_NAMESIZE];
	int ifindex;
	int lock; // an abstract socket: ours for as long as we live
	bool attached;
	uint32_t program;
	uint8_t mac[6]; // as the program knows it
	bool uncertain; // a call failed: the maps may lack some of what held says
	int maps[STEER_SETS];
	struct sluice_key_set held[STEER_SETS];
};

struct sluice_steer {
	struct steer_interface interfaces[SLUICE_PORTS_MAX];
	size_t count;
};

// libbpf's lines, the driver's loading of the program included.
__attribute__((format(printf, 2, 0))) static int print(enum libbpf_print_level level,
                                                       const char *format, va_list arguments)
{
	char line[1024];

	if (level == LIBBPF_DEBUG)
		return 0;
	vsnprintf(line, sizeof(line), format, arguments);
	line[strcspn(line, "\n")] = 0;
	if (level == LIBBPF_WARN)
		log_warning("%s", line);
	else
		log_debug("%s", line);
	return 0;
}

struct sluice_steer *sluice_steer_new(void)
{
	libbpf_set_print(print);
	return calloc(1, sizeof(struct sluice_steer));
}

void sluice_steer_free(struct sluice_steer *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < s->count; i++) {
		struct steer_interface *n = &s->interfaces[i];

		sluice_steer_maps_close(n->maps);
		for (unsigned set = 0; set < STEER_SETS; set++)
			sluice_key_set_clear(&n->held[set]);
		close(n->lock);
	}
	free(s);
}

static struct steer_interface *interface_find(struct sluice_steer *s, const char *name)
{
	for (size_t i = 0; i < s->count; i++) {
		if (strcmp(s->interfaces[i].name, name) == 0)
			return &s->interfaces[i];
	}
	return NULL;
}

// Abstract socket names are the network namespace's, and go with the process however it ends.
static int interface_lock(const char *name, int ifindex)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int length = snprintf(a.sun_path + 1, sizeof(a.sun_path) - 1, "sluice/steer/%d", ifindex);
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int r;

	if (fd < 0)
		return -errno;
	if (bind(fd, (struct sockaddr *)&a,
	         (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)length)) == 0)
		return fd;
	r = errno == EADDRINUSE ? -EBUSY : -errno;
	if (r == -EBUSY)
		log_error("%s: another running sluiced has this interface; stop it first", name);
	close(fd);
	return r;
}

// Nothing attached when this returns 0, and a guard if something of ours was.
static int interface_clear(const char *name, int ifindex)
{
	struct steer_program stale;
	int r = sluice_steer_program_find(ifindex, &stale);

	if (r == -EPERM) {
		log_error("%s: not permitted to look at its XDP program: run as root, or with "
		          "CAP_SYS_ADMIN, CAP_NET_ADMIN and CAP_NET_RAW",
		          name);
		return r;
	}
	if (r < 0)
		log_error("%s: cannot look at its XDP program: %s", name, strerror(-r));
	if (r < 0 || stale.id == 0)
		return r;
	if (strcmp(stale.name, STEER_PROGRAM) != 0) {
		log_error("%s: the XDP program '%s' (id %u) is attached: stop who put it there, or "
		          "remove it with `ip link set dev %s xdp off` (xdpgeneric off for "
		          "generic mode)",
		          name, stale.name, stale.id, name);
		return -EBUSY;
	}
	log_notice("%s: taking over from a process that was killed", name);
	r = sluice_steer_guard_take_over(ifindex, &stale);
	if (r < 0)
		log_error("%s: cannot detach the XDP program of a killed process: %s", name,
		          strerror(-r));
	return r;
}

int sluice_steer_prepare(struct sluice_steer *s, const char *interface)
{
	int ifindex = (int)if_nametoindex(interface);
	struct steer_interface *n;
	int lock, r;

	if (ifindex == 0) {
		log_error("%s: no such network interface", interface);
		return -ENODEV;
	}
	if (s->count == SLUICE_PORTS_MAX)
		return -ENOSPC;
	lock = interface_lock(interface, ifindex);
	if (lock < 0)
		return lock;
	r = interface_clear(interface, ifindex);
	if (r < 0) {
		close(lock);
		return r;
	}
	n = &s->interfaces[s->count++];
	*n = (struct steer_interface){.ifindex = ifindex, .lock = lock};
	snprintf(n->name, sizeof(n->name), "%s", interface);
	for (unsigned set = 0; set < STEER_SETS; set++) {
		n->maps[set] = -1;
		n->held[set].size = sluice_steer_set_kinds[set].key_size;
	}
	return 0;
}

// Tells the program whose frames are ours, where that changed: an interface may get another address
// while we run.
static int mac_follow(struct steer_interface *n)
{
	struct ifreq request = {};
	const uint8_t *mac = (const uint8_t *)request.ifr_hwaddr.sa_data;
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int r = 0;

	if (fd < 0)
		return -errno;
	if (!if_indextoname((unsigned)n->ifindex, request.ifr_name) ||
	    ioctl(fd, SIOCGIFHWADDR, &request) < 0)
		r = -errno;
	close(fd);
	if (r < 0 || request.ifr_hwaddr.sa_family != ARPHRD_ETHER ||
	    memcmp(n->mac, mac, sizeof(n->mac)) == 0)
		return r;
	r = sluice_steer_program_mac(n->program, mac);
	if (r == 0)
		memcpy(n->mac, mac, sizeof(n->mac));
	return r;
}

int sluice_steer_attach(struct sluice_steer *s, const char *interface)
{
	struct steer_interface *n = interface_find(s, interface);
	struct steer_program program;
	int r;

	if (!n)
		return -ENOENT;
	r = sluice_steer_program_find(n->ifindex, &program);
	if (r == 0 && strcmp(program.name, STEER_PROGRAM) != 0)
		r = -ENOENT;
	if (r == 0)
		r = sluice_steer_program_maps(program.id, n->maps);
	n->program = program.id;
	if (r == 0)
		r = mac_follow(n);
	if (r < 0) {
		log_error("%s: no steering program attached: %s", interface, strerror(-r));
		return r;
	}
	n->attached = true;
	return 0;
}

static int map_add(int map, const struct sluice_key_set *keys)
{
	uint32_t count = (uint32_t)keys->count;
	uint8_t *values;
	int r = 0;

	if (count == 0)
		return 0;
	values = malloc(count);
	if (!values)
		return -ENOMEM;
	memset(values, 1, count);
	if (bpf_map_update_batch(map, keys->keys, values, &count, NULL) < 0)
		r = -errno;
	free(values);
	return r;
}

static int map_remove(int map, const struct sluice_key_set *keys)
{
	size_t done = 0;

	while (done < keys->count) {
		uint32_t count = (uint32_t)(keys->count - done);

		if (bpf_map_delete_batch(map, &keys->keys[done * keys->size], &count, NULL) == 0)
			return 0;
		if (errno != ENOENT)
			return -errno;
		done += (size_t)count + 1; // a key that an earlier failure kept out
	}
	return 0;
}

static int interface_add(struct steer_interface *n, const struct sluice_key_set *want)
{
	for (unsigned set = 0; set < STEER_SETS; set++) {
		struct sluice_key_set missing;
		struct sluice_key_set none = {.size = want[set].size};
		int r = sluice_key_set_difference(&missing, &want[set],
		                                  n->uncertain ? &none : &n->held[set]);

		if (r < 0)
			return r;
		// Remembered before it is done, so that half of it can be removed again.
		r = sluice_key_set_merge(&n->held[set], &missing);
		if (r == 0)
			r = map_add(n->maps[set], &missing);
		sluice_key_set_clear(&missing);
		if (r < 0)
			return r;
	}
	return 0;
}

static int interface_remove(struct steer_interface *n, const struct sluice_key_set *want)
{
	for (unsigned set = STEER_SETS; set-- > 0;) {
		struct sluice_key_set extra, kept;
		int r = sluice_key_set_difference(&extra, &n->held[set], &want[set]);

		if (r < 0)
			return r;
		r = sluice_key_set_difference(&kept, &n->held[set], &extra);
		if (r == 0 && extra.count > 0)
			r = map_remove(n->maps[set], &extra);
		sluice_key_set_clear(&extra);
		if (r < 0) {
			sluice_key_set_clear(&kept);
			return r;
		}
		sluice_key_set_clear(&n->held[set]);
		n->held[set] = kept;
	}
	return 0;
}

static int wanted_build(struct sluice_key_set *want, const struct sluice_steer_sets *sets)
{
	const struct {
		const void *keys;
		size_t count;
	} of[STEER_SETS] = {
	        [STEER_SET_LOCAL_ADDRESSES] = {sets->local_addresses, sets->local_address_count},
	        [STEER_SET_SNAT_ADDRESSES] = {sets->snat_addresses, sets->snat_address_count},
	        [STEER_SET_VIRTUAL_ADDRESSES] = {sets->virtual_addresses,
	                                         sets->virtual_address_count},
	        [STEER_SET_RETURN_ADDRESSES] = {sets->return_addresses, sets->return_address_count},
	        [STEER_SET_VIRTUAL_TARGETS] = {sets->virtual_targets, sets->virtual_target_count},
	        [STEER_SET_RETURN_TARGETS] = {sets->return_targets, sets->return_target_count},
	        [STEER_SET_SNAT_TARGETS] = {sets->snat_targets, sets->snat_target_count},
	};

	for (unsigned set = 0; set < STEER_SETS; set++) {
		int r = sluice_key_set_build(&want[set], of[set].keys, of[set].count,
		                             sluice_steer_set_kinds[set].key_size);
		if (r < 0)
			return r;
	}
	return 0;
}

static int interface_sync(struct steer_interface *n, const struct sluice_key_set *want)
{
	int r = interface_add(n, want);

	if (r == -E2BIG) { // full: what is too much has to go first
		n->uncertain = true;
		r = interface_remove(n, want);
		if (r == 0)
			r = interface_add(n, want);
	}
	if (r == 0)
		r = interface_remove(n, want);
	n->uncertain = r < 0;
	return r;
}

int sluice_steer_sync(struct sluice_steer *s, const struct sluice_steer_sets *sets)
{
	struct sluice_key_set want[STEER_SETS] = {};
	int result = wanted_build(want, sets);

	for (size_t i = 0; i < s->count && result != -ENOMEM; i++) {
		struct steer_interface *n = &s->interfaces[i];
		int r;

		if (!n->attached)
			continue;
		r = mac_follow(n);
		if (r < 0 && r != -ENXIO && r != -ENODEV) // gone: its port is down
			log_warning("%s: its address is not known to the steering program: %s",
			            n->name, strerror(-r));
		if (sets->snat_address_count > 0)
			r = sluice_steer_program_snat(n->program, sets->snat_first_port,
			                              sets->snat_last_port);
		if (r == 0 || sets->snat_address_count == 0)
			r = interface_sync(n, want);
		if (r < 0) {
			log_error("%s: steering maps not updated: %s", n->name,
			          r == -E2BIG ? "one is full" : strerror(-r));
			result = r;
		}
	}
	for (unsigned set = 0; set < STEER_SETS; set++)
		sluice_key_set_clear(&want[set]);
	return result;
}

void sluice_steer_release(struct sluice_steer *s)
{
	for (size_t i = 0; i < s->count; i++) {
		struct steer_interface *n = &s->interfaces[i];
		uint32_t guard = 0;
		int r = sluice_steer_guard_find(n->ifindex, &guard);

		if (r == 0 && guard)
			r = sluice_steer_guard_remove(n->ifindex);
		if (r < 0 && r != -EEXIST)
			log_error("%s: the guard of the take-over stays and drops service traffic: "
			          "%s; remove it with `tc filter del dev %s ingress pref 1`",
			          n->name, strerror(-r), n->name);
	}
}
