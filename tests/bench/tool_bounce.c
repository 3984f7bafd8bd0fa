// SPDX-License-Identifier: BSD-3-Clause

// tool_bounce: prints how many nanoseconds a written cache line takes from the first usable core
// to the second. Exit status 77: there is no second one.

#include <stdio.h>

#include "bounce.h"

int main(void)
{
	unsigned cpus[2];

	if (!bounce_cpus(cpus))
		return 77;
	printf("%.0f\n", measure_bounce(cpus));
	return 0;
}
