// SPDX-License-Identifier: BSD-3-Clause
// Any bytes as a document: as a configuration, as changes, and written and read again.
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "control/change.h"
#include "control/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_again(const json_t *tree)
{
	struct sluice_documents documents;
	char *yaml = sluice_document_yaml(tree);

	// What was read once can be written, and what is written can be read.
	if (yaml == NULL)
		abort();
	if (sluice_documents_parse(yaml, strlen(yaml), NULL, &documents, NULL) < 0)
		abort();
	if (documents.count != 1 || !json_equal(documents.roots[0], tree))
		abort();
	sluice_documents_clear(&documents);
	free(yaml);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sluice_documents documents;
	struct sluice_changes changes;
	struct sluice_config config;
	struct sluice_error err = {0};
	char text[1024];

	if (sluice_documents_parse((const char *)data, size, "f", &documents, &err) == 0) {
		if (sluice_changes_read(&documents, &changes, &err) == 0)
			sluice_changes_clear(&changes);
		if (sluice_config_parse(&documents, &config, &err) == 0)
			sluice_config_clear(&config);
		for (size_t i = 0; i < documents.count; i++)
			read_again(documents.roots[i]);
		sluice_documents_clear(&documents);
	}
	sluice_error_format(&err, text, sizeof(text));
	return 0;
}
