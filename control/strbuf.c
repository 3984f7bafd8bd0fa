// SPDX-License-Identifier: BSD-3-Clause
#include "control/strbuf.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	CAPACITY_MIN = 256,
};

void sluice_strbuf_free(struct sluice_strbuf *b)
{
	free(b->data);
	*b = (struct sluice_strbuf){0};
}

void sluice_strbuf_reset(struct sluice_strbuf *b)
{
	b->len = 0;
	b->failed = false;
	if (b->data)
		b->data[0] = '\0';
}

// Room for more bytes and a NUL behind them, or NULL.
static char *reserve(struct sluice_strbuf *b, size_t more)
{
	if (b->failed)
		return NULL;
	if (b->capacity - b->len <= more) {
		size_t capacity = b->capacity ? b->capacity : CAPACITY_MIN;

		while (capacity - b->len <= more)
			capacity *= 2;
		char *data = realloc(b->data, capacity);

		if (!data) {
			b->failed = true;
			return NULL;
		}
		b->data = data;
		b->capacity = capacity;
	}
	return b->data + b->len;
}

void sluice_strbuf_put(struct sluice_strbuf *b, const void *data, size_t len)
{
	char *to = reserve(b, len);

	if (!to)
		return;
	if (len)
		memcpy(to, data, len);
	b->len += len;
	b->data[b->len] = '\0';
}

void sluice_strbuf_puts(struct sluice_strbuf *b, const char *s)
{
	sluice_strbuf_put(b, s, strlen(s));
}

void sluice_strbuf_putc(struct sluice_strbuf *b, char c)
{
	sluice_strbuf_put(b, &c, 1);
}

// Writes the digits so that they end at end; returns where they start.
static char *digits(char *end, uint64_t value)
{
	do
		*--end = (char)('0' + value % 10);
	while (value /= 10);
	return end;
}

void sluice_strbuf_u64(struct sluice_strbuf *b, uint64_t value)
{
	char text[20];
	char *end = text + sizeof(text);
	char *start = digits(end, value);

	sluice_strbuf_put(b, start, (size_t)(end - start));
}

void sluice_strbuf_i64(struct sluice_strbuf *b, int64_t value)
{
	if (value < 0)
		sluice_strbuf_putc(b, '-');
	sluice_strbuf_u64(b, value < 0 ? -(uint64_t)value : (uint64_t)value);
}

void sluice_strbuf_printf(struct sluice_strbuf *b, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	int len = vsnprintf(NULL, 0, format, ap);
	va_end(ap);
	char *to = len < 0 ? NULL : reserve(b, (size_t)len);

	if (!to)
		return;
	va_start(ap, format);
	vsnprintf(to, (size_t)len + 1, format, ap);
	va_end(ap);
	b->len += (size_t)len;
}

void sluice_strbuf_json(struct sluice_strbuf *b, const char *s)
{
	const char *plain = s;

	sluice_strbuf_putc(b, '"');
	for (; *s; s++) {
		unsigned char c = (unsigned char)*s;

		if (c >= 0x20 && c != '"' && c != '\\')
			continue;
		sluice_strbuf_put(b, plain, (size_t)(s - plain));
		plain = s + 1;
		if (c == '"' || c == '\\')
			sluice_strbuf_printf(b, "\\%c", c);
		else if (c == '\n')
			sluice_strbuf_puts(b, "\\n");
		else
			sluice_strbuf_printf(b, "\\u%04x", c);
	}
	sluice_strbuf_put(b, plain, (size_t)(s - plain));
	sluice_strbuf_putc(b, '"');
}

void sluice_strbuf_address(struct sluice_strbuf *b, const struct sluice_address *a)
{
	unsigned len;
	const uint8_t *wire = sluice_address_wire(a, &len);

	if (len == 4) { // a thousand endpoints are written with each change: not by inet_ntop
		for (unsigned i = 0; i < 4; i++) {
			if (i)
				sluice_strbuf_putc(b, '.');
			sluice_strbuf_u64(b, wire[i]);
		}
		return;
	}
	char text[INET6_ADDRSTRLEN];

	sluice_strbuf_puts(b, inet_ntop(AF_INET6, wire, text, sizeof(text)));
}

void sluice_strbuf_endpoint(struct sluice_strbuf *b, const struct sluice_address *a, uint16_t port)
{
	bool v6 = sluice_address_family(a) == SLUICE_IPV6;

	if (v6)
		sluice_strbuf_putc(b, '[');
	sluice_strbuf_address(b, a);
	sluice_strbuf_puts(b, v6 ? "]:" : ":");
	sluice_strbuf_u64(b, port);
}
