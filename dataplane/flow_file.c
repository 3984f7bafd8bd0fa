// SPDX-License-Identifier: BSD-3-Clause
#include "dataplane/flow_file.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <mntent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

enum {
	PLACES_MAX = 8, // the directory and hugetlbfs mounts
};

// Where a table may lie. The first is the directory, the others are on hugetlbfs.
struct places {
	char paths[PLACES_MAX][PATH_MAX];
	unsigned count;
};

// A file that is mapped.
struct mapping {
	void *memory;
	size_t size;
	unsigned place;
};

// What differs between the two tables. f: whose view is attached.
struct sluice_flow_kind {
	const char *name; // of the file
	size_t (*size)(uint64_t capacity);
	int (*format)(void *memory, const struct sluice_flow_file_options *o);
	int (*attach)(struct sluice_flow_file *f, void *memory, size_t size, uint64_t epoch);
	void (*set_timeouts)(struct sluice_flow_file *f, const struct sluice_flow_timeouts *t);
	// Whether the old table, of the right size, can be gone on with in place.
	bool (*is_same)(const void *memory, const struct sluice_flow_file_options *o);
	// Takes the live flows of an old table over into f's, which is empty and has its secret.
	void (*carry)(struct sluice_flow_file *f, const struct sluice_flow_file *from,
	              const struct sluice_flow_file_options *o);
};

const char *sluice_flow_origin_text(enum sluice_flow_origin origin)
{
	static const char *const texts[SLUICE_FLOW_ORIGINS] = {
	        [SLUICE_FLOW_KEPT] = "kept",
	        [SLUICE_FLOW_CARRIED] = "carried over into a new table",
	        [SLUICE_FLOW_FRESH_NONE] = "fresh: there was none",
	        [SLUICE_FLOW_FRESH_INVALID] = "fresh: the file is damaged or of another version",
	        [SLUICE_FLOW_FRESH_EPOCH] = "fresh: the file does not belong to the saved state",
	        [SLUICE_FLOW_FRESH_BOOT] = "fresh: the file is from before the last boot",
	};

	return (unsigned)origin < SLUICE_FLOW_ORIGINS ? texts[origin] : "unknown";
}

static int read_boot_id(char *id, size_t size)
{
	FILE *f = fopen("/proc/sys/kernel/random/boot_id", "re");
	bool ok;

	if (!f)
		return -errno;
	memset(id, 0, size);
	ok = fgets(id, (int)size, f) != NULL;
	fclose(f);
	id[strcspn(id, "\n")] = '\0';
	return ok ? 0 : -EIO;
}

// hugetlbfs mounts are shared by all of the host: the name tells one directory's table from
// another's.
static int find_places(struct places *p, const char *directory, const char *file)
{
	struct sluice_hash_key key;
	char real[PATH_MAX];
	struct mntent *m;
	uint64_t name;
	FILE *mounts;

	p->count = 0;
	if (!realpath(directory, real))
		return -errno;
	if (snprintf(p->paths[p->count++], PATH_MAX, "%s/%s", real, file) >= PATH_MAX)
		return -ENAMETOOLONG;
	sluice_hash_key_expand(&key, "flow file");
	name = sluice_hash_bytes(&key, real, strlen(real));
	mounts = setmntent("/proc/self/mounts", "re");
	while (mounts && p->count < PLACES_MAX && (m = getmntent(mounts)) != NULL) {
		if (strcmp(m->mnt_type, "hugetlbfs") != 0)
			continue;
		if (snprintf(p->paths[p->count], PATH_MAX, "%s/sluice-%s-%016llx", m->mnt_dir, file,
		             (unsigned long long)name) < PATH_MAX)
			p->count++;
	}
	if (mounts)
		endmntent(mounts);
	return 0;
}

static int lock_directory(const char *directory, const char *file)
{
	char path[PATH_MAX];
	int fd;

	if (snprintf(path, sizeof(path), "%s/%s.lock", directory, file) >= PATH_MAX)
		return -ENAMETOOLONG;
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
		int err = errno == EWOULDBLOCK ? -EBUSY : -errno;

		close(fd);
		return err;
	}
	return fd;
}

// Gives every page of the mapped file its memory now. The order is what makes it safe: a page
// that can't be had is an error of madvise, where touching it would be a SIGBUS.
static int populate(int fd, void *memory, size_t size)
{
	madvise(memory, size, MADV_HUGEPAGE); // tmpfs: where the kernel is set to; else no matter
	if (madvise(memory, size, MADV_POPULATE_WRITE) != 0) {
		if (errno == EFAULT || errno == ENOMEM)
			return -ENOSPC;
		if (errno != EINVAL) // EINVAL: a kernel before 5.14
			return -errno;
	}
	// On disk, blocks too; where pages are all there is to allocate, this finds them there.
	if (fallocate(fd, 0, 0, (off_t)size) != 0 && errno != EOPNOTSUPP)
		return errno == ENOMEM ? -ENOSPC : -errno;
	return 0;
}

static int map_file(struct mapping *m, int fd, size_t size)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	int err;

	if (memory == MAP_FAILED)
		return errno == ENOMEM ? -ENOSPC : -errno;
	err = populate(fd, memory, size);
	if (err) {
		munmap(memory, size);
		return err;
	}
	m->memory = memory;
	m->size = size;
	return 0;
}

static void unmap(struct mapping *m)
{
	if (m->memory)
		munmap(m->memory, m->size);
	m->memory = NULL;
}

// Why a file with this header can't be gone on with, or SLUICE_FLOW_KEPT.
static enum sluice_flow_origin judge(const struct sluice_flow_kind *kind,
                                     struct sluice_flow_header *h, size_t size, uint64_t epoch,
                                     const char *boot)
{
	struct sluice_flow_file f;

	if (kind->attach(&f, h, size, h->epoch) != 0)
		return SLUICE_FLOW_FRESH_INVALID;
	if (strncmp(h->boot, boot, sizeof(h->boot)) != 0)
		return SLUICE_FLOW_FRESH_BOOT;
	return h->epoch == epoch ? SLUICE_FLOW_KEPT : SLUICE_FLOW_FRESH_EPOCH;
}

// Maps the table that the last process left at a place. Returns where it stands; the mapping is
// there only with SLUICE_FLOW_KEPT. The header is judged before anything is mapped, as mapping
// gives memory to all of the file, however large somebody made it.
static enum sluice_flow_origin open_old(struct mapping *m, const struct sluice_flow_kind *kind,
                                        const char *path, uint64_t epoch, const char *boot)
{
	alignas(SLUICE_FLOW_HEADER_SIZE) char page[SLUICE_FLOW_HEADER_SIZE];
	enum sluice_flow_origin origin = SLUICE_FLOW_FRESH_INVALID;
	int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	struct stat st;

	if (fd < 0)
		return errno == ENOENT ? SLUICE_FLOW_FRESH_NONE : SLUICE_FLOW_FRESH_INVALID;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_uid == geteuid() &&
	    pread(fd, page, sizeof(page), 0) == (ssize_t)sizeof(page))
		origin = judge(kind, (struct sluice_flow_header *)page, (size_t)st.st_size, epoch,
		               boot);
	if (origin == SLUICE_FLOW_KEPT && map_file(m, fd, (size_t)st.st_size) != 0)
		origin = SLUICE_FLOW_FRESH_INVALID;
	close(fd);
	return origin;
}

// The table to go on with, wherever it lies; else the most telling reason why there is none.
static enum sluice_flow_origin find_old(struct mapping *m, const struct sluice_flow_kind *kind,
                                        const struct places *p, uint64_t epoch, const char *boot)
{
	enum sluice_flow_origin reason = SLUICE_FLOW_FRESH_NONE;

	for (unsigned i = 0; i < p->count; i++) {
		enum sluice_flow_origin origin = open_old(m, kind, p->paths[i], epoch, boot);

		if (origin == SLUICE_FLOW_KEPT) {
			m->place = i;
			return origin;
		}
		if (origin != SLUICE_FLOW_FRESH_NONE)
			reason = origin;
	}
	return reason;
}

// Makes an empty file at PATH.new, mapped and formatted.
static int make_new(struct mapping *m, const struct sluice_flow_kind *kind, const char *path,
                    const char *boot, const struct sluice_flow_file_options *o)
{
	char scratch[PATH_MAX];
	struct statfs fs;
	size_t size;
	int fd, err;

	if (snprintf(scratch, sizeof(scratch), "%s.new", path) >= PATH_MAX)
		return -ENAMETOOLONG;
	unlink(scratch); // of a process that was killed
	fd = open(scratch, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	size = kind->size(o->capacity);
	err = fstatfs(fd, &fs) != 0 ? -errno : 0;
	if (!err && fs.f_type == HUGETLBFS_MAGIC)
		size = (size + (size_t)fs.f_bsize - 1) / (size_t)fs.f_bsize * (size_t)fs.f_bsize;
	if (!err && ftruncate(fd, (off_t)size) != 0)
		err = -errno;
	if (!err)
		err = map_file(m, fd, size);
	close(fd);
	if (m->memory) {
		struct sluice_flow_header *h = m->memory;

		memcpy(h->boot, boot, sizeof(h->boot));
		err = kind->format(m->memory, o);
	}
	if (err) {
		unmap(m);
		unlink(scratch);
	}
	return err;
}

// At the first place that has room: hugetlbfs where allowed, then the directory.
static int make_somewhere(struct mapping *m, const struct sluice_flow_kind *kind,
                          const struct places *p, const char *boot,
                          const struct sluice_flow_file_options *o)
{
	for (unsigned i = 1; o->hugepages && i < p->count; i++) {
		if (make_new(m, kind, p->paths[i], boot, o) == 0) {
			m->place = i;
			return 0;
		}
	}
	m->place = 0;
	return make_new(m, kind, p->paths[0], boot, o);
}

// ---- the flow table

static int flows_format(void *memory, const struct sluice_flow_file_options *o)
{
	return sluice_flow_table_format(memory, o->capacity, o->epoch);
}

static int flows_attach(struct sluice_flow_file *f, void *memory, size_t size, uint64_t epoch)
{
	return sluice_flow_table_attach(&f->table, memory, size, epoch);
}

static void flows_set_timeouts(struct sluice_flow_file *f, const struct sluice_flow_timeouts *t)
{
	sluice_flow_table_set_timeouts(&f->table, t);
}

static bool flows_are_same(const void *memory, const struct sluice_flow_file_options *o)
{
	const struct sluice_flow_header *h = memory;

	return h->bucket_count * sizeof(struct sluice_flow_bucket) + SLUICE_FLOW_HEADER_SIZE ==
	       sluice_flow_table_size(o->capacity);
}

struct carriage {
	struct sluice_flow_file *file;
	uint32_t now;
};

static void carry_flow(void *context, uint64_t key, struct sluice_flow_value v)
{
	struct carriage *c = context;
	struct sluice_flow_table *t = &c->file->table;

	switch (sluice_flow_insert(t, key, sluice_flow_hash(t, key), sluice_flow_pack(v), c->now)) {
	case SLUICE_FLOW_UNTRACKED:
		c->file->lost += v.state != SLUICE_FLOW_PROBATION;
		break;
	case SLUICE_FLOW_INSERTED:
		c->file->carried++;
		break;
	default: // in the place of one on probation
		break;
	}
}

static void flows_carry(struct sluice_flow_file *f, const struct sluice_flow_file *from,
                        const struct sluice_flow_file_options *o)
{
	struct carriage c = {.file = f, .now = o->now};

	f->table.key = from->table.key;
	sluice_flow_table_walk(&from->table, o->now, carry_flow, &c);
}

static const struct sluice_flow_kind flows_kind = {
        .name = "flows",
        .size = sluice_flow_table_size,
        .format = flows_format,
        .attach = flows_attach,
        .set_timeouts = flows_set_timeouts,
        .is_same = flows_are_same,
        .carry = flows_carry,
};

// ---- fullnat's

static int snat_format(void *memory, const struct sluice_flow_file_options *o)
{
	return sluice_snat_table_format(memory, o->capacity, o->epoch, o->snat);
}

static int snat_attach(struct sluice_flow_file *f, void *memory, size_t size, uint64_t epoch)
{
	return sluice_snat_table_attach(&f->snat, memory, size, epoch);
}

static void snat_set_timeouts(struct sluice_flow_file *f, const struct sluice_flow_timeouts *t)
{
	sluice_flow_timeouts_set(&f->snat.timeouts, t);
}

static bool snat_is_same(const void *memory, const struct sluice_flow_file_options *o)
{
	const struct sluice_snat_header *h = memory;
	struct sluice_flow_file f;

	if (sluice_snat_table_attach(&f.snat, (void *)memory,
	                             sluice_snat_table_size(h->common.bucket_count * 2),
	                             h->common.epoch) != 0 ||
	    sluice_snat_table_size(h->common.bucket_count * 2) !=
	            sluice_snat_table_size(o->capacity) ||
	    memcmp(&h->pool, o->snat, sizeof(h->pool)) != 0)
		return false;
	sluice_snat_table_recover(&f.snat);
	return true;
}

static void snat_carry(struct sluice_flow_file *f, const struct sluice_flow_file *from,
                       const struct sluice_flow_file_options *o)
{
	const struct sluice_snat_header *old = from->memory;

	f->snat.key = from->snat.key;
	sluice_snat_table_recover(&from->snat);
	sluice_snat_table_carry(&f->snat, o->snat, &from->snat, &old->pool, o->now, &f->carried,
	                        &f->lost);
}

static const struct sluice_flow_kind snat_kind = {
        .name = "snat",
        .size = sluice_snat_table_size,
        .format = snat_format,
        .attach = snat_attach,
        .set_timeouts = snat_set_timeouts,
        .is_same = snat_is_same,
        .carry = snat_carry,
};

// ---- either

// Keys of IPv6 flows are fingerprints made with the old secret, so that it has to stay.
static int carry_over(struct sluice_flow_file *f, const struct mapping *old,
                      const struct sluice_flow_file_options *o)
{
	const struct sluice_flow_header *old_header = old->memory;
	struct sluice_flow_header *h = f->memory;
	struct sluice_flow_file from = {.memory = old->memory};
	int err = f->kind->attach(&from, old->memory, old->size, o->epoch);

	if (err)
		return err;
	h->key = old_header->key;
	f->kind->set_timeouts(&from, &o->timeouts);
	f->kind->carry(f, &from, o);
	f->origin = SLUICE_FLOW_CARRIED;
	return 0;
}

static int attach(struct sluice_flow_file *f, const struct mapping *m,
                  const struct sluice_flow_file_options *o)
{
	int err = f->kind->attach(f, m->memory, m->size, o->epoch);

	if (err)
		return err;
	f->kind->set_timeouts(f, &o->timeouts);
	f->memory = m->memory;
	f->size = m->size;
	f->epoch = o->epoch;
	f->hugepages = m->place > 0;
	return 0;
}

// The new table gets its name only when the old one's flows are in it, so that a crash in
// between leaves the old one.
static int publish(struct sluice_flow_file *f, const struct mapping *m, const struct places *p)
{
	char scratch[PATH_MAX + 4];

	snprintf(scratch, sizeof(scratch), "%s.new", p->paths[m->place]);
	if (rename(scratch, p->paths[m->place]) != 0)
		return -errno;
	for (unsigned i = 0; i < p->count; i++) {
		if (i != m->place)
			unlink(p->paths[i]);
	}
	snprintf(f->path, sizeof(f->path), "%s", p->paths[m->place]);
	return 0;
}

// Whether the old table can be gone on with in place.
static bool fits(const struct sluice_flow_kind *kind, const struct mapping *old,
                 const struct sluice_flow_file_options *o)
{
	return (o->hugepages || old->place == 0) && kind->is_same(old->memory, o);
}

static int open_table(struct sluice_flow_file *f, const struct places *p, const char *boot,
                      const struct sluice_flow_file_options *o)
{
	struct mapping old = {0}, new = {0};
	int err;

	f->origin = find_old(&old, f->kind, p, o->epoch, boot);
	if (old.memory && fits(f->kind, &old, o)) {
		snprintf(f->path, sizeof(f->path), "%s", p->paths[old.place]);
		return attach(f, &old, o);
	}
	err = make_somewhere(&new, f->kind, p, boot, o);
	if (!err)
		err = attach(f, &new, o);
	if (!err && old.memory && new.memory)
		err = carry_over(f, &old, o);
	if (!err)
		err = publish(f, &new, p);
	unmap(&old);
	if (err)
		unmap(&new);
	return err;
}

static bool is_on_disk(const char *path)
{
	struct statfs fs;

	return statfs(path, &fs) == 0 && fs.f_type != TMPFS_MAGIC && fs.f_type != RAMFS_MAGIC &&
	       fs.f_type != HUGETLBFS_MAGIC;
}

int sluice_flow_file_open(struct sluice_flow_file *f,
                          const struct sluice_flow_file_options *options)
{
	char boot[sizeof(((struct sluice_flow_header *)NULL)->boot)];
	struct places *places = malloc(sizeof(*places));
	int err = places ? 0 : -ENOMEM;

	memset(f, 0, sizeof(*f));
	f->lock = -1;
	f->kind = options->snat ? &snat_kind : &flows_kind;
	if (!err)
		err = read_boot_id(boot, sizeof(boot));
	if (!err)
		err = find_places(places, options->directory, f->kind->name);
	if (!err) {
		f->lock = lock_directory(options->directory, f->kind->name);
		err = f->lock < 0 ? f->lock : 0;
	}
	if (!err)
		err = open_table(f, places, boot, options);
	if (!err)
		f->disk = is_on_disk(f->path);
	else if (f->lock >= 0)
		close(f->lock);
	free(places);
	return err;
}

void sluice_flow_file_trust(struct sluice_flow_file *f, bool trusted)
{
	struct sluice_flow_header *h = f->memory;

	h->epoch = trusted ? f->epoch : ~f->epoch;
}

void sluice_flow_file_close(struct sluice_flow_file *f)
{
	munmap(f->memory, f->size);
	close(f->lock);
	f->memory = NULL;
	f->lock = -1;
}
