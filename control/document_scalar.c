// SPDX-License-Identifier: BSD-3-Clause
#include "control/document_scalar.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool word_is(const char *text, const char *const words[4])
{
	for (size_t i = 0; i < 4 && words[i] != NULL; i++) {
		if (strcmp(text, words[i]) == 0)
			return true;
	}
	return false;
}

// [-+]?[0-9]+ | 0o[0-7]+ | 0x[0-9a-fA-F]+ ; the base, or 0.
static int integer_base(const char *text)
{
	const char *digits = text + (text[0] == '-' || text[0] == '+');

	if (text[0] == '0' && text[1] == 'o')
		return text[2] != '\0' && text[2 + strspn(text + 2, "01234567")] == '\0' ? 8 : 0;
	if (text[0] == '0' && text[1] == 'x')
		return text[2] != '\0' &&
		                       text[2 + strspn(text + 2, "0123456789abcdefABCDEF")] == '\0'
		               ? 16
		               : 0;
	return digits[0] != '\0' && digits[strspn(digits, "0123456789")] == '\0' ? 10 : 0;
}

// [-+]? ( \. [0-9]+ | [0-9]+ ( \. [0-9]* )? ) ( [eE] [-+]? [0-9]+ )?
static bool is_float(const char *text)
{
	const char *p = text + (text[0] == '-' || text[0] == '+');
	size_t whole = strspn(p, "0123456789");
	size_t fraction = 0;

	p += whole;
	if (*p == '.') {
		fraction = strspn(p + 1, "0123456789");
		p += 1 + fraction;
	}
	if (whole + fraction == 0)
		return false;
	if (*p == 'e' || *p == 'E') {
		p++;
		p += *p == '-' || *p == '+';
		if (!isdigit((unsigned char)*p))
			return false;
		p += strspn(p, "0123456789");
	}
	return *p == '\0';
}

static json_t *read_real(const char *text, size_t len)
{
	double value = strtod(text, NULL);

	return isfinite(value) ? json_real(value) : json_stringn(text, len);
}

json_t *sluice_scalar_read(const char *text, size_t len)
{
	static const char *const nulls[4] = {"", "~", "null", "Null"};
	static const char *const trues[4] = {"true", "True", "TRUE"};
	static const char *const falses[4] = {"false", "False", "FALSE"};
	int base;

	if (word_is(text, nulls) || strcmp(text, "NULL") == 0)
		return json_null();
	if (word_is(text, trues))
		return json_true();
	if (word_is(text, falses))
		return json_false();
	base = integer_base(text);
	if (base != 0) {
		long long value;

		errno = 0;
		value = strtoll(base == 8 ? text + 2 : text, NULL, base);
		if (errno == 0)
			return json_integer(value);
		return base == 10 ? read_real(text, len) : json_stringn(text, len);
	}
	return is_float(text) ? read_real(text, len) : json_stringn(text, len);
}

// \uXXXX at text: its value, or -1.
static long escape_at(const char *text, size_t len)
{
	char digits[5] = "";

	if (len < 6 || text[0] != '\\' || text[1] != 'u')
		return -1;
	memcpy(digits, text + 2, 4);
	if (strspn(digits, "0123456789abcdefABCDEF") != 4)
		return -1;
	return strtol(digits, NULL, 16);
}

static bool is_json(const char *text, size_t len)
{
	size_t i = 0;

	while (i < len && strchr(" \t\r\n", text[i]) != NULL && text[i] != '\0')
		i++;
	return i < len && (text[i] == '{' || text[i] == '[');
}

// Whether there is a \ud anywhere: nearly all documents have none and are not copied.
static bool may_have_surrogates(const char *text, size_t len)
{
	for (size_t i = 2; i < len; i++) {
		if (text[i - 2] == '\\' && text[i - 1] == 'u' &&
		    tolower((unsigned char)text[i]) == 'd')
			return true;
	}
	return false;
}

// One step of the copy: how much of text was used, *written how much was put out.
static size_t copy_character(const char *text, size_t len, bool *quoted, char *out, size_t *written)
{
	long high = -1, low = -1;

	if (*quoted && text[0] == '\\') {
		high = escape_at(text, len);
		if (high >= 0xd800 && high < 0xdc00)
			low = escape_at(text + 6, len - 6);
		if (low >= 0xdc00 && low < 0xe000) {
			long code = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
			char escape[16];

			snprintf(escape, sizeof(escape), "\\U%08lx", (unsigned long)code);
			memcpy(out, escape, 10);
			*written = 10;
			return 12;
		}
		*written = len < 2 ? 1 : 2;
		memcpy(out, text, *written);
		return *written;
	}
	if (text[0] == '"')
		*quoted = !*quoted;
	out[0] = text[0];
	*written = 1;
	return 1;
}

int sluice_json_surrogates(const char *text, size_t len, char **out, size_t *out_len)
{
	bool quoted = false;
	size_t size = 0, written;

	*out = NULL;
	*out_len = len;
	if (!is_json(text, len) || !may_have_surrogates(text, len))
		return 0;
	*out = malloc(len);
	if (*out == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < len;) {
		i += copy_character(text + i, len - i, &quoted, *out + size, &written);
		size += written;
	}
	*out_len = size;
	return 0;
}
