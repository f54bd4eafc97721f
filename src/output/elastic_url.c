/* DESIGN: one pass over the URL's parts by strcspn; nothing is normalised but the end of the path.
 * The credentials leave the URL at once, so that neither libcurl's messages nor a redirect can show
 * them. An authority ends at the first `/`, `?` or `#`, as RFC 3986 has it: a password with such a
 * character has to be percent-encoded, or set by its own variable.
 */
#include "elastic_url.h"

#include "../base/text.h"

#include <string.h>
#include <strings.h>

static const char elastic_url_filter[] =
	"filter_path=errors,items.*.status,items.*.error.type,items.*.error.reason";

static bool elastic_url_is_printable(const char *string)
{
	for (; *string != '\0'; string++) {
		if ((unsigned char)*string <= ' ' || *string == 0x7f)
			return false;
	}
	return true;
}

static int elastic_url_hex(char digit)
{
	const char *digits = "0123456789abcdef0123456789ABCDEF", *at;

	at = digit == '\0' ? NULL : strchr(digits, digit);
	return at == NULL ? -1 : (int)(at - digits) % 16;
}

/* Percent-decoded. */
static void elastic_url_put_decoded(struct text *text, const char *bytes, size_t length)
{
	for (size_t i = 0; i < length; i++) {
		int high = length - i > 2 && bytes[i] == '%' ? elastic_url_hex(bytes[i + 1]) : -1;
		int low = high >= 0 ? elastic_url_hex(bytes[i + 2]) : -1;

		if (low >= 0)
			i += 2;
		text_put_char(text, low >= 0 ? (char)(high * 16 + low) : bytes[i]);
	}
}

static const char *elastic_url_after_scheme(const char *url)
{
	if (strncasecmp(url, "https://", 8) == 0)
		return url + 8;
	return strncasecmp(url, "http://", 7) == 0 ? url + 7 : NULL;
}

static bool elastic_url_has_filter(const char *query, size_t length)
{
	for (const char *at = query, *end = query + length; at < end;) {
		const char *next = memchr(at, '&', (size_t)(end - at));

		if ((size_t)(end - at) >= 12 && memcmp(at, "filter_path=", 12) == 0)
			return true;
		at = next == NULL ? end : next + 1;
	}
	return false;
}

/* `path` without slashes at its end, and with `/_bulk`. */
static void elastic_url_put_path(struct text *url, const char *path, size_t length)
{
	while (length > 0 && path[length - 1] == '/')
		length--;
	text_put_bytes(url, path, length);
	if (length < 6 || memcmp(path + length - 6, "/_bulk", 6) != 0)
		text_put(url, "/_bulk");
}

TL_INTERNAL enum tl_err elastic_url_build(struct text *url, struct text *user,
					  struct text *password, const char *given)
{
	const char *authority = elastic_url_after_scheme(given), *host, *at, *path, *query;
	size_t length, query_length;

	text_clear(url);
	text_clear(user);
	text_clear(password);
	if (authority == NULL || !elastic_url_is_printable(given))
		return TL_ERR_REFUSED;
	length = strcspn(authority, "/?#");
	path = authority + length;
	at = memrchr(authority, '@', length);
	host = at == NULL ? authority : at + 1;
	if (host == path || *host == ':')
		return TL_ERR_REFUSED;
	if (at != NULL) {
		const char *colon = memchr(authority, ':', (size_t)(at - authority));
		const char *user_end = colon == NULL ? at : colon;

		elastic_url_put_decoded(user, authority, (size_t)(user_end - authority));
		if (colon != NULL)
			elastic_url_put_decoded(password, colon + 1, (size_t)(at - colon - 1));
	}
	text_put_bytes(url, given, (size_t)(authority - given));
	text_put_bytes(url, host, (size_t)(path - host));
	elastic_url_put_path(url, path, strcspn(path, "?#"));
	query = path + strcspn(path, "?#");
	query_length = *query == '?' ? strcspn(query + 1, "#") : 0;
	text_put_char(url, '?');
	if (query_length > 0)
		text_put_bytes(url, query + 1, query_length);
	if (query_length == 0 || !elastic_url_has_filter(query + 1, query_length)) {
		if (query_length > 0)
			text_put_char(url, '&');
		text_put(url, elastic_url_filter);
	}
	return url->cut || user->cut || password->cut ? TL_ERR_FULL : TL_OK;
}

static bool elastic_url_is_name(const char *host, size_t length)
{
	bool has_letter = false;

	for (size_t i = 0; i < length; i++) {
		char c = host[i];
		bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');

		if (!is_letter && !(c >= '0' && c <= '9') && strchr("-_.", c) == NULL)
			return false;
		has_letter |= is_letter;
	}
	return has_letter;
}

TL_INTERNAL bool elastic_url_put_host(struct text *host, unsigned *port, const char *url)
{
	const char *at = elastic_url_after_scheme(url), *digit;
	size_t length = strcspn(at, ":/?#");

	text_clear(host);
	*port = strncasecmp(url, "https", 5) == 0 ? 443 : 80;
	if (at[length] == ':' && at[length + 1] >= '0' && at[length + 1] <= '9') {
		for (digit = at + length + 1, *port = 0;
		     *digit >= '0' && *digit <= '9' && *port < 65536; digit++)
			*port = *port * 10 + (unsigned)(*digit - '0');
	}
	if (*port > 65535 || !elastic_url_is_name(at, length))
		return false;
	text_put_bytes(host, at, length);
	return !host->cut;
}

TL_INTERNAL bool elastic_url_is_open(const char *url)
{
	const char *hosts[] = {"localhost", "127.", "[::1]"}, *host = url + 7;

	if (strncasecmp(url, "http://", 7) != 0)
		return false;
	for (size_t i = 0; i < TL_COUNT_OF(hosts); i++) {
		if (strncasecmp(host, hosts[i], strlen(hosts[i])) == 0)
			return false;
	}
	return true;
}

/* Bytes of several strings, one after another, as base64. */
static void elastic_url_put_base64(struct text *text, const char *const *parts, size_t count)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	uint32_t bits = 0;
	unsigned held = 0;

	for (size_t part = 0; part < count; part++) {
		for (const char *at = parts[part]; *at != '\0'; at++) {
			bits = bits << 8 | (unsigned char)*at;
			if (++held < 3)
				continue;
			for (int shift = 18; shift >= 0; shift -= 6)
				text_put_char(text, digits[bits >> shift & 63]);
			bits = held = 0;
		}
	}
	if (held == 0)
		return;
	bits <<= 8 * (3 - held);
	for (unsigned i = 0; i < 4; i++)
		text_put_char(text, i <= held ? digits[bits >> (18 - 6 * i) & 63] : '=');
}

/* Copies it without blanks at its ends. False: it does not fit, or holds a control character. */
static bool elastic_url_trim(const char *string, char *copy, size_t room)
{
	const char *start = string + strspn(string, " \t\r\n");
	size_t length = strlen(start);

	while (length > 0 && strchr(" \t\r\n", start[length - 1]) != NULL)
		length--;
	if (length >= room)
		return false;
	memcpy(copy, start, length);
	copy[length] = '\0';
	for (size_t i = 0; i < length; i++) {
		if ((unsigned char)copy[i] < ' ' || copy[i] == 0x7f)
			return false;
	}
	return true;
}

TL_INTERNAL enum tl_err elastic_url_authorize(struct text *value, const char *api_key,
					      const char *user, const char *password)
{
	char secret[4200];
	bool is_good =
		elastic_url_trim(*api_key != '\0' ? api_key : password, secret, sizeof(secret)) &&
		strpbrk(user, "\r\n") == NULL;

	text_clear(value);
	if (is_good && *api_key != '\0') {
		text_put(value, "ApiKey ");
		if (strchr(secret, ':') != NULL)
			elastic_url_put_base64(value, (const char *[]){secret}, 1);
		else
			text_put(value, secret);
	} else if (is_good && *user != '\0') {
		text_put(value, "Basic ");
		elastic_url_put_base64(value, (const char *[]){user, ":", secret}, 3);
	}
	explicit_bzero(secret, sizeof(secret));
	if (!is_good)
		return TL_ERR_REFUSED;
	return value->cut ? TL_ERR_FULL : TL_OK;
}

TL_INTERNAL void elastic_url_put_shown(struct text *text, const char *url)
{
	const char *rest = elastic_url_after_scheme(url), *at = strrchr(url, '@');

	if (rest == NULL)
		rest = url;
	text_put_bytes(text, url, (size_t)(rest - url));
	if (at != NULL && at >= rest)
		rest = at + 1;
	text_put_bytes(text, rest, strcspn(rest, "?#"));
}
