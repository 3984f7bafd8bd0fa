// SPDX-License-Identifier: BSD-3-Clause
#include "control/ctl/names.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

enum {
	PART_MAX = 253, // a DNS name; Kubernetes allows less
};

static size_t escape(const char *text, size_t length, char *out)
{
	static const char plain[] =
	        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~";
	static const char hex[] = "0123456789ABCDEF";
	char *p = out;

	for (size_t i = 0; i < length; i++) {
		unsigned char c = (unsigned char)text[i];

		if (strchr(plain, c) != NULL) {
			*p++ = (char)c;
			continue;
		}
		*p++ = '%';
		*p++ = hex[c >> 4];
		*p++ = hex[c & 15];
	}
	*p = '\0';
	return (size_t)(p - out);
}

static bool part_valid(const char *text, size_t length)
{
	bool dots = (length == 1 && text[0] == '.') || (length == 2 && memcmp(text, "..", 2) == 0);

	return length > 0 && length <= PART_MAX && !dots;
}

enum sluice_ctl_exit sluice_name_read(const struct sluice_ctl *ctl, const char *text,
                                      struct sluice_name *name)
{
	const char *slash = strchr(text, '/');
	const char *base = slash != NULL ? slash + 1 : text;
	const char *space = slash != NULL             ? text
	                    : ctl->namespace_ != NULL ? ctl->namespace_
	                                              : "default";
	size_t space_length = slash != NULL ? (size_t)(slash - text) : strlen(space);
	static const char prefix[] = "/v1/services/";
	char *p = name->path;

	if (!part_valid(space, space_length) || !part_valid(base, strlen(base)) ||
	    strchr(base, '/') != NULL) {
		sluice_ctl_complain("'%s' is not the name of a service (name, or namespace/name)",
		                    text);
		return SLUICE_CTL_USAGE;
	}
	if (slash != NULL && ctl->namespace_ != NULL &&
	    (strlen(ctl->namespace_) != space_length ||
	     memcmp(ctl->namespace_, space, space_length) != 0)) {
		sluice_ctl_complain("'%s' is not in namespace '%s': give one of the two", text,
		                    ctl->namespace_);
		return SLUICE_CTL_USAGE;
	}
	snprintf(name->full, sizeof(name->full), "%.*s/%s", (int)space_length, space, base);
	memcpy(p, prefix, sizeof(prefix));
	p += sizeof(prefix) - 1;
	p += escape(space, space_length, p);
	*p++ = '/';
	escape(base, strlen(base), p);
	return SLUICE_CTL_DONE;
}

// A decimal number and nothing else, up to 65535; -1 where it is none.
static int number(const char *text)
{
	size_t length = strlen(text);
	long value;

	if (length == 0 || length > 5 || strspn(text, "0123456789") != length)
		return -1;
	value = strtol(text, NULL, 10);
	return value <= UINT16_MAX ? (int)value : -1;
}

// Splits copy into address and port at the last colon. NULL, or what is wrong.
static const char *split(char *copy, char **address, char **port)
{
	char *colon = strrchr(copy, ':');
	char *end;

	if (copy[0] == '[') {
		end = strchr(copy, ']');
		if (end == NULL || end[1] != ':')
			return "an IPv6 endpoint is written [ADDR]:PORT";
		*end = '\0';
		*address = copy + 1;
		*port = end + 2;
		return NULL;
	}
	if (colon == NULL)
		return "the port is missing: ADDR:PORT";
	if (strchr(copy, ':') != colon)
		return "an IPv6 endpoint is written [ADDR]:PORT";
	*colon = '\0';
	*address = copy;
	*port = colon + 1;
	return NULL;
}

static const char *parse(char *copy, bool weight_allowed, json_t *endpoint)
{
	char *equals = strchr(copy, '=');
	char *address, *port;
	unsigned char bytes[16];
	const char *wrong;
	int value = -1;

	if (equals != NULL && !weight_allowed)
		return "a weight has no place here";
	if (equals != NULL) {
		*equals = '\0';
		value = number(equals + 1);
		if (value < 0)
			return "the weight is not a number from 0 to 65535";
	}
	wrong = split(copy, &address, &port);
	if (wrong != NULL)
		return wrong;
	if (inet_pton(copy[0] == '[' ? AF_INET6 : AF_INET, address, bytes) != 1)
		return "the address is not an IPv4 or IPv6 address";
	json_object_set_new(endpoint, "ip", json_string(address));
	if (number(port) <= 0)
		return "the port is not a number from 1 to 65535";
	json_object_set_new(endpoint, "port", json_integer(number(port)));
	if (equals != NULL)
		json_object_set_new(endpoint, "weight", json_integer(value));
	return NULL;
}

json_t *sluice_endpoint_read(const char *text, bool weight_allowed)
{
	json_t *endpoint = json_object();
	char *copy = strdup(text);
	const char *wrong;

	if (endpoint == NULL || copy == NULL)
		abort(); // out of memory
	wrong = parse(copy, weight_allowed, endpoint);
	free(copy);
	if (wrong == NULL)
		return endpoint;
	sluice_ctl_complain("endpoint '%s': %s", text, wrong);
	json_decref(endpoint);
	return NULL;
}
