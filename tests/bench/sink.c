/* SPDX-License-Identifier: MIT */
/*
 * sink - an S3 endpoint that costs as little as one can: what is uploaded is thrown away, and one object is served from
 * the page cache. Signatures are not looked at.
 *
 *   sink [-t CAFILE] [KEY FILE]
 *
 * Prints its port and serves until standard input ends. -t: over TLS, for the name localhost; CAFILE is written. KEY, as
 * in "app/0000/….ltx": this object is there, with FILE's bytes; no other is, whatever is uploaded.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/support/certs.h"
#include "tests/support/served.h"

enum { SWALLOW = 1 << 20 };

static const char *key = "";
static const char *object = "";
static long long object_size = -1;

static bool swallow(struct wire *w, long long n)
{
	long long have = (long long)(w->in_len - w->in_at) < n ? (long long)(w->in_len - w->in_at) : n;

	if (w->tls != NULL)
		return wire_read(w, NULL, (size_t)n);
	w->in_at += (size_t)have;
	for (n -= have; n > 0; n -= have) {
		have = recv(w->fd, NULL, n < SWALLOW ? (size_t)n : SWALLOW, MSG_TRUNC); /* TCP drops them without copying */
		if (have <= 0)
			return false;
	}
	return true;
}

static bool answer(struct wire *w, int status, const char *fields, const char *body)
{
	char text[2048];

	snprintf(text, sizeof(text), "HTTP/1.1 %d X\r\nContent-Length: %zu\r\n%s\r\n%s", status, strlen(body), fields, body);
	return wire_say(w, text);
}

static bool list(struct wire *w)
{
	char body[1024], item[512] = "";
	const char *prefix = strstr(w->head, "prefix=");

	/* Nothing but levels is listed in the bench; a prefix that goes deeper than the object's level finds nothing. */
	if (object_size >= 0 && prefix != NULL)
		snprintf(item, sizeof(item), "<Contents><Key>%s</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>"
		         "<ETag>&quot;one&quot;</ETag><Size>%lld</Size></Contents>", key, object_size);
	snprintf(body, sizeof(body), "<?xml version=\"1.0\"?><ListBucketResult><IsTruncated>false</IsTruncated>%s"
	         "</ListBucketResult>", item);
	return answer(w, 200, "Content-Type: application/xml\r\n", body);
}

static bool get(struct wire *w)
{
	const char *range = strcasestr(w->head, "\r\nrange: bytes=");
	long long from = 0, to = object_size - 1;
	char head[512];
	char *end;

	if (object_size < 0 || strstr(w->head, key) == NULL)
		return answer(w, 404, "", "<Error><Code>NoSuchKey</Code></Error>");
	if (range != NULL) {
		from = strtoll(range + 15, &end, 10);
		if (end[0] == '-' && end[1] >= '0' && end[1] <= '9')
			to = strtoll(end + 1, NULL, 10);
		if (to > object_size - 1)
			to = object_size - 1;
	}
	snprintf(head, sizeof(head), "HTTP/1.1 %d X\r\nContent-Length: %lld\r\nETag: \"one\"\r\n"
	         "Last-Modified: Thu, 01 Jan 2026 00:00:00 GMT\r\nContent-Range: bytes %lld-%lld/%lld\r\n\r\n",
	         range != NULL ? 206 : 200, to - from + 1, from, to, object_size);
	return wire_say(w, head) &&
	       (strncmp(w->head, "HEAD", 4) == 0 || wire_send(w, object + from, (size_t)(to - from + 1)));
}

static bool serve_one(struct wire *w)
{
	if (wire_has(w, "\r\nexpect: 100-continue") && !wire_say(w, "HTTP/1.1 100 Continue\r\n\r\n"))
		return false;
	if (!swallow(w, wire_length(w)))
		return false;
	if (strncmp(w->head, "PUT", 3) == 0)
		return answer(w, 200, "ETag: \"0123456789abcdef0123456789abcdef\"\r\n", "");
	if (strncmp(w->head, "DELETE", 6) == 0)
		return answer(w, 204, "", "");
	if (strncmp(w->head, "POST", 4) == 0 && wire_has(w, "uploads="))
		return answer(w, 200, "", "<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>");
	if (strncmp(w->head, "POST", 4) == 0 && wire_has(w, "uploadid="))
		return answer(w, 200, "", "<CompleteMultipartUploadResult><ETag>\"all-1\"</ETag></CompleteMultipartUploadResult>");
	if (strncmp(w->head, "POST", 4) == 0)
		return answer(w, 200, "", "<DeleteResult></DeleteResult>");
	return wire_has(w, "list-type=2") ? list(w) : get(w);
}

static void serve(struct wire *w, void *ctx)
{
	(void)ctx;
	while (wire_request(w) && serve_one(w))
		;
}

static int put_on(const char *name, const char *path)
{
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || fstat(fd, &st) < 0)
		return -1;
	key = name;
	object_size = st.st_size;
	object = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED | MAP_POPULATE, fd, 0);
	close(fd);
	return object == MAP_FAILED ? -1 : 0;
}

int main(int argc, char **argv)
{
	static struct served server = { .serve = serve };
	char byte;

	if (argc > 2 && strcmp(argv[1], "-t") == 0) {
		FILE *ca = fopen(argv[2], "w");

		if (ca == NULL || fputs(CERTS_CA, ca) < 0 || fclose(ca) != 0) {
			perror(argv[2]);
			return 1;
		}
		server.certificate = CERTS_GOOD;
		server.key = CERTS_LEAF_KEY;
		server.no_sessions = true;
		argv += 2;
		argc -= 2;
	}
	if ((argc > 2 && put_on(argv[1], argv[2]) != 0) || served_start(&server) != 0) {
		perror(argc > 2 ? argv[2] : "listen");
		return 1;
	}
	printf("%d\n", server.port);
	fflush(stdout);
	while (read(0, &byte, 1) > 0)
		;
	return 0;
}
