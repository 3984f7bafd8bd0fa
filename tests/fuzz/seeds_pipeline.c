// SPDX-License-Identifier: BSD-3-Clause

// Writes inputs for fuzz_pipeline into a directory: each row of the packet tests, with the packet
// before it where there is one.

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "tests/packet/rows.h"

// One frame whose head is all of it, and whether it ends a burst.
static void put(FILE *file, const struct frame *f, bool last)
{
	uint16_t length = (uint16_t)(f->length | (last ? 0x8000 : 0)), head = 1;

	fwrite(&length, 2, 1, file);
	fwrite(&head, 2, 1, file);
	fwrite(f->bytes, f->length, 1, file);
}

static int write_seed(const char *directory, size_t i)
{
	struct frame f;
	char name[4096];
	FILE *file;

	snprintf(name, sizeof(name), "%s/row-%03zu", directory, i);
	file = fopen(name, "w");
	if (!file)
		return -errno;
	if (rows[i].first.source) {
		frame_build(&f, &rows[i].first);
		put(file, &f, true);
	}
	row_build_in(&rows[i], &f);
	put(file, &f, false);
	return fclose(file) == 0 ? 0 : -errno;
}

int main(int argc, char **argv)
{
	if (argc != 2) {
		fprintf(stderr, "usage: seeds_pipeline DIRECTORY\n");
		return 2;
	}
	for (size_t i = 0; i < row_count; i++) {
		int error = write_seed(argv[1], i);

		if (error) {
			fprintf(stderr, "seeds_pipeline: %s: %s\n", argv[1], strerror(-error));
			return 1;
		}
	}
	return 0;
}
