// SPDX-License-Identifier: BSD-3-Clause
#pragma once

// The XDP object that the driver loads: $SLUICE_STEER_OBJECT, in the build tree of the running
// executable, or where it is installed. The guard's object lies beside it. Valid until the next
// call. NULL: there is none (logged).
const char *sluice_steer_object(void);
