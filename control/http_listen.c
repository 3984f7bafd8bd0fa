// SPDX-License-Identifier: BSD-3-Clause
// Listening sockets for the HTTP servers.
#include <errno.h>
#include <grp.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "control/config.h"
#include "control/http_server.h"

enum {
	BACKLOG = 128,
};

__attribute__((format(printf, 3, 4))) static int refuse(struct sluice_error *e, int status,
                                                        const char *format, ...)
{
	char message[512];
	va_list ap;

	va_start(ap, format);
	vsnprintf(message, sizeof(message), format, ap);
	va_end(ap);
	sluice_error_set(e, status, status == 409 ? "conflict" : "listen", NULL, "%s", message);
	return -1;
}

// Removes the file of a process that is gone. -1: somebody listens, or it is no socket.
static int remove_stale(const struct sockaddr_un *address, struct sluice_error *e)
{
	const char *path = address->sun_path;
	struct stat st;

	if (lstat(path, &st) < 0)
		return errno == ENOENT ? 0 : refuse(e, 503, "%s: %s", path, strerror(errno));
	if (!S_ISSOCK(st.st_mode))
		return refuse(e, 409, "%s is there and no socket", path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return refuse(e, 503, "socket: %s", strerror(errno));
	int r = connect(fd, (const struct sockaddr *)address, sizeof(*address));
	int reason = r < 0 ? errno : 0;

	close(fd);
	if (reason != ECONNREFUSED) // EAGAIN: a living one with a full backlog
		return refuse(e, 409, "another process listens on %s", path);
	if (unlink(path) < 0 && errno != ENOENT)
		return refuse(e, 503, "%s: %s", path, strerror(errno));
	return 0;
}

static int make_parent(const char *path, struct sluice_error *e)
{
	char parent[sizeof(((struct sockaddr_un *)0)->sun_path)];

	snprintf(parent, sizeof(parent), "%s", path);
	char *slash = strrchr(parent, '/');

	if (!slash || slash == parent)
		return 0;
	*slash = '\0';
	if (mkdir(parent, 0755) < 0 && errno != EEXIST)
		return refuse(e, 503, "%s: %s", parent, strerror(errno));
	return 0;
}

static int set_owner(const char *path, mode_t mode, const char *group, struct sluice_error *e)
{
	const struct group *g = getgrnam(group ? group : SLUICE_SOCKET_GROUP);

	if (!g && group)
		return refuse(e, 400, "there is no group '%s' for the socket", group);
	if (g && chown(path, (uid_t)-1, g->gr_gid) < 0 && group)
		return refuse(e, 503, "%s: group %s: %s", path, group, strerror(errno));
	if (chmod(path, mode) < 0)
		return refuse(e, 503, "%s: mode: %s", path, strerror(errno));
	return 0;
}

int sluice_http_listen_unix(const char *path, mode_t mode, const char *group,
                            struct sluice_error *e)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	if (strlen(path) >= sizeof(address.sun_path))
		return refuse(e, 400, "socket path %s is too long (%zu bytes at most)", path,
		              sizeof(address.sun_path) - 1);
	memcpy(address.sun_path, path, strlen(path));
	if (make_parent(path, e) < 0 || remove_stale(&address, e) < 0)
		return -1;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return refuse(e, 503, "socket: %s", strerror(errno));
	mode_t mask = umask(0177); // nobody else gets in before owner and mode are set
	int r = bind(fd, (struct sockaddr *)&address, sizeof(address));

	umask(mask);
	if (r < 0)
		r = refuse(e, 503, "%s: %s", path, strerror(errno));
	else
		r = set_owner(path, mode, group, e);
	if (r == 0 && listen(fd, BACKLOG) < 0)
		r = refuse(e, 503, "%s: %s", path, strerror(errno));
	if (r < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

// "127.0.0.1:9690", "[::1]:9690" -> host and service.
static int split(char *text, const char **host, const char **service)
{
	char *colon = strrchr(text, ':');

	if (!colon)
		return -EINVAL;
	*colon = '\0';
	*service = colon + 1;
	*host = text;
	if (text[0] == '[' && colon > text && colon[-1] == ']') {
		colon[-1] = '\0';
		*host = text + 1;
	}
	return **host && **service ? 0 : -EINVAL;
}

static int listen_on(const struct addrinfo *a)
{
	int on = 1;
	int fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (a->ai_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
	if (bind(fd, a->ai_addr, a->ai_addrlen) < 0 || listen(fd, BACKLOG) < 0) {
		int r = -errno;

		close(fd);
		return r;
	}
	return fd;
}

int sluice_http_listen_tcp(const char *listen_text, struct sluice_error *e)
{
	struct addrinfo hints = {
	        .ai_socktype = SOCK_STREAM,
	        .ai_flags = AI_PASSIVE | AI_NUMERICHOST | AI_NUMERICSERV,
	};
	struct addrinfo *found = NULL;
	const char *host, *service;
	char *text = strdup(listen_text);
	int fd = -EINVAL;

	if (!text)
		return refuse(e, 503, "out of memory");
	if (split(text, &host, &service) == 0 && getaddrinfo(host, service, &hints, &found) == 0)
		fd = listen_on(found);
	if (found)
		freeaddrinfo(found);
	free(text);
	if (fd < 0)
		return refuse(e,
		              fd == -EINVAL       ? 400
		              : fd == -EADDRINUSE ? 409
		                                  : 503,
		              "cannot listen on %s: %s", listen_text,
		              fd == -EINVAL ? "not ADDRESS:PORT" : strerror(-fd));
	return fd;
}
