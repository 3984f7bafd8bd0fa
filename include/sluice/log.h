// SPDX-License-Identifier: BSD-3-Clause
#pragma once

// Log lines for people and journald, on stderr. Never called from a worker's loop.

enum sluice_log_level {
	SLUICE_LOG_ERROR = 3, // syslog's numbers, so that journald sorts them
	SLUICE_LOG_WARNING = 4,
	SLUICE_LOG_NOTICE = 5,
	SLUICE_LOG_INFO = 6,
	SLUICE_LOG_DEBUG = 7,
};

// Lines above the level are dropped. Default: info.
void sluice_log_set_level(enum sluice_log_level level);

// "error", "warning", "notice", "info", "debug" -> level, or -EINVAL.
int sluice_log_level_parse(const char *name);

// Writes one line: "<N>" first where stderr is journald's, else a time stamp and the level.
__attribute__((format(printf, 2, 3))) void sluice_log(enum sluice_log_level level,
                                                      const char *format, ...);

#define log_error(...)   sluice_log(SLUICE_LOG_ERROR, __VA_ARGS__)
#define log_warning(...) sluice_log(SLUICE_LOG_WARNING, __VA_ARGS__)
#define log_notice(...)  sluice_log(SLUICE_LOG_NOTICE, __VA_ARGS__)
#define log_info(...)    sluice_log(SLUICE_LOG_INFO, __VA_ARGS__)
#define log_debug(...)   sluice_log(SLUICE_LOG_DEBUG, __VA_ARGS__)
