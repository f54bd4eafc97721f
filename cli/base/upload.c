#include "upload.h"

#include "../../src/base/text.h"
#include "../../src/output/elastic_bulk.h"
#include "../../src/output/elastic_url.h"
#include "fail.h"
#include "keep.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define UPLOAD_SECRET    4096
#define UPLOAD_CONNECT_S 5L
#define UPLOAD_TOTAL_S   60L

static struct {
	CURL *curl;
	char *url;
	struct curl_slist *headers;
	char *reply;
	size_t reply_length;
	bool reply_is_too_long;
} upload;

/* "" when it is not set. */
static const char *upload_setting(const char *name)
{
	const char *value = getenv(name);

	return value != NULL ? value : "";
}

/* The setting, or what stands in the file that NAME_FILE names. */
static const char *upload_secret(const char *name)
{
	const char *value = upload_setting(name);
	char *variable = keep_text("%s_FILE", name), *secret;
	const char *path = upload_setting(variable);
	FILE *file;
	size_t length;

	if (*value != '\0' || *path == '\0')
		return value;
	file = fopen(path, "re");
	if (file == NULL)
		fail("%s: %s: %s", variable, path, strerror(errno));
	secret = keep_alloc(UPLOAD_SECRET + 1, 1);
	length = fread(secret, 1, UPLOAD_SECRET, file);
	if (ferror(file))
		fail("%s: %s: %s", variable, path, strerror(errno));
	fclose(file);
	secret[length] = '\0';
	return secret;
}

static bool upload_verifies(void)
{
	static const char *const off[] = {"0", "false", "no", "off"};
	const char *value = upload_setting("ELASTICSEARCH_SSL_VERIFY");

	for (size_t i = 0; i < sizeof(off) / sizeof(off[0]); i++) {
		if (strcasecmp(value, off[i]) == 0) {
			fail_softly("warning: ELASTICSEARCH_SSL_VERIFY is off: anybody can answer "
				    "in the server's name");
			return false;
		}
	}
	return true;
}

/* The header that says who we are, if anybody. */
static void upload_authorize(const char *url_user, const char *url_password)
{
	static const char header[] = "Authorization: ";
	const char *user = upload_setting("ELASTICSEARCH_USERNAME");
	const char *key = upload_secret("ELASTICSEARCH_API_KEY");
	bool is_url = *user == '\0';
	char *line = keep_alloc(3 * UPLOAD_SECRET, 1);
	size_t start = strlen(header);
	struct text value = text_over(line + start, 3 * UPLOAD_SECRET - start - 1);

	if (elastic_url_authorize(&value, key, is_url ? url_user : user,
				  is_url ? url_password
					 : upload_secret("ELASTICSEARCH_PASSWORD")) != TL_OK)
		fail("the credentials hold a control character, or are too long");
	memcpy(line, header, start);
	text_terminate(&value);
	if (value.length == 0)
		return;
	if (elastic_url_is_open(upload.url))
		fail_softly("warning: ELASTICSEARCH_URL is http: the credentials can be read on "
			    "their way");
	upload.headers = curl_slist_append(upload.headers, line);
}

static size_t upload_take(char *bytes, size_t size, size_t count, void *unused)
{
	size_t length = size * count;

	(void)unused;
	if (length > UPLOAD_REPLY - upload.reply_length) {
		upload.reply_is_too_long = true;
		return 0; /* ends the transfer */
	}
	memcpy(upload.reply + upload.reply_length, bytes, length);
	upload.reply_length += length;
	return length;
}

static void upload_set_file(CURLoption option, const char *name)
{
	const char *path = upload_setting(name);

	if (*path != '\0')
		curl_easy_setopt(upload.curl, option, path);
}

static void upload_set_options(void)
{
	CURL *curl = upload.curl;
	bool verifies = strncasecmp(upload.url, "https", 5) != 0 || upload_verifies();

	curl_easy_setopt(curl, CURLOPT_URL, upload.url);
	curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(curl, CURLOPT_PROXY, ""); /* none, whatever the environment says */
	curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, UPLOAD_CONNECT_S);
	curl_easy_setopt(curl, CURLOPT_TIMEOUT, UPLOAD_TOTAL_S);
	curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, verifies ? 1L : 0L);
	curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, verifies ? 2L : 0L);
	upload_set_file(CURLOPT_CAINFO, "ELASTICSEARCH_CA_FILE");
	upload_set_file(CURLOPT_SSLCERT, "ELASTICSEARCH_CLIENT_CERT");
	upload_set_file(CURLOPT_SSLKEY, "ELASTICSEARCH_CLIENT_KEY");
	curl_easy_setopt(curl, CURLOPT_USERAGENT, "trackleak/" TL_VERSION);
	curl_easy_setopt(curl, CURLOPT_HTTPHEADER, upload.headers);
	curl_easy_setopt(curl, CURLOPT_POST, 1L);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, upload_take);
}

const char *upload_start(void)
{
	const char *given = upload_setting("ELASTICSEARCH_URL");
	const char *index = upload_setting("ELASTICSEARCH_INDEX");
	size_t room = strlen(given) + 256;
	char *user_buffer = keep_alloc(room, 1), *password_buffer = keep_alloc(room, 1);
	struct text url, user = text_over(user_buffer, room - 1),
			 password = text_over(password_buffer, room - 1);

	upload.url = keep_alloc(room, 1);
	url = text_over(upload.url, room - 1);
	if (*given == '\0')
		fail("ELASTICSEARCH_URL is not set: it says where the documents go");
	if (elastic_url_build(&url, &user, &password, given) != TL_OK)
		fail("ELASTICSEARCH_URL is no http or https URL");
	if (*index == '\0')
		index = "trackleak-memory";
	if (!elastic_bulk_index_is_valid(index))
		fail("ELASTICSEARCH_INDEX=%s is no index name", index);
	upload.reply = keep_alloc(UPLOAD_REPLY, 1);
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK ||
	    (upload.curl = curl_easy_init()) == NULL)
		fail("libcurl cannot be started");
	upload.headers = curl_slist_append(NULL, "Content-Type: application/x-ndjson");
	upload.headers = curl_slist_append(upload.headers, "Expect:"); /* no 100-continue */
	upload_authorize(user_buffer, password_buffer);
	upload_set_options();
	return index;
}

void upload_post(const char *body, size_t length, struct upload_answer *answer)
{
	CURLcode result;
	curl_off_t retry_after_s = 0;

	*answer = (struct upload_answer){.reply = upload.reply};
	upload.reply_length = 0;
	upload.reply_is_too_long = false;
	curl_easy_setopt(upload.curl, CURLOPT_ERRORBUFFER, answer->error);
	curl_easy_setopt(upload.curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)length);
	curl_easy_setopt(upload.curl, CURLOPT_POSTFIELDS, body);
	result = curl_easy_perform(upload.curl);
	answer->length = upload.reply_length;
	answer->is_too_long = upload.reply_is_too_long;
	if (result != CURLE_OK && !answer->is_too_long) {
		if (answer->error[0] == '\0')
			snprintf(answer->error, sizeof(answer->error), "%s",
				 curl_easy_strerror(result));
		return;
	}
	curl_easy_getinfo(upload.curl, CURLINFO_RESPONSE_CODE, &answer->status);
	curl_easy_getinfo(upload.curl, CURLINFO_RETRY_AFTER, &retry_after_s);
	answer->retry_after_s = (double)retry_after_s;
}
