// SPDX-License-Identifier: BSD-3-Clause
#include "control/ctl/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct sluice_text sluice_text_bytes(uint64_t bytes)
{
	static const char *const units[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
	struct sluice_text out;
	double value = (double)bytes / 1024;
	size_t unit = 0;

	if (bytes < 1024) {
		snprintf(out.text, sizeof(out.text), "%" PRIu64 "B", bytes);
		return out;
	}
	// 1023.95 would round up to "1024.0".
	for (; value >= 1023.95 && unit + 1 < sizeof(units) / sizeof(units[0]); unit++)
		value /= 1024;
	snprintf(out.text, sizeof(out.text), "%.1f%s", value, units[unit]);
	return out;
}

// The larger unit, and the smaller one where some of it is left.
static struct sluice_text two_units(int64_t large, char large_unit, int64_t small, char small_unit)
{
	struct sluice_text out;

	if (small == 0)
		snprintf(out.text, sizeof(out.text), "%" PRId64 "%c", large, large_unit);
	else
		snprintf(out.text, sizeof(out.text), "%" PRId64 "%c%" PRId64 "%c", large,
		         large_unit, small, small_unit);
	return out;
}

struct sluice_text sluice_text_duration(int64_t seconds)
{
	const int64_t minute = 60, hour = 3600, day = 86400;
	int64_t s = seconds > 0 ? seconds : 0; // clocks differ, ages are not negative

	if (s < 2 * minute)
		return two_units(s, 's', 0, 0);
	if (s < 10 * minute)
		return two_units(s / minute, 'm', s % minute, 's');
	if (s < 3 * hour)
		return two_units(s / minute, 'm', 0, 0);
	if (s < 8 * hour)
		return two_units(s / hour, 'h', s % hour / minute, 'm');
	if (s < 2 * day)
		return two_units(s / hour, 'h', 0, 0);
	if (s < 8 * day)
		return two_units(s / day, 'd', s % day / hour, 'h');
	return two_units(s / day, 'd', 0, 0);
}

bool sluice_text_time(const char *rfc3339, time_t *t)
{
	struct tm tm = {0};
	const char *rest = strptime(rfc3339, "%Y-%m-%dT%H:%M:%S", &tm);
	long offset;

	if (rest == NULL)
		return false;
	if (*rest == '.')
		rest += 1 + strspn(rest + 1, "0123456789");
	*t = timegm(&tm);
	if (strcmp(rest, "Z") == 0)
		return true;
	if (strptime(rest, "%z", &tm) == NULL)
		return false;
	offset = tm.tm_gmtoff;
	*t -= offset;
	return true;
}

struct sluice_text sluice_text_count(const json_t *object, const char *key)
{
	const json_t *value = json_object_get(object, key);
	struct sluice_text out = {"-"};

	if (json_is_integer(value))
		snprintf(out.text, sizeof(out.text), "%" JSON_INTEGER_FORMAT,
		         json_integer_value(value));
	return out;
}

struct sluice_text sluice_text_size(const json_t *object, const char *key)
{
	const json_t *value = json_object_get(object, key);

	if (!json_is_integer(value))
		return (struct sluice_text){"-"};
	return sluice_text_bytes((uint64_t)json_integer_value(value));
}

struct sluice_text sluice_text_age(const json_t *object, const char *key)
{
	const char *value = json_string_value(json_object_get(object, key));
	time_t then;

	if (value == NULL || !sluice_text_time(value, &then))
		return (struct sluice_text){"-"};
	return sluice_text_duration((int64_t)(time(NULL) - then));
}

const char *sluice_text_string(const json_t *object, const char *key)
{
	const char *value = json_string_value(json_object_get(object, key));

	return value != NULL && value[0] != '\0' ? value : "-";
}

struct sluice_text sluice_text_endpoint(const json_t *endpoint)
{
	const char *ip = sluice_text_string(endpoint, "ip");
	bool v6 = strchr(ip, ':') != NULL;
	struct sluice_text out;

	snprintf(out.text, sizeof(out.text), "%s%.64s%s:%.20s", v6 ? "[" : "", ip, v6 ? "]" : "",
	         sluice_text_count(endpoint, "port").text);
	return out;
}

void sluice_text_clean(char *text)
{
	for (char *c = text; *c != '\0'; c++)
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			*c = '?';
}

struct sluice_text sluice_text_share(uint64_t part, uint64_t total)
{
	struct sluice_text out = {"-"};

	if (total > 0)
		snprintf(out.text, sizeof(out.text), "%.1f%%",
		         100.0 * (double)part / (double)total);
	return out;
}
