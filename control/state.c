// SPDX-License-Identifier: BSD-3-Clause
#include "control/state.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdio.h> // RENAME_EXCHANGE
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/state_internal.h"
#include "sluice/log.h"

// --- writing

static void write_endpoint(struct sluice_strbuf *b, const struct sluice_model_endpoint *e)
{
	sluice_strbuf_puts(b, "[\"");
	sluice_strbuf_address(b, &e->spec.address);
	sluice_strbuf_puts(b, "\",");
	sluice_strbuf_u64(b, e->spec.port);
	sluice_strbuf_putc(b, ',');
	sluice_strbuf_u64(b, e->spec.weight);
	sluice_strbuf_putc(b, ',');
	sluice_strbuf_u64(b, e->slot);
	sluice_strbuf_putc(b, ',');
	sluice_strbuf_u64(b, e->generation);
	sluice_strbuf_putc(b, ',');
	sluice_strbuf_i64(b, e->since);
	sluice_strbuf_putc(b, ',');
	sluice_strbuf_i64(b, e->spec.state == SLUICE_STATE_DRAINING ? e->draining_since : 0);
	sluice_strbuf_putc(b, ']');
}

static int write_service(struct sluice_strbuf *b, const struct sluice_model_service *s)
{
	json_t *spec = sluice_service_spec_write(&s->spec);
	char *text;

	if (spec && !s->spec.forwarding_given) // the next start's configuration may say otherwise
		json_object_del(spec, "forwarding");
	text = spec ? json_dumps(spec, JSON_COMPACT) : NULL;
	json_decref(spec);
	if (!text)
		return -ENOMEM;
	sluice_strbuf_puts(b, "{\"spec\":");
	sluice_strbuf_puts(b, text);
	free(text);
	sluice_strbuf_printf(b,
	                     ",\"id\":%u,\"since\":%lld,\"changed\":%" PRIu64
	                     ",\"file\":%s,\"digest\":\"%016" PRIx64 "\"",
	                     s->id, (long long)s->since, s->changed,
	                     s->origin == SLUICE_ORIGIN_FILE ? "true" : "false", s->digest);
	if (s->kubernetes_name) {
		sluice_strbuf_puts(b, ",\"kubernetes\":");
		sluice_strbuf_json(b, s->kubernetes_name);
		sluice_strbuf_puts(b, ",\"portName\":");
		sluice_strbuf_json(b, s->port_name);
	}
	sluice_strbuf_puts(b, ",\"endpoints\":[");
	for (size_t i = 0; i < s->endpoint_count; i++) {
		if (i)
			sluice_strbuf_putc(b, ',');
		write_endpoint(b, &s->endpoints[i]);
	}
	sluice_strbuf_puts(b, "]}");
	return b->failed ? -ENOMEM : 0;
}

// The service's text is kept with it until it changes: with a thousand services a change of one
// writes one.
static int put_service(struct sluice_strbuf *out, struct sluice_model_service *s)
{
	if (!s->saved_text) {
		struct sluice_strbuf b = {0};

		if (write_service(&b, s) < 0) {
			sluice_strbuf_free(&b);
			return -ENOMEM;
		}
		s->saved_text = b.data;
		s->saved_len = b.len;
	}
	sluice_strbuf_put(out, s->saved_text, s->saved_len);
	return 0;
}

static void put_slots(struct sluice_strbuf *out, const struct sluice_slots *s)
{
	static const char hex[] = "0123456789abcdef";
	char digits[4];

	sluice_strbuf_puts(out, ",\n\"slots\":\"");
	for (uint32_t i = 0; i < s->high; i++) {
		for (unsigned d = 0; d < 4; d++)
			digits[d] = hex[(s->generations[i] >> (12 - 4 * d)) & 15];
		sluice_strbuf_put(out, digits, sizeof(digits));
	}
	sluice_strbuf_putc(out, '"');
}

static void put_frontends(struct sluice_strbuf *out, const struct sluice_frontends *f)
{
	sluice_strbuf_puts(out, ",\n\"frontends\":[");
	for (size_t i = 0; i < f->count; i++) {
		const struct sluice_frontend_entry *e = &f->entries[i];

		sluice_strbuf_puts(out, i ? ",[\"" : "[\"");
		sluice_strbuf_address(out, &e->target.address);
		sluice_strbuf_puts(out, "\",");
		sluice_strbuf_u64(out, ntohs(e->target.port));
		sluice_strbuf_putc(out, ',');
		sluice_strbuf_u64(out, e->target.protocol);
		sluice_strbuf_putc(out, ',');
		sluice_strbuf_u64(out, e->service);
		sluice_strbuf_putc(out, ',');
		sluice_strbuf_u64(out, e->id);
		sluice_strbuf_putc(out, ']');
	}
	sluice_strbuf_putc(out, ']');
}

static void put_slices(struct sluice_strbuf *out, const struct sluice_model_slices *set)
{
	sluice_strbuf_puts(out, ",\n\"slices\":[");
	for (size_t i = 0; i < set->count; i++) {
		const struct sluice_model_slice *s = set->items[i];

		sluice_strbuf_printf(out, "%s{\"digest\":\"%016" PRIx64 "\",\"slice\":",
		                     i ? ",\n" : "\n", s->digest);
		sluice_strbuf_put(out, s->text, s->text_len);
		sluice_strbuf_putc(out, '}');
	}
	sluice_strbuf_putc(out, ']');
}

static int write_model(struct sluice_state *s, struct sluice_model *m)
{
	struct sluice_strbuf *out = &s->text;

	sluice_strbuf_reset(out);
	sluice_strbuf_printf(out,
	                     "{\"version\":%d,\n\"epoch\":\"%016" PRIx64 "\",\"seed\":\"%s\","
	                     "\"generation\":%" PRIu64 ",\"nextServiceId\":%u",
	                     SLUICE_STATE_VERSION, s->epoch, s->seed, m->generation,
	                     m->next_service_id);
	put_slots(out, &m->slots);
	put_frontends(out, &m->frontends);
	put_slices(out, &m->slices);
	sluice_strbuf_puts(out, ",\n\"services\":[");
	for (size_t i = 0; i < m->service_count; i++) {
		sluice_strbuf_puts(out, i ? ",\n" : "\n");
		if (put_service(out, m->services[i]) < 0)
			return -ENOMEM;
	}
	sluice_strbuf_puts(out, "]}\n");
	return out->failed ? -ENOMEM : 0;
}

static int write_all(int fd, const char *data, size_t len)
{
	while (len) {
		ssize_t n = write(fd, data, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		data += n;
		len -= (size_t)n;
	}
	return 0;
}

// The old file stays, as the temporary one: a rename over it would wait for the disk.
static int exchange_files(const struct sluice_state *s)
{
	int d = s->directory_fd;

	if (renameat2(d, STATE_TEMPORARY, d, STATE_FILE, RENAME_EXCHANGE) == 0)
		return 0;
	// There is no old one, or the file system knows no exchange.
	return renameat(d, STATE_TEMPORARY, d, STATE_FILE) < 0 ? -errno : 0;
}

static int replace_file(const struct sluice_state *s)
{
	int fd;

	// A new file, as close would wait for the disk with one that was truncated.
	unlinkat(s->directory_fd, STATE_TEMPORARY, 0);
	fd = openat(s->directory_fd, STATE_TEMPORARY, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC,
	            0600);
	if (fd < 0)
		return -errno;
	int r = write_all(fd, s->text.data, s->text.len);

	if (close(fd) < 0 && !r)
		r = -errno;
	if (!r)
		r = exchange_files(s);
	if (r < 0)
		unlinkat(s->directory_fd, STATE_TEMPORARY, 0);
	return r;
}

int sluice_state_save(struct sluice_state *s, struct sluice_model *m)
{
	int r = write_model(s, m);

	if (!r)
		r = replace_file(s);
	if (!r) {
		if (!s->saved && s->reason[0])
			log_notice("state: %s/%s is saved again", s->directory, STATE_FILE);
		s->saved = true;
		s->reason[0] = '\0';
		return 0;
	}
	bool news = s->saved || !s->reason[0];

	s->saved = false;
	snprintf(s->reason, sizeof(s->reason), "%s", strerror(-r));
	if (news)
		log_error("state: cannot save %s/%s: %s; changes go live, but a restart will not "
		          "know them",
		          s->directory, STATE_FILE, s->reason);
	return r;
}

void sluice_state_settle(struct sluice_state *s)
{
	int fd = openat(s->directory_fd, STATE_FILE, O_RDONLY | O_CLOEXEC);

	if (fd >= 0) {
		sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE);
		close(fd);
	}
	unlinkat(s->directory_fd, STATE_TEMPORARY, 0);
}

static void sync_file(const struct sluice_state *s)
{
	int fd = openat(s->directory_fd, STATE_FILE, O_RDONLY | O_CLOEXEC);

	if (fd >= 0) {
		fsync(fd);
		close(fd);
	}
	fsync(s->directory_fd);
}

void sluice_state_close(struct sluice_state *s)
{
	if (s->directory_fd >= 0) {
		sync_file(s);
		unlinkat(s->directory_fd, STATE_TEMPORARY, 0);
		close(s->directory_fd);
	}
	free(s->directory);
	sluice_strbuf_free(&s->text);
	*s = (struct sluice_state){.directory_fd = -1};
}

// --- opening

// mkdir -p; what is missing is made 0750.
static int make_directory(const char *path)
{
	char *copy = strdup(path);
	int r = copy ? 0 : -ENOMEM;

	for (char *p = copy; p && !r; p = strchr(p, '/')) {
		while (*p == '/')
			p++;
		char *end = strchr(p, '/');

		if (end)
			*end = '\0';
		if (*p && mkdir(copy, 0750) < 0 && errno != EEXIST)
			r = -errno;
		if (!end)
			break;
		*end = '/';
		p = end;
	}
	free(copy);
	return r;
}

static int open_directory(struct sluice_state *s, struct sluice_error *e)
{
	int r = make_directory(s->directory);

	s->directory_fd = r < 0 ? -1 : open(s->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s->directory_fd < 0) {
		r = r < 0 ? r : -errno;
		sluice_error_set(e, 503, "state", NULL, "state directory %s: %s", s->directory,
		                 strerror(-r));
		return r;
	}
	if (flock(s->directory_fd, LOCK_EX | LOCK_NB) < 0) {
		sluice_error_set(e, 503, "state", NULL,
		                 "state directory %s is in use by another sluiced", s->directory);
		return -EBUSY;
	}
	return 0;
}

static int make_identity(struct sluice_state *s)
{
	uint8_t seed[32];

	if (getrandom(&s->epoch, sizeof(s->epoch), 0) != sizeof(s->epoch) ||
	    getrandom(seed, sizeof(seed), 0) != sizeof(seed))
		return -EIO;
	for (size_t i = 0; i < sizeof(seed); i++)
		snprintf(&s->seed[2 * i], 3, "%02x", seed[i]);
	return 0;
}

static int load_file(struct sluice_state *s, struct sluice_model *m)
{
	int fd = openat(s->directory_fd, STATE_FILE, O_RDONLY | O_CLOEXEC);
	const char *why = "";

	s->fresh = true;
	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	int r = sluice_state_read(s, fd, m, &why);

	close(fd);
	if (!r) {
		s->fresh = false;
		return 0;
	}
	struct sluice_model_hooks hooks = m->hooks;

	sluice_model_free(m);
	sluice_model_init(m, &hooks);
	renameat(s->directory_fd, STATE_FILE, s->directory_fd, STATE_FILE ".bad");
	log_error("state: %s/%s cannot be used (%s): kept as %s.bad, services come from the "
	          "configuration alone",
	          s->directory, STATE_FILE, why, STATE_FILE);
	return 0;
}

int sluice_state_open(struct sluice_state *s, const char *directory, struct sluice_model *m,
                      struct sluice_error *e)
{
	*s = (struct sluice_state){.directory_fd = -1, .directory = strdup(directory)};
	int r = s->directory ? open_directory(s, e) : -ENOMEM;

	if (!r) {
		r = load_file(s, m);
		if (!r && s->fresh)
			r = make_identity(s);
		if (r < 0)
			sluice_error_set(e, 503, "state", NULL, "%s/%s: %s", directory, STATE_FILE,
			                 strerror(-r));
	}
	if (r < 0) {
		if (s->directory_fd >= 0)
			close(s->directory_fd);
		free(s->directory);
		*s = (struct sluice_state){.directory_fd = -1};
		return r;
	}
	if (s->fresh && sluice_state_save(s, m) == 0)
		sync_file(s);
	s->saved = !s->reason[0];
	return 0;
}
