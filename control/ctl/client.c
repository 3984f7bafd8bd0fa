// SPDX-License-Identifier: BSD-3-Clause
#include "control/ctl/client.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>

enum {
	ANSWER_MAX = 512 << 20, // a daemon gone mad must not take the client's memory along
};

struct sluice_client {
	CURL *curl;
	const char *socket;
	unsigned timeout_ms;
};

struct buffer {
	char *bytes;
	size_t size, room;
};

struct sluice_client *sluice_client_new(const char *socket, unsigned timeout_ms)
{
	struct sluice_client *client = calloc(1, sizeof(*client));

	if (client == NULL)
		return NULL;
	client->socket = socket;
	client->timeout_ms = timeout_ms;
	client->curl = curl_easy_init();
	if (client->curl == NULL) {
		free(client);
		return NULL;
	}
	return client;
}

void sluice_client_free(struct sluice_client *client)
{
	if (client == NULL)
		return;
	curl_easy_cleanup(client->curl);
	free(client);
}

void sluice_answer_clear(struct sluice_answer *answer)
{
	json_decref(answer->json);
	free(answer->refusal);
	*answer = (struct sluice_answer){0};
}

static size_t collect(char *data, size_t size, size_t count, void *context)
{
	struct buffer *buffer = context;
	size_t length = size * count;

	if (length > ANSWER_MAX - buffer->size)
		return 0;
	if (buffer->size + length > buffer->room) {
		size_t room = 2 * (buffer->size + length);
		char *bytes = realloc(buffer->bytes, room);

		if (bytes == NULL)
			return 0;
		buffer->bytes = bytes;
		buffer->room = room;
	}
	memcpy(buffer->bytes + buffer->size, data, length);
	buffer->size += length;
	return length;
}

static const char *connect_reason(const struct sluice_client *client, long error)
{
	struct stat st;

	if (error == EACCES || error == EPERM)
		return "permission denied (be root, or in the group of the socket: 'sluice')";
	if (error == ENOENT)
		return "there is no such socket (is sluiced running? is it another path? -s "
		       "SOCKET)";
	if (error == ECONNREFUSED && stat(client->socket, &st) == 0 && !S_ISSOCK(st.st_mode))
		return "not a socket";
	if (error == ECONNREFUSED)
		return "nobody listens there (is sluiced running?)";
	return error != 0 ? strerror((int)error) : "cannot connect";
}

// Why nobody answered. A change may have been made all the same, once it was sent.
static void complain_unreachable(const struct sluice_client *client, CURLcode code,
                                 const struct sluice_request *request)
{
	const char *doubt =
	        strcmp(request->method, "GET") == 0
	                ? ""
	                : "; the change may have been made or not, check before retrying";
	long error = 0;

	switch (code) {
	case CURLE_COULDNT_CONNECT:
		curl_easy_getinfo(client->curl, CURLINFO_OS_ERRNO, &error);
		sluice_ctl_complain("%s: %s", client->socket, connect_reason(client, error));
		break;
	case CURLE_OPERATION_TIMEDOUT:
		sluice_ctl_complain("%s: the daemon did not answer within %g s%s", client->socket,
		                    client->timeout_ms / 1000.0, doubt);
		break;
	case CURLE_GOT_NOTHING:
	case CURLE_RECV_ERROR:
	case CURLE_SEND_ERROR:
	case CURLE_PARTIAL_FILE:
		sluice_ctl_complain("%s: the daemon closed the connection before its answer%s",
		                    client->socket, doubt);
		break;
	default:
		sluice_ctl_complain("%s: %s%s", client->socket, curl_easy_strerror(code), doubt);
	}
}

static CURLcode perform(struct sluice_client *client, const struct sluice_request *request,
                        struct buffer *buffer)
{
	CURL *curl = client->curl;
	struct curl_slist *headers = NULL;
	char url[2048], type[128];
	CURLcode code;

	snprintf(url, sizeof(url), "http://sluice%s", request->path);
	curl_easy_reset(curl);
	curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, client->socket);
	curl_easy_setopt(curl, CURLOPT_URL, url);
	curl_easy_setopt(curl, CURLOPT_PATH_AS_IS, 1L);
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_USERAGENT, "sluicectl/" SLUICE_VERSION);
	curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)client->timeout_ms);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, collect);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, buffer);
	headers = curl_slist_append(headers, "Expect:"); // no round trip before a big body
	if (request->body != NULL) {
		snprintf(type, sizeof(type), "Content-Type: %s", request->content_type);
		headers = curl_slist_append(headers, type);
		curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body_size);
		curl_easy_setopt(curl, CURLOPT_POSTFIELDS, request->body);
	}
	curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, request->method);
	curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
	code = curl_easy_perform(curl);
	curl_slist_free_all(headers);
	return code;
}

static void read_refusal(struct sluice_answer *answer)
{
	const json_t *error = json_object_get(answer->json, "error");
	const char *message = json_string_value(json_object_get(error, "message"));
	const char *path = json_string_value(json_object_get(error, "path"));
	bool placed = path != NULL && path[0] != '\0';
	int n;

	if (message != NULL)
		n = asprintf(&answer->refusal, "%s%s%s", placed ? path : "", placed ? ": " : "",
		             message);
	else
		n = asprintf(&answer->refusal, "the daemon answered HTTP %ld", answer->status);
	if (n < 0)
		abort(); // out of memory
	answer->line = (unsigned)json_integer_value(json_object_get(error, "line"));
}

enum sluice_ctl_exit sluice_client_request(struct sluice_client *client,
                                           const struct sluice_request *request,
                                           struct sluice_answer *answer)
{
	struct buffer buffer = {0};
	CURLcode code;

	*answer = (struct sluice_answer){0};
	if (strlen(client->socket) >= sizeof(((struct sockaddr_un *)NULL)->sun_path)) {
		sluice_ctl_complain("%s: too long for the path of a socket", client->socket);
		return SLUICE_CTL_UNREACHABLE;
	}
	code = perform(client, request, &buffer);
	if (code != CURLE_OK) {
		complain_unreachable(client, code, request);
		free(buffer.bytes);
		return SLUICE_CTL_UNREACHABLE;
	}
	curl_easy_getinfo(client->curl, CURLINFO_RESPONSE_CODE, &answer->status);
	if (buffer.size > 0)
		answer->json = json_loadb(buffer.bytes, buffer.size, 0, NULL);
	free(buffer.bytes);
	if (answer->status >= 400) {
		read_refusal(answer);
		return SLUICE_CTL_REFUSED;
	}
	if (answer->status < 200 || answer->status > 299 || !json_is_object(answer->json)) {
		sluice_ctl_complain("%s: what listens there does not answer as sluiced does",
		                    client->socket);
		return SLUICE_CTL_UNREACHABLE;
	}
	return SLUICE_CTL_DONE;
}

enum sluice_ctl_exit sluice_client_call(struct sluice_client *client, const char *method,
                                        const char *path, json_t *body,
                                        struct sluice_answer *answer)
{
	struct sluice_request request = {
	        .method = method, .path = path, .content_type = "application/json"};
	enum sluice_ctl_exit result;
	char *text = NULL;

	if (body != NULL) {
		text = json_dumps(body, JSON_COMPACT);
		json_decref(body);
		if (text == NULL)
			abort(); // out of memory
		request.body = text;
		request.body_size = strlen(text);
	}
	result = sluice_client_request(client, &request, answer);
	free(text);
	if (result == SLUICE_CTL_REFUSED)
		sluice_ctl_complain("%s", answer->refusal);
	return result;
}
