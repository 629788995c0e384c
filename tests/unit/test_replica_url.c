/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <unistd.h>

#include "lib/replica/replica.h"
#include "tests/check.h"

TEST(is_url)
{
	static const char *const yes[] = { "s3://x", "file:///p", "https://x", "a_1://" };
	static const char *const no[] = { "/p", "rel/p", "", "://x", "a-b://x", "s3:/x", "file:/x", " s3://x" };

	for (size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); i++)
		CHECK(replica_is_url(yes[i]));
	for (size_t i = 0; i < sizeof(no) / sizeof(no[0]); i++)
		CHECK(!replica_is_url(no[i]));
}

TEST(type_of_url)
{
	static const char *const types[] = { "s3", "gs", "abs", "file", "sftp", "nats", "oss", "webdav" };
	char url[64];

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		snprintf(url, sizeof(url), "%s://x/y", types[i]);
		CHECK_STR(replica_url_type(url), types[i]);
	}
	CHECK_STR(replica_url_type("webdavs://x"), "webdav");
	CHECK_STR(replica_url_type("S3://x"), "s3");
	CHECK_STR(replica_url_type("rook-ceph-rgw:8080"), NULL);
	CHECK_STR(replica_url_type("invalid"), NULL);
	CHECK_STR(replica_url_type(""), NULL);
	CHECK_STR(replica_url_type("foo://x"), NULL);
}

/* What net/url of Go makes of each. */
TEST(file_paths)
{
	static const char *const rows[][2] = {
		{ "file:///tmp/replica", "/tmp/replica" },
		{ "file://", "." },
		{ "FILE:///A", "/A" },
		{ "file:///a b", "/a%20b" },
		{ "file:///\xc3\xa9", "/%C3%A9" },
		{ "file:///a%20b", "/a%20b" },
		{ "file:///a%2Fb", "/a%2Fb" },
		{ "file:///a%2fb", "/a%2fb" },
		{ "file:///a b%2Fc", "/a%20b/c" },
		{ "file:///a?x=1", "/a" },
		{ "file:///a?", "/a?" },
		{ "file:///a?x?", "/a" },
		{ "file:///a#b", "/a#b" },
		{ "file:///a#b c(", "/a#b%20c(" },
		{ "file:///x#\xc3\xa9'", "/x#%C3%A9%27" },
		{ "file:///a b#", "/a%20b" },
		{ "file:///a#b?c", "/a#b?c" },
		{ "file:///a(b)!*';,:@&=+$[]", "/a(b)!*';,:@&=+$[]" },
		{ "file:///a\"<>^`{|}", "/a%22%3C%3E%5E%60%7B%7C%7D" },
		{ "file:///a\\b", "/a%5Cb" },
		{ "file://host/p", "/host/p" },
		{ "file://h?x", "/h" },
		{ "file://\xc3\xbc/x", "/%C3%BC/x" },
		{ "file:/tmp/x", "/tmp/x" },
		{ "file:x/y", "x/y" },
		{ "file:///a/../b//c/", "/b/c" },
		{ "file:////a", "/a" },
		{ "file:////", "/" },
		{ "file:///~/x", "/~/x" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct err e = ERR_INIT;
		char *path, copy[128] = "";

		CHECK_OK(replica_url_file_path(rows[i][0], &path, &e), &e);
		snprintf(copy, sizeof(copy), "%s", path);
		free(path);
		CHECK_STR(copy, rows[i][1]);
	}
}

TEST(bad_file_urls)
{
	static const char *const rows[][2] = {
		{ "file:///%zz", "parse \"file:///%zz\": invalid URL escape \"%zz\"" },
		{ "file:///a%4", "parse \"file:///a%4\": invalid URL escape \"%4\"" },
		{ "file:///a%", "parse \"file:///a%\": invalid URL escape \"%\"" },
		{ "file:///a#%zz", "parse \"file:///a#%zz\": invalid URL escape \"%zz\"" },
		{ "file:///a%zz?q", "parse \"file:///a%zz?q\": invalid URL escape \"%zz\"" },
		{ "file:///a\tb", "parse \"file:///a\\tb\": net/url: invalid control character in URL" },
		{ "file://ho st/p", "parse \"file://ho st/p\": invalid character \" \"" },
		{ "file://a:b", "parse \"file://a:b\": invalid character \":\"" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct err e = ERR_INIT;
		char *path;

		CHECK_INT(replica_url_file_path(rows[i][0], &path, &e), -1);
		CHECK_INT(e.code, ERR_INVALID);
		CHECK_STR(e.text, rows[i][1]);
	}
}

TEST(from_url)
{
	struct replica *r;
	struct err e = ERR_INIT;
	char cwd[1024];

	CHECK_INT(replica_from_url("/tmp/x", &r, &e), -1);
	CHECK_STR(e.text, "replica url scheme required: /tmp/x");
	CHECK_INT(replica_from_url("foo://x", &r, &e), -1);
	CHECK_STR(e.text, "unknown replica type in config: \"\"");
	CHECK_INT(replica_from_url("nats://x/y", &r, &e), -1);
	CHECK_STR(e.text, "replicas of type \"nats\" are not supported");
	CHECK(r == NULL);

	CHECK_OK(replica_from_url("file:///a/b/../c", &r, &e), &e);
	char path[64], type[16], url[64];
	snprintf(path, sizeof(path), "%s", replica_path(r));
	snprintf(type, sizeof(type), "%s", replica_type(r));
	snprintf(url, sizeof(url), "%s", r->url);
	bool local = r->local;
	replica_free(r);
	CHECK_STR(path, "/a/c");
	CHECK_STR(type, "file");
	CHECK_STR(url, "file:///a/b/../c");
	CHECK(local);

	CHECK(getcwd(cwd, sizeof(cwd)) != NULL);
	CHECK_OK(replica_from_url("file://", &r, &e), &e);
	bool same = strcmp(replica_path(r), cwd) == 0;
	replica_free(r);
	CHECK(same);
	CHECK_INT(replica_file_create("", &r, &e), -1);
	CHECK_STR(e.text, "file replica path required");
}

TEST(item_name)
{
	struct replica_item item = { .level = 9, .min_txid = 1, .max_txid = 0xabc };
	char name[REPLICA_NAME_SIZE];

	CHECK_STR(replica_item_name(name, &item), "ltx/9/0000000000000001-0000000000000abc.ltx");
}

TEST(list_is_sorted)
{
	struct replica_list l = { .items = NULL };
	struct err e = ERR_INIT;
	bool sorted = true;

	for (uint64_t i = 0; i < 1000; i++) {
		struct replica_item item = { .level = (int)(i * 7 % 10), .min_txid = i * 7919 % 1000 + 1 };

		item.max_txid = 2000 + i * 31 % 17;
		CHECK_OK(replica_list_add(&l, &item, &e), &e);
	}
	replica_list_sort(&l);
	for (int i = 1; i < l.count; i++) {
		struct replica_item *a = &l.items[i - 1], *b = &l.items[i];

		sorted = sorted && (a->level != b->level ? a->level < b->level :
		                    a->min_txid != b->min_txid ? a->min_txid < b->min_txid : a->max_txid <= b->max_txid);
	}
	int count = l.count;
	replica_list_free(&l);
	CHECK_INT(count, 1000);
	CHECK(sorted);
	CHECK(l.items == NULL);
}

TEST_MAIN
