/* SPDX-License-Identifier: MIT */
#include "s3/address.h"

#include <stdlib.h>

#include "tests/check.h"

#define ARN "arn:aws:s3:us-west-2:123456789012:accesspoint/db-access"

/* "scheme host:port Host path" of a key, or the error. */
static const char *address(const char *url, const char *region, const char *key)
{
	static char out[2048];
	struct s3_settings s;
	struct s3_address a;
	struct buf path = { .data = NULL };
	struct err e = ERR_INIT;

	if (s3_settings_make(&(struct s3_given){ .url = url }, &s, &e) != 0)
		return "bad settings";
	if (s3_address_make(&s, region ? region : s.region, &a, &e) != 0) {
		snprintf(out, sizeof(out), "%s", e.text);
	} else {
		s3_address_path(&path, &a, key);
		snprintf(out, sizeof(out), "%s %s:%d %s %s", a.url.scheme, a.url.host, a.url.port, a.host,
		         buf_text(&path));
		s3_address_free(&a);
	}
	buf_free(&path);
	s3_settings_free(&s);
	return out;
}

TEST(addresses)
{
	static const struct { const char *url, *region, *key, *want; } rows[] = {
		{ "s3://bucket/p", "eu-west-1", "p/k",
		  "https bucket.s3.eu-west-1.amazonaws.com:443 bucket.s3.eu-west-1.amazonaws.com /p/k" },
		{ "s3://bucket/p", "eu-west-1", NULL,
		  "https bucket.s3.eu-west-1.amazonaws.com:443 bucket.s3.eu-west-1.amazonaws.com /" },
		{ "s3://bucket/p", "cn-north-1", "k",
		  "https bucket.s3.cn-north-1.amazonaws.com.cn:443 bucket.s3.cn-north-1.amazonaws.com.cn /k" },
		{ "s3://bucket", "us-east-1", "./0000/x",
		  "https bucket.s3.us-east-1.amazonaws.com:443 bucket.s3.us-east-1.amazonaws.com /./0000/x" },
		{ "s3://bucket/", "us-east-1", "/0000/x",
		  "https bucket.s3.us-east-1.amazonaws.com:443 bucket.s3.us-east-1.amazonaws.com //0000/x" },
		{ "s3://my.bucket/p", "us-east-1", "k",
			"https s3.us-east-1.amazonaws.com:443 s3.us-east-1.amazonaws.com /my.bucket/k" },
		{ "s3://Bucket/p", "us-east-1", NULL,
			"https s3.us-east-1.amazonaws.com:443 s3.us-east-1.amazonaws.com /Bucket" },
		{ "s3://b/p?endpoint=localhost:9000", NULL, "a b/+",
		  "http localhost:9000 localhost:9000 /b/a%20b/%2B" },
		{ "s3://bkt/p?endpoint=http://h:80/base/x/&forcePathStyle=false", NULL, "k",
			"http bkt.h:80 bkt.h /base/x/k" },
		{ "s3://my.bkt/p?endpoint=http://h.example:81&forcePathStyle=false", NULL, "k",
		  "http my.bkt.h.example:81 my.bkt.h.example:81 /k" },
		{ "s3://my..bkt/p?endpoint=http://h.example&forcePathStyle=false", NULL, "k",
			"http h.example:80 h.example /my..bkt/k" },
		{ "s3://my.bkt/p?endpoint=https://h.example:443&forcePathStyle=false", NULL, "k",
		  "https h.example:443 h.example /my.bkt/k" },
		{ "s3://bkt/p?endpoint=http://127.0.0.1:9000&forcePathStyle=false", NULL, "k",
			"http 127.0.0.1:9000 127.0.0.1:9000 /bkt/k" },
		{ "s3://bkt/p?endpoint=http://[::1]:9000&forcePathStyle=false", NULL, "k",
			"http ::1:9000 [::1]:9000 /bkt/k" },
		{ "s3://bkt/p?endpoint=https://ID.supabase.co/storage/v1/s3", NULL, NULL,
		  "https id.supabase.co:443 id.supabase.co /storage/v1/s3/bkt" },
		{ "s3://bkt.nyc3.digitaloceanspaces.com/p", NULL, "k",
		  "https bkt.nyc3.digitaloceanspaces.com:443 bkt.nyc3.digitaloceanspaces.com /k" },
		{ "s3://" ARN "/p", NULL, "p/k", "https "
			"db-access-123456789012.s3-accesspoint.us-west-2.amazonaws.com:443 "
		  "db-access-123456789012.s3-accesspoint.us-west-2.amazonaws.com /p/k" },
		{ "s3://" ARN "/p?endpoint=http://h.example:9000", NULL, "p/k",
		  "http db-access-123456789012.h.example:9000 db-access-123456789012.h.example:9000 /p/k" },
		{ "s3://bucket/p", "us-east-1.evil.com/", "k", "s3: \"us-east-1.evil.com/\" is no region" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *got = address(rows[i].url, rows[i].region, rows[i].key);

		if (i == 14)
			CHECK(strcasecmp(got, rows[i].want) == 0); /* whatever case a host keeps */
		else
			CHECK_STR(got, rows[i].want);
	}
}

TEST(dual_stack_and_fips)
{
	setenv("AWS_USE_DUALSTACK_ENDPOINT", "true", 1);
	CHECK_STR(address("s3://bucket/p", "eu-west-1", "k"), "https bucket.s3.dualstack.eu-west-1.amazonaws.com:443 "
	          "bucket.s3.dualstack.eu-west-1.amazonaws.com /k");
	setenv("AWS_USE_FIPS_ENDPOINT", "true", 1);
	unsetenv("AWS_USE_DUALSTACK_ENDPOINT");
	CHECK_STR(address("s3://bucket/p", "us-west-1", "k"),
	          "https bucket.s3-fips.us-west-1.amazonaws.com:443 bucket.s3-fips.us-west-1.amazonaws.com /k");
	unsetenv("AWS_USE_FIPS_ENDPOINT");
}

TEST(related_hosts)
{
	CHECK(s3_address_related("b.s3.amazonaws.com", "b.s3.eu-west-1.amazonaws.com"));
	CHECK(s3_address_related("h", "H"));
	CHECK(s3_address_related("127.0.0.1", "127.0.0.1"));
	CHECK(!s3_address_related("127.0.0.1", "126.0.0.1"));
	CHECK(!s3_address_related("b.example.com", "b.evil.com"));
	CHECK(!s3_address_related("example.com", "notexample.com"));
	CHECK(!s3_address_related("h", "b.h"));
}

TEST_MAIN
