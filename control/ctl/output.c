// SPDX-License-Identifier: BSD-3-Clause
#include "control/ctl/output.h"

#include <stdio.h>

#include "control/ctl/yaml_writer.h"

enum sluice_ctl_exit sluice_output_value(const struct sluice_ctl *ctl, const json_t *value)
{
	int result;

	if (ctl->output == SLUICE_CTL_YAML) {
		result = sluice_yaml_write(value, stdout);
	} else {
		result = json_dumpf(value, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(15));
		fputc('\n', stdout);
	}
	if (result == 0)
		return SLUICE_CTL_DONE;
	sluice_ctl_complain("cannot write the answer");
	return SLUICE_CTL_REFUSED;
}
