// SPDX-License-Identifier: BSD-3-Clause
// Kubernetes slices, kept until their services come and merged into their endpoints.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "control/model_internal.h"
#include "dataplane/hash.h"

static void slice_release(struct sluice_model_slice *s)
{
	if (!s || --s->references)
		return;
	if (s->slice)
		sluice_slice_clear(s->slice);
	free(s->slice);
	free(s->text);
	free(s);
}

static struct sluice_model_slice *slice_new(const struct sluice_slice *from, uint64_t digest)
{
	struct sluice_model_slice *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->references = 1;
	s->digest = digest;
	s->slice = calloc(1, sizeof(*s->slice));
	if (!s->slice || sluice_slice_copy(s->slice, from) < 0)
		goto fail;
	json_t *document = sluice_slice_write(from);

	s->text = document ? json_dumps(document, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
	json_decref(document);
	if (!s->text)
		goto fail;
	s->text_len = strlen(s->text);
	return s;
fail:
	slice_release(s);
	return NULL;
}

int sluice_model_slices_copy(struct sluice_model_slices *to, const struct sluice_model_slices *from)
{
	size_t capacity = from->count + 16;

	*to = (struct sluice_model_slices){0};
	to->items = calloc(capacity, sizeof(void *));
	if (!to->items)
		return -ENOMEM;
	to->capacity = capacity;
	to->count = from->count;
	for (size_t i = 0; i < from->count; i++) {
		to->items[i] = from->items[i];
		to->items[i]->references++;
	}
	return 0;
}

void sluice_model_slices_clear(struct sluice_model_slices *set)
{
	for (size_t i = 0; i < set->count; i++)
		slice_release(set->items[i]);
	free(set->items);
	*set = (struct sluice_model_slices){0};
}

static size_t slices_position(const struct sluice_model_slices *set, const char *namespace_,
                              const char *name, bool *found)
{
	size_t low = 0, high = set->count;

	*found = false;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const struct sluice_slice *s = set->items[middle]->slice;
		int order = strcmp(s->namespace_, namespace_);

		if (!order)
			order = strcmp(s->name, name);
		if (!order) {
			*found = true;
			return middle;
		}
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

size_t sluice_model_slices_find(const struct sluice_model_slices *set, const char *namespace_,
                                const char *name)
{
	bool found;
	size_t at = slices_position(set, namespace_, name, &found);

	return found ? at : SIZE_MAX;
}

static int slices_insert(struct sluice_model_slices *set, size_t at, struct sluice_model_slice *s)
{
	if (set->count == set->capacity) {
		size_t capacity = set->capacity ? set->capacity * 2 : 16;
		struct sluice_model_slice **items = realloc(set->items, capacity * sizeof(void *));

		if (!items)
			return -ENOMEM;
		set->items = items;
		set->capacity = capacity;
	}
	memmove(&set->items[at + 1], &set->items[at], (set->count - at) * sizeof(void *));
	set->items[at] = s;
	set->count++;
	return 0;
}

int sluice_model_slices_put(struct sluice_model_slices *set, const struct sluice_slice *slice,
                            uint64_t digest, bool *changed)
{
	bool found;
	size_t at = slices_position(set, slice->namespace_, slice->name, &found);
	struct sluice_model_slice *s = slice_new(slice, digest);

	if (!s)
		return -ENOMEM;
	if (!found) {
		*changed = true;
		int r = slices_insert(set, at, s);

		if (r < 0)
			slice_release(s);
		return r;
	}
	struct sluice_model_slice *old = set->items[at];

	if (!digest) // the API's: what the file said of it stays known
		s->digest = old->digest;
	*changed = s->digest != old->digest || strcmp(s->text, old->text) != 0;
	set->items[at] = s;
	slice_release(old);
	return 0;
}

void sluice_model_slices_remove(struct sluice_model_slices *set, size_t i)
{
	slice_release(set->items[i]);
	set->count--;
	memmove(&set->items[i], &set->items[i + 1], (set->count - i) * sizeof(void *));
}

int sluice_model_slices_merge(const struct sluice_model_slices *set,
                              const struct sluice_model_service *service, bool *any,
                              struct sluice_endpoint_spec **out, size_t *count)
{
	const struct sluice_slice **mine = calloc(set->count + 1, sizeof(void *));
	size_t n = 0;
	bool found;

	if (!mine)
		return -ENOMEM;
	// A namespace's slices stand together; an empty name comes before all of them.
	for (size_t i = slices_position(set, service->spec.namespace_, "", &found); i < set->count;
	     i++) {
		const struct sluice_slice *s = set->items[i]->slice;

		if (strcmp(s->namespace_, service->spec.namespace_) != 0)
			break;
		if (strcmp(s->service, service->kubernetes_name) == 0)
			mine[n++] = s;
	}
	int r = sluice_slices_merge(mine, n, &service->spec, service->port_name, out, count);

	*any = n > 0;
	free(mine);
	return r;
}

uint64_t sluice_model_digest(const char *text, size_t len)
{
	struct sluice_hash_key key;

	sluice_hash_key_expand(&key, "sluice digest of a file's text");
	uint64_t digest = sluice_hash_bytes(&key, text, len);

	return digest ? digest : 1;
}

// Of the canonical form, so that white space and comments do not count. 0: out of memory, which
// compares as changed.
uint64_t sluice_model_change_digest(const struct sluice_change *change)
{
	bool service = change->kind == SLUICE_CHANGE_SERVICE;
	json_t *tree = service ? sluice_service_spec_write(&change->service)
	                       : sluice_slice_write(&change->slice);
	char *text = tree ? json_dumps(tree, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
	uint64_t digest = text ? sluice_model_digest(text, strlen(text)) : 0;

	if (digest && service && change->origin) {
		digest ^= sluice_model_digest(change->origin, strlen(change->origin));
		digest = digest * 31 +
		         sluice_model_digest(change->port_name, strlen(change->port_name));
	}
	free(text);
	json_decref(tree);
	return digest;
}
