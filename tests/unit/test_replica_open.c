/* SPDX-License-Identifier: MIT */
/* What settings become, or which sentence: control.md §4.8-4.10, cases.md §2.2 and §5.3. */
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/replica/settings.h"
#include "tests/check.h"
#include "tests/support/tmpdir.h"

/* "path", or the error; ours for a moment. */
static const char *verdict(const struct replica_settings *s, unsigned flags)
{
	static char text[1200];
	struct replica *r = NULL;
	struct err e = ERR_INIT;

	if (replica_open(s, flags, &r, &e))
		snprintf(text, sizeof(text), "%s%s", e.text, r ? " and a replica" : "");
	else
		snprintf(text, sizeof(text), "%s", r ? replica_path(r) : "(nothing)");
	replica_free(r);
	return text;
}

TEST(register_words)
{
	static const char *const rows[][2] = {
		{ "x", "replica url scheme required: x" },
		{ "/x", "replica url scheme required: /x" },
		{ "gcs://b/p", "unsupported replica URL scheme: \"gcs\"" },
		{ "http://h/p", "unsupported replica URL scheme: \"http\"" },
		{ "gs:///p", "bucket required for gs replica URL" },
		{ "abs:///p", "bucket required for abs replica URL" },
		{ "oss:///p", "bucket required for oss replica URL" },
		{ "nats://h:4222/", "bucket required for nats replica URL" },
		{ "sftp:///p", "host required for sftp replica URL" },
		{ "sftp://h/p", "user required for sftp replica URL" },
		{ "webdav:///p", "host required for webdav replica URL" },
		{ "gs://b/p", "replicas of type \"gs\" are not supported" },
		{ "nats://u:p@h:4222/bucket", "replicas of type \"nats\" are not supported" },
		{ "file:///r/../q", "/q" },
		{ "FILE:///q", "/q" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		CHECK_STR(verdict(&(struct replica_settings){ .url = rows[i][0] }, REPLICA_OPEN_REGISTER), rows[i][1]);
}

TEST(checked_only)
{
	CHECK_STR(verdict(&(struct replica_settings){ .url = "gs://b/p" }, REPLICA_OPEN_CHECK), "(nothing)");
	CHECK_STR(verdict(&(struct replica_settings){ .type = "sftp", .host = "h", .user = "u" }, REPLICA_OPEN_CHECK), "(nothing)");
	CHECK_STR(verdict(&(struct replica_settings){ .type = "sftp", .host = "h" }, REPLICA_OPEN_CHECK),
	          "user required for sftp replica");
	CHECK_STR(verdict(&(struct replica_settings){ .path = "/r" }, REPLICA_OPEN_CHECK), "/r");
}

/* cases.md §5.5 */
TEST(relative)
{
	char cwd[1024], want[1100];

	CHECK(getcwd(cwd, sizeof(cwd)) != NULL);
	CHECK_STR(verdict(&(struct replica_settings){ .path = "/R", .relative = "sub/4.db" }, 0), "/R/sub/4.db");
	CHECK_STR(verdict(&(struct replica_settings){ .url = "file:///R/", .relative = "1.db" }, 0), "/R/1.db");
	CHECK_STR(verdict(&(struct replica_settings){ .url = "file:///R?x=y", .relative = "1.db" }, 0), "/R/1.db");
	snprintf(want, sizeof(want), "%s/1.db", cwd);
	CHECK_STR(verdict(&(struct replica_settings){ .relative = "1.db" }, 0), want);
	snprintf(want, sizeof(want), "%s/R/1.db", cwd);
	CHECK_STR(verdict(&(struct replica_settings){ .path = "R", .relative = "1.db" }, 0), want);
}

TEST(name)
{
	struct replica *r;
	struct err e = ERR_INIT;
	char name[32], url[64];

	CHECK_OK(replica_open(&(struct replica_settings){ .url = "file:///r/./x", .name = "backup" }, 0, &r, &e), &e);
	snprintf(name, sizeof(name), "%s", r->name);
	snprintf(url, sizeof(url), "%s", r->url);
	replica_free(r);
	CHECK_STR(name, "backup");
	CHECK_STR(url, "file:///r/./x");
	CHECK_OK(replica_open(&(struct replica_settings){ .path = "/r", .name = "" }, 0, &r, &e), &e);
	bool none = r->name == NULL;
	replica_free(r);
	CHECK(none);
}

TEST(type)
{
	CHECK_STR(replica_settings_type(&(struct replica_settings){ .path = "/r" }), "file");
	CHECK_STR(replica_settings_type(&(struct replica_settings){ .type = "s3", .url = "webdavs://h" }), "webdav");
	CHECK_STR(replica_settings_type(&(struct replica_settings){ .type = "s3", .url = "zzz://h" }), NULL);
	CHECK_STR(replica_settings_type(&(struct replica_settings){ .type = "s3", .url = "no-url" }), "s3");
	CHECK_STR(replica_settings_type(&(struct replica_settings){ .type = "" }), "file");
}

TEST(only_some_kinds_have_a_lock)
{
	struct replica *r = NULL;
	struct err e = ERR_INIT;

	CHECK_INT(replica_open(&(struct replica_settings){ .path = "/r", .lease = REPLICA_YES }, 0, &r, &e), -1);
	CHECK_STR(e.text, "lease: a replica of type \"file\" cannot keep a second writer out");
	CHECK(!r);
	CHECK_INT(replica_open(&(struct replica_settings){ .path = "/r", .lease = REPLICA_NO }, 0, &r, &e), 0);
	replica_free(r);
	CHECK_INT(replica_open(&(struct replica_settings){ .url = "s3://b/p", .lease = REPLICA_YES }, REPLICA_OPEN_CHECK, &r, &e), 0);
	CHECK(r && r->lease);
	replica_free(r);
}

static int same_place(const struct replica_settings *a, const struct replica_settings *b)
{
	char *x = NULL, *y = NULL;
	int same = replica_settings_place(a, &x, NULL) == 0 && replica_settings_place(b, &y, NULL) == 0 && strcmp(x, y) == 0;

	free(x);
	free(y);
	return same;
}

TEST(place)
{
	const struct replica_settings file = { .path = "/r/x" }, s3 = { .type = "s3", .bucket = "b", .path = "p" };

	CHECK(same_place(&file, &(struct replica_settings){ .url = "file:///r/y/../x" }));
	CHECK(same_place(&file, &(struct replica_settings){ .path = "/r/", .relative = "x" }));
	CHECK(!same_place(&file, &(struct replica_settings){ .path = "/r", .relative = "y" }));
	CHECK(same_place(&s3, &(struct replica_settings){ .type = "s3", .bucket = "b", .path = "p", .region = "r" }));
	CHECK(!same_place(&s3, &(struct replica_settings){ .type = "oss", .bucket = "b", .path = "p" }));
	CHECK(!same_place(&s3, &(struct replica_settings){ .type = "s3", .bucket = "b", .path = "p", .relative = "x" }));
	CHECK(!same_place(&s3, &(struct replica_settings){ .type = "s3", .bucket = "b", .path = "p", .endpoint = "e" }));
	CHECK(same_place(&s3, &(struct replica_settings){ .url = "s3://b/p" }));
	CHECK(same_place(&s3, &(struct replica_settings){ .url = "s3://b/p/?region=eu-west-1" }));
	CHECK(same_place(&s3, &(struct replica_settings){ .type = "s3", .bucket = "b", .relative = "p" }));
	CHECK(same_place(&s3, &(struct replica_settings){ .url = "s3://b", .relative = "p" }));
	CHECK(same_place(&(struct replica_settings){ .type = "s3", .bucket = "b", .path = "p", .endpoint = "http://h:9000" },
	                 &(struct replica_settings){ .url = "s3://b/p?endpoint=http%3A%2F%2Fh%3A9000" }));
	CHECK(same_place(&(struct replica_settings){ .url = "s3://b.localhost:9000/p" },
	                 &(struct replica_settings){ .url = "s3://b/p?endpoint=http%3A%2F%2Flocalhost%3A9000" }));
	CHECK(!same_place(&(struct replica_settings){ .url = "s3://b/p?endpoint=a" },
	                  &(struct replica_settings){ .url = "s3://b/p?endpoint=b" }));
}

TEST(a_link_is_no_other_place)
{
	char real[400], link[400], below[800], behind[800];

	snprintf(real, sizeof(real), "%s", tmppath("real"));
	snprintf(link, sizeof(link), "%s", tmppath("link"));
	CHECK(mkdir(real, 0700) == 0 && symlink(real, link) == 0);
	snprintf(below, sizeof(below), "%s/not/there", real);
	snprintf(behind, sizeof(behind), "%s/not/there", link);
	CHECK(same_place(&(struct replica_settings){ .path = real }, &(struct replica_settings){ .path = link }));
	CHECK(same_place(&(struct replica_settings){ .path = below }, &(struct replica_settings){ .path = behind }));
	CHECK(!same_place(&(struct replica_settings){ .path = real }, &(struct replica_settings){ .path = behind }));
	CHECK(same_place(&(struct replica_settings){ .path = "not/there" }, &(struct replica_settings){ .path = "./not//there" }));
}

TEST_MAIN
