// SPDX-License-Identifier: BSD-3-Clause
// apply: the files go out as one stream of documents, so that they are one change. The daemon
// counts lines in the stream; what it says of one is told of the file it came from.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/ctl/change.h"
#include "control/ctl/client.h"
#include "control/ctl/ctl.h"
#include "control/ctl/output.h"
#include "control/ctl/text.h"

enum {
	BODY_MAX = 16 << 20, // what the daemon takes in one call
};

struct stream {
	char *bytes;
	size_t size, room;
	unsigned *first_lines; // of each file, 1-based
};

static void append(struct stream *stream, const char *bytes, size_t size)
{
	if (stream->size + size + 1 > stream->room) {
		stream->room = 2 * (stream->size + size + 1);
		stream->bytes = realloc(stream->bytes, stream->room);
		if (stream->bytes == NULL)
			abort(); // out of memory
	}
	memcpy(stream->bytes + stream->size, bytes, size);
	stream->size += size;
	stream->bytes[stream->size] = '\0';
}

static const char *file_name(const char *file)
{
	return strcmp(file, "-") == 0 ? "standard input" : file;
}

static enum sluice_ctl_exit append_file(struct stream *stream, const char *file)
{
	FILE *in = strcmp(file, "-") == 0 ? stdin : fopen(file, "re");
	size_t n;
	char chunk[65536];
	int error;

	if (in == NULL) {
		sluice_ctl_complain("%s: %s", file, strerror(errno));
		return SLUICE_CTL_USAGE;
	}
	while ((n = fread(chunk, 1, sizeof(chunk), in)) > 0 && stream->size <= BODY_MAX)
		append(stream, chunk, n);
	error = ferror(in) != 0 ? errno : 0;
	if (in != stdin)
		fclose(in);
	if (error != 0) {
		sluice_ctl_complain("%s: %s", file_name(file), strerror(error));
		return SLUICE_CTL_USAGE;
	}
	if (stream->size > BODY_MAX) {
		sluice_ctl_complain("%s: over 16 MiB, more than the daemon takes at once",
		                    file_name(file));
		return SLUICE_CTL_REFUSED;
	}
	return SLUICE_CTL_DONE;
}

static unsigned count_lines(const char *text)
{
	unsigned lines = 0;

	while ((text = strchr(text, '\n')) != NULL) {
		lines++;
		text++;
	}
	return lines;
}

// Ends the document before, so that the next file can't run into it. Returns where it begins.
static size_t append_separator(struct stream *stream)
{
	if (stream->size > 0 && stream->bytes[stream->size - 1] != '\n')
		append(stream, "\n", 1);
	append(stream, "---\n", 4);
	return stream->size;
}

// What may stand at the beginning of a file but not behind a "---".
static void mend_separator(struct stream *stream, size_t start)
{
	static const char mark[] = "\xef\xbb\xbf";

	if (strncmp(stream->bytes + start, mark, 3) == 0) {
		memmove(stream->bytes + start, stream->bytes + start + 3, stream->size - start - 2);
		stream->size -= 3;
	}
	if (stream->bytes[start] == '%') // a directive wants the end of the document before it
		memcpy(stream->bytes + start - 4, "...\n", 4);
}

static enum sluice_ctl_exit read_files(const struct sluice_ctl *ctl, struct stream *stream)
{
	enum sluice_ctl_exit result = SLUICE_CTL_DONE;

	stream->first_lines = calloc(ctl->file_count, sizeof(*stream->first_lines));
	if (stream->first_lines == NULL)
		abort(); // out of memory
	append(stream, "", 0);
	for (size_t i = 0; i < ctl->file_count && result == SLUICE_CTL_DONE; i++) {
		size_t start = i > 0 ? append_separator(stream) : 0;

		stream->first_lines[i] = count_lines(stream->bytes) + 1;
		result = append_file(stream, ctl->files[i]);
		if (i > 0)
			mend_separator(stream, start);
	}
	return result;
}

// "services.yaml:12: services[0].port: 99999 is not a port (1-65535)"
static void complain_refusal(const struct sluice_ctl *ctl, const struct stream *stream,
                             const struct sluice_answer *answer)
{
	size_t file = 0;

	while (file + 1 < ctl->file_count && answer->line >= stream->first_lines[file + 1])
		file++;
	if (answer->line > 0)
		sluice_ctl_complain("%s:%u: %s", file_name(ctl->files[file]),
		                    answer->line - stream->first_lines[file] + 1, answer->refusal);
	else if (ctl->file_count == 1)
		sluice_ctl_complain("%s: %s", file_name(ctl->files[0]), answer->refusal);
	else // which of the files it is, only a line tells
		sluice_ctl_complain("%s", answer->refusal);
}

static void print_applied(const json_t *answer)
{
	const json_t *services = json_object_get(answer, "services");
	const json_t *service;
	size_t i;

	if (json_array_size(services) == 0) {
		fputs("applied, no service changed", stdout);
		sluice_change_print(answer);
		return;
	}
	json_array_foreach (services, i, service) {
		const char *change = sluice_text_string(service, "change");
		const json_t *endpoints = json_object_get(service, "endpoints");

		printf("service %s/%s: ", sluice_text_string(service, "namespace"),
		       sluice_text_string(service, "name"));
		if (strcmp(change, "updated") != 0)
			printf("%s%s", change, json_is_integer(endpoints) ? ", " : "");
		if (json_is_integer(endpoints))
			sluice_change_print_endpoints((size_t)json_integer_value(endpoints), 0);
		if (strcmp(change, "unchanged") == 0)
			putchar('\n');
		else
			sluice_change_print(answer);
	}
}

static const char *content_type(const struct sluice_ctl *ctl, const struct stream *stream)
{
	const char *start = stream->bytes + strspn(stream->bytes, " \t\r\n");

	return ctl->file_count == 1 && (*start == '{' || *start == '[') ? "application/json"
	                                                                : "application/yaml";
}

enum sluice_ctl_exit sluice_ctl_apply(struct sluice_ctl *ctl, int argc, char **argv)
{
	struct sluice_request request = {.method = "POST", .path = "/v1/apply"};
	struct sluice_answer answer = {0};
	struct stream stream = {0};
	enum sluice_ctl_exit result;
	size_t stdins = 0;

	(void)argc;
	(void)argv;
	for (size_t i = 0; i < ctl->file_count; i++)
		stdins += strcmp(ctl->files[i], "-") == 0;
	if (ctl->file_count == 0 || stdins > 1) {
		sluice_ctl_complain("%s",
		                    stdins > 1 ? "-f - can be given once"
		                               : "apply what? -f FILE, or -f - for standard input");
		return SLUICE_CTL_USAGE;
	}
	result = read_files(ctl, &stream);
	if (result == SLUICE_CTL_DONE) {
		request.content_type = content_type(ctl, &stream);
		request.body = stream.bytes;
		request.body_size = stream.size;
		result = sluice_client_request(ctl->client, &request, &answer);
		if (result == SLUICE_CTL_REFUSED)
			complain_refusal(ctl, &stream, &answer);
	}
	if (result == SLUICE_CTL_DONE && ctl->output != SLUICE_CTL_TABLE)
		result = sluice_output_value(ctl, answer.json);
	else if (result == SLUICE_CTL_DONE)
		print_applied(answer.json);
	sluice_answer_clear(&answer);
	free(stream.bytes);
	free(stream.first_lines);
	return result;
}
