// SPDX-License-Identifier: BSD-3-Clause

// bench_maglev [-r ROUNDS]
//
// How long the rows take: by number of endpoints, by number of rows, and for many services.

#include <arpa/inet.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "dataplane/hash.h"
#include "dataplane/maglev.h"
#include "measure.h"

enum {
	ENDPOINTS_MAX = 10000,
	ROWS_MAX = 655373,
	FEW = 5, // rounds of what takes seconds
};

struct build {
	unsigned services, endpoints, rows;
	const char *aim; // milliseconds
};

static const struct build builds[] = {
        {1, 10, 65537, "-"},     {1, 100, 65537, "-"},           {1, 1000, 65537, "value<=1"},
        {1, 10000, 65537, "-"},  {1, 1000, 655373, "value<=15"}, {1, 10000, 655373, "-"},
        {10, 10, 65537, "-"},    {100, 10, 65537, "-"},          {1000, 10, 65537, "-"},
        {10000, 10, 65537, "-"},
};

static struct sluice_maglev_endpoint endpoints[ENDPOINTS_MAX];
static uint16_t rows[ROWS_MAX];

static double build_ms(const struct build *b, const struct sluice_hash_key *key)
{
	uint64_t begin = thread_ns();

	for (unsigned i = 0; i < b->services; i++) {
		endpoints[0].port = htons((uint16_t)(1 + i)); // no two are the same
		if (sluice_maglev_fill(rows, b->rows, endpoints, b->endpoints, key) != 0)
			abort();
	}
	return (double)(thread_ns() - begin) / 1e6;
}

int main(int argc, char **argv)
{
	struct sluice_hash_key key;
	unsigned rounds = 11;

	for (int c; (c = getopt(argc, argv, "r:")) != -1;) {
		if (c != 'r')
			return 2;
		rounds = (unsigned)strtoul(optarg, NULL, 10);
	}
	sluice_hash_key_expand(&key, "bench");
	for (unsigned i = 0; i < ENDPOINTS_MAX; i++)
		endpoints[i] = (struct sluice_maglev_endpoint){
		        sluice_address_from_v4(htonl(0x0a000001 + i)), htons(8080), 1};
	printf("# One core; %u rounds, %d of 1,000 services and more.\n", rounds, FEW);
	for (unsigned i = 0; i < sizeof(builds) / sizeof(builds[0]); i++) {
		const struct build *b = &builds[i];
		unsigned times = b->services < 1000 || rounds < FEW ? rounds : FEW;
		struct series ms = {.count = 0};
		char what[96];

		for (unsigned r = 0; r < times; r++)
			series_add(&ms, build_ms(b, &key));
		snprintf(what, sizeof(what), "%u service%s of %u endpoints, %u rows", b->services,
		         b->services > 1 ? "s" : "", b->endpoints, b->rows);
		row_print(what, "ms", &ms, b->aim);
	}
	return 0;
}
