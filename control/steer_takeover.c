// SPDX-License-Identifier: BSD-3-Clause
#include "control/steer_takeover.h"

#include <errno.h>
#include <linux/if_link.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "dataplane/steer_maps.h"
#include "dataplane/steer_object.h"
#include "sluice/log.h"
#include "sluice/types.h"

// Where the guard is on the ingress hook: before all others.
enum {
	GUARD_HANDLE = 0x51c3,
	GUARD_PRIORITY = 1,
};

static_assert(sizeof(struct steer_target) == sizeof(struct sluice_target), "same layout");
static_assert(sizeof(struct steer_address) == sizeof(struct sluice_address), "same layout");
static_assert(offsetof(struct steer_target, port) == offsetof(struct sluice_target, port) &&
                      offsetof(struct steer_target, protocol) ==
                              offsetof(struct sluice_target, protocol) &&
                      offsetof(struct steer_target, family) ==
                              offsetof(struct sluice_target, family),
              "same layout");

const struct steer_set_kind sluice_steer_set_kinds[STEER_SETS] = {
        [STEER_SET_LOCAL_ADDRESSES] = {STEER_LOCAL_ADDRESSES, sizeof(struct steer_address)},
        [STEER_SET_SNAT_ADDRESSES] = {STEER_SNAT_ADDRESSES, sizeof(struct steer_address)},
        [STEER_SET_VIRTUAL_ADDRESSES] = {STEER_VIRTUAL_ADDRESSES, sizeof(struct steer_address)},
        [STEER_SET_RETURN_ADDRESSES] = {STEER_RETURN_ADDRESSES, sizeof(struct steer_address)},
        [STEER_SET_VIRTUAL_TARGETS] = {STEER_VIRTUAL_TARGETS, sizeof(struct steer_target)},
        [STEER_SET_RETURN_TARGETS] = {STEER_RETURN_TARGETS, sizeof(struct steer_target)},
        [STEER_SET_SNAT_TARGETS] = {STEER_SNAT_TARGETS, sizeof(struct steer_target)},
};

// A program's information, the file descriptor still open. Returns it, or -errno.
static int program_open(uint32_t id, struct bpf_prog_info *info)
{
	uint32_t size = sizeof(*info);
	int fd = bpf_prog_get_fd_by_id(id);
	int r;

	if (fd < 0)
		return -errno;
	if (bpf_obj_get_info_by_fd(fd, info, &size) < 0) {
		r = -errno;
		close(fd);
		return r;
	}
	return fd;
}

int sluice_steer_program_find(int ifindex, struct steer_program *program)
{
	struct bpf_prog_info info = {};
	LIBBPF_OPTS(bpf_xdp_query_opts, query);
	int r;

	*program = (struct steer_program){};
	r = bpf_xdp_query(ifindex, 0, &query);
	if (r < 0)
		return r;
	if (query.attach_mode == XDP_ATTACHED_NONE)
		return 0;
	program->flags = query.attach_mode == XDP_ATTACHED_SKB  ? XDP_FLAGS_SKB_MODE
	                 : query.attach_mode == XDP_ATTACHED_HW ? XDP_FLAGS_HW_MODE
	                                                        : XDP_FLAGS_DRV_MODE;
	program->id = query.prog_id ? query.prog_id : query.drv_prog_id;
	r = program_open(program->id, &info);
	if (r < 0)
		return r;
	close(r);
	memcpy(program->name, info.name, sizeof(program->name));
	return 0;
}

void sluice_steer_maps_close(int maps[STEER_SETS])
{
	for (unsigned i = 0; i < STEER_SETS; i++) {
		if (maps[i] >= 0)
			close(maps[i]);
		maps[i] = -1;
	}
}

// Keeps fd in maps if it is one of the sets.
static void map_sort_in(int maps[STEER_SETS], int fd)
{
	struct bpf_map_info info = {};
	uint32_t size = sizeof(info);

	if (bpf_obj_get_info_by_fd(fd, &info, &size) == 0) {
		for (unsigned i = 0; i < STEER_SETS; i++) {
			const struct steer_set_kind *kind = &sluice_steer_set_kinds[i];

			if (maps[i] < 0 && strcmp(info.name, kind->map) == 0 &&
			    info.key_size == kind->key_size && info.value_size == 1) {
				maps[i] = fd;
				return;
			}
		}
	}
	close(fd);
}

int sluice_steer_program_maps(uint32_t program, int maps[STEER_SETS])
{
	uint32_t ids[16] = {};
	struct bpf_prog_info info = {.nr_map_ids = 16, .map_ids = (uintptr_t)ids};
	int fd = program_open(program, &info);

	for (unsigned i = 0; i < STEER_SETS; i++)
		maps[i] = -1;
	if (fd < 0)
		return fd;
	close(fd);
	for (unsigned i = 0; i < info.nr_map_ids && i < 16; i++) {
		fd = bpf_map_get_fd_by_id(ids[i]);
		if (fd >= 0)
			map_sort_in(maps, fd);
	}
	for (unsigned i = 0; i < STEER_SETS; i++) {
		if (maps[i] < 0) {
			sluice_steer_maps_close(maps);
			return -ENOENT;
		}
	}
	return 0;
}

// A descriptor of the program's map of that name, an array of one. -ENOENT: it has none.
static int program_array(uint32_t program, const char *name, uint32_t value_size)
{
	uint32_t ids[16] = {};
	struct bpf_prog_info info = {.nr_map_ids = 16, .map_ids = (uintptr_t)ids};
	int fd = program_open(program, &info);

	if (fd < 0)
		return fd;
	close(fd);
	for (unsigned i = 0; i < info.nr_map_ids && i < 16; i++) {
		struct bpf_map_info map = {};
		uint32_t size = sizeof(map);

		fd = bpf_map_get_fd_by_id(ids[i]);
		if (fd < 0)
			continue;
		if (bpf_obj_get_info_by_fd(fd, &map, &size) == 0 && strcmp(map.name, name) == 0 &&
		    map.value_size == value_size)
			return fd;
		close(fd);
	}
	return -ENOENT;
}

static int program_value(uint32_t program, const char *name, const void *value, uint32_t value_size)
{
	int fd = program_array(program, name, value_size);
	uint32_t first = 0;
	int r;

	if (fd < 0)
		return fd;
	r = bpf_map_update_elem(fd, &first, value, BPF_ANY) < 0 ? -errno : 0;
	close(fd);
	return r;
}

int sluice_steer_program_mac(uint32_t program, const uint8_t mac[6])
{
	uint64_t value = 0;

	memcpy(&value, mac, 6);
	return program_value(program, STEER_PORT_MAC, &value, sizeof(value));
}

int sluice_steer_program_snat(uint32_t program, uint16_t first_port, uint16_t last_port)
{
	uint32_t value = (uint32_t)first_port << 16 | last_port;

	return program_value(program, STEER_SNAT_PORTS, &value, sizeof(value));
}

int sluice_steer_guard_find(int ifindex, uint32_t *program)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = ifindex, .attach_point = BPF_TC_INGRESS);
	LIBBPF_OPTS(bpf_tc_opts, filter, .handle = GUARD_HANDLE, .priority = GUARD_PRIORITY);
	struct bpf_prog_info info = {};
	libbpf_print_fn_t print;
	int r;

	*program = 0;
	print = libbpf_set_print(NULL); // that there is none is no error
	r = bpf_tc_query(&hook, &filter);
	libbpf_set_print(print);
	if (r == -ENOENT || r == -EINVAL) // no such filter; no clsact
		return 0;
	if (r < 0)
		return r;
	r = program_open(filter.prog_id, &info);
	if (r < 0)
		return r;
	close(r);
	if (strcmp(info.name, STEER_GUARD) != 0)
		return -EEXIST;
	*program = filter.prog_id;
	return 0;
}

int sluice_steer_guard_remove(int ifindex)
{
	// The clsact qdisc stays: others may have come to use it, and it costs nothing.
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = ifindex, .attach_point = BPF_TC_INGRESS);
	LIBBPF_OPTS(bpf_tc_opts, filter, .handle = GUARD_HANDLE, .priority = GUARD_PRIORITY);

	return bpf_tc_detach(&hook, &filter);
}

// The guard's object lies beside the XDP program's: .../steer.bpf.o, .../steer_guard.bpf.o.
static struct bpf_object *guard_open(void)
{
	const char *steer = sluice_steer_object();
	const char *base = steer ? strrchr(steer, '/') : NULL;
	struct bpf_object *guard;
	char *path;

	if (!steer) {
		errno = ENOENT;
		return NULL;
	}
	if (asprintf(&path, "%.*ssteer_guard.bpf.o", base ? (int)(base + 1 - steer) : 0, steer) < 0)
		return NULL;
	guard = bpf_object__open_file(path, NULL);
	free(path);
	return guard;
}

static int guard_load(struct bpf_object *guard, const int maps[STEER_SETS],
                      const struct steer_program *stale)
{
	struct bpf_map *ports = bpf_object__find_map_by_name(guard, STEER_SNAT_PORTS);
	int fd = program_array(stale->id, STEER_SNAT_PORTS, sizeof(uint32_t));
	int error = fd < 0 || !ports ? -ENOENT : bpf_map__reuse_fd(ports, fd);

	if (fd >= 0)
		close(fd);
	if (error)
		return error;
	for (unsigned i = 0; i < STEER_SETS; i++) {
		struct bpf_map *map =
		        bpf_object__find_map_by_name(guard, sluice_steer_set_kinds[i].map);
		int r = map ? bpf_map__reuse_fd(map, maps[i]) : -ENOENT;

		if (r < 0)
			return r;
	}
	return bpf_object__load(guard);
}

static int guard_attach(int ifindex, struct bpf_object *guard)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = ifindex, .attach_point = BPF_TC_INGRESS);
	LIBBPF_OPTS(bpf_tc_opts, filter, .handle = GUARD_HANDLE, .priority = GUARD_PRIORITY);
	struct bpf_program *program = bpf_object__find_program_by_name(guard, STEER_GUARD);
	libbpf_print_fn_t print;
	int r;

	if (!program)
		return -ENOENT;
	print = libbpf_set_print(NULL); // it calls an existing clsact an error
	r = bpf_tc_hook_create(&hook);
	libbpf_set_print(print);
	if (r < 0 && r != -EEXIST)
		return r;
	filter.prog_fd = bpf_program__fd(program);
	return bpf_tc_attach(&hook, &filter);
}

static int guard_create(int ifindex, const int maps[STEER_SETS], const struct steer_program *stale)
{
	struct bpf_object *guard = guard_open();
	int r;

	if (!guard)
		return -errno;
	r = guard_load(guard, maps, stale);
	if (r == 0)
		r = guard_attach(ifindex, guard);
	bpf_object__close(guard);
	return r;
}

static int map_copy(int from, int to)
{
	static const uint8_t one = 1;
	uint8_t key[sizeof(struct steer_target)];
	bool first = true;

	while (bpf_map_get_next_key(from, first ? NULL : key, key) == 0) {
		first = false;
		if (bpf_map_update_elem(to, key, &one, BPF_ANY) < 0)
			return -errno;
	}
	return errno == ENOENT ? 0 : -errno;
}

static int guard_extend(uint32_t guard, const int maps[STEER_SETS])
{
	int have[STEER_SETS];
	int r = sluice_steer_program_maps(guard, have);

	for (unsigned i = 0; i < STEER_SETS && r == 0; i++)
		r = map_copy(maps[i], have[i]);
	sluice_steer_maps_close(have);
	return r;
}

static int guard_ensure(int ifindex, const struct steer_program *stale)
{
	int maps[STEER_SETS];
	uint32_t guard;
	int r = sluice_steer_guard_find(ifindex, &guard);

	if (r < 0)
		return r;
	r = sluice_steer_program_maps(stale->id, maps);
	if (r < 0)
		return r;
	r = guard ? guard_extend(guard, maps) : guard_create(ifindex, maps, stale);
	sluice_steer_maps_close(maps);
	return r;
}

static int program_detach(int ifindex, const struct steer_program *program)
{
	LIBBPF_OPTS(bpf_xdp_attach_opts, expected);
	int fd = bpf_prog_get_fd_by_id(program->id);
	int r;

	if (fd < 0)
		return -errno;
	expected.old_prog_fd = fd;
	r = bpf_xdp_detach(ifindex, program->flags | XDP_FLAGS_REPLACE, &expected);
	close(fd);
	return r;
}

int sluice_steer_guard_take_over(int ifindex, const struct steer_program *stale)
{
	int r = guard_ensure(ifindex, stale);

	if (r < 0)
		log_warning("no guard while a killed process's steering program is replaced: "
		            "clients may see resets (%s)",
		            strerror(-r));
	return program_detach(ifindex, stale);
}
