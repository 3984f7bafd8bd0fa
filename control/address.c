// SPDX-License-Identifier: BSD-3-Clause
#include "control/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int sluice_address_parse(const char *text, struct sluice_address *out)
{
	struct in6_addr v6;
	struct in_addr v4;

	// inet_pton refuses leading zeros, short forms and scope ids.
	if (inet_pton(AF_INET, text, &v4) == 1) {
		*out = sluice_address_from_v4(v4.s_addr);
		return 0;
	}
	if (inet_pton(AF_INET6, text, &v6) != 1 || IN6_IS_ADDR_V4MAPPED(&v6))
		return -EINVAL;
	*out = sluice_address_from_v6(&v6);
	return 0;
}

static const char *problem_v4(uint32_t host_order)
{
	if (host_order >> 24 == 0)
		return "is an unspecified address";
	if (host_order >> 24 == 127)
		return "is a loopback address";
	if (host_order >> 28 == 0xe)
		return "is a multicast address";
	if (host_order == UINT32_MAX)
		return "is the broadcast address";
	return NULL;
}

static const char *problem_v6(const struct in6_addr *a)
{
	if (IN6_IS_ADDR_UNSPECIFIED(a))
		return "is an unspecified address";
	if (IN6_IS_ADDR_LOOPBACK(a))
		return "is a loopback address";
	if (IN6_IS_ADDR_MULTICAST(a))
		return "is a multicast address";
	if (IN6_IS_ADDR_LINKLOCAL(a))
		return "is a link-local address";
	return NULL;
}

const char *sluice_address_problem(const struct sluice_address *address)
{
	struct in6_addr v6;

	if (sluice_address_family(address) == SLUICE_IPV4)
		return problem_v4(ntohl(sluice_address_v4(address)));
	memcpy(&v6, address->bytes, sizeof(v6));
	return problem_v6(&v6);
}

const char *sluice_address_format(const struct sluice_address *address,
                                  char out[static SLUICE_ADDRESS_TEXT])
{
	unsigned len;
	const uint8_t *wire = sluice_address_wire(address, &len);

	inet_ntop(len == 4 ? AF_INET : AF_INET6, wire, out, SLUICE_ADDRESS_TEXT);
	return out;
}

int sluice_number_parse(const char *text, uint32_t min, uint32_t max, uint32_t *out)
{
	uint64_t value = 0;
	size_t i;

	for (i = 0; text[i] >= '0' && text[i] <= '9' && i < 10; i++)
		value = value * 10 + (uint64_t)(text[i] - '0');
	if (i == 0 || text[i] != '\0' || (text[0] == '0' && i > 1))
		return -EINVAL;
	if (value < min || value > max)
		return -EINVAL;
	*out = (uint32_t)value;
	return 0;
}

// Address part and port part of text[0..len), copied out of it.
static int endpoint_split(const char *text, size_t len, char address[SLUICE_ADDRESS_TEXT],
                          char port[8])
{
	const char *colon = memrchr(text, ':', len);
	const char *start = text;
	const char *end = colon;

	if (colon == NULL)
		return -EINVAL;
	if (text[0] == '[') {
		start++;
		end--;
		if (end <= start || *end != ']' ||
		    memchr(start, ':', (size_t)(end - start)) == NULL)
			return -EINVAL;
	} else if (memchr(text, ':', (size_t)(colon - text)) != NULL) {
		return -EINVAL; // IPv6 wants its brackets
	}

	size_t address_len = (size_t)(end - start);
	size_t port_len = len - (size_t)(colon + 1 - text);

	if (address_len >= SLUICE_ADDRESS_TEXT || port_len >= 8)
		return -EINVAL;
	memcpy(address, start, address_len);
	address[address_len] = '\0';
	memcpy(port, colon + 1, port_len);
	port[port_len] = '\0';
	return 0;
}

static int endpoint_parse(const char *text, size_t len, struct sluice_address *address,
                          uint16_t *port)
{
	char address_text[SLUICE_ADDRESS_TEXT], port_text[8];
	struct sluice_address parsed;
	uint32_t number;

	if (endpoint_split(text, len, address_text, port_text) < 0)
		return -EINVAL;
	if (sluice_address_parse(address_text, &parsed) < 0)
		return -EINVAL;
	if (sluice_number_parse(port_text, 1, 65535, &number) < 0)
		return -EINVAL;
	*address = parsed;
	*port = (uint16_t)number;
	return 0;
}

int sluice_endpoint_parse(const char *text, struct sluice_address *address, uint16_t *port)
{
	return endpoint_parse(text, strlen(text), address, port);
}

int sluice_endpoint_weight_parse(const char *text, struct sluice_address *address, uint16_t *port,
                                 uint16_t *weight, bool *weighted)
{
	const char *equals = strchr(text, '=');
	uint32_t number = 0;

	if (equals != NULL && sluice_number_parse(equals + 1, 0, 65535, &number) < 0)
		return -EINVAL;
	if (endpoint_parse(text, equals != NULL ? (size_t)(equals - text) : strlen(text), address,
	                   port) < 0)
		return -EINVAL;
	*weighted = equals != NULL;
	if (equals != NULL)
		*weight = (uint16_t)number;
	return 0;
}

const char *sluice_endpoint_format(const struct sluice_address *address, uint16_t port,
                                   char out[static SLUICE_ENDPOINT_TEXT])
{
	char text[SLUICE_ADDRESS_TEXT];
	bool v4 = sluice_address_family(address) == SLUICE_IPV4;

	snprintf(out, SLUICE_ENDPOINT_TEXT, v4 ? "%s:%u" : "[%s]:%u",
	         sluice_address_format(address, text), port);
	return out;
}
