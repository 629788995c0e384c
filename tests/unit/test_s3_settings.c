/* SPDX-License-Identifier: MIT */
/* The tables of cases.md §4 and s3.md §1. */
#include "s3/settings.h"

#include <stdlib.h>
#include <unistd.h>

#include "s3/base64.h"
#include "tests/check.h"
#include "tests/support/tmpdir.h"

static struct s3_settings made;
static struct err why;

static const char *text(const char *s)
{
	return s ? s : "-";
}

/* "bucket prefix region endpoint path-style", or the error. */
static const char *make(const struct s3_given *g)
{
	static char out[2048];

	s3_settings_free(&made);
	why = (struct err)ERR_INIT;
	if (s3_settings_make(g, &made, &why) != 0)
		return why.text;
	snprintf(out, sizeof(out), "%s '%s' %s %s %s", made.bucket, made.prefix, text(made.region), text(made.endpoint),
	         made.path_style ? "path" : "host");
	return out;
}

static const char *of_url(const char *url)
{
	return make(&(struct s3_given){ .url = url });
}

static const char *registered(const char *url)
{
	return make(&(struct s3_given){ .url = url, .registering = true });
}

#define ARN "arn:aws:s3:us-west-2:123456789012:accesspoint/db-access"

TEST(urls)
{
	static const struct { const char *url, *want; } rows[] = {
		{ "s3://mybucket/path/to/db", "mybucket 'path/to/db' - - host" },
		{ "S3://mybucket/path", "mybucket 'path' - - host" },
		{ "s3://bucket", "bucket '.' - - host" },
		{ "s3://bucket/", "bucket '' - - host" },
		{ "s3://bucket/a//b/./c/../d/", "bucket 'a/b/d' - - host" },
		{ "s3://bucket/../x", "bucket 'x' - - host" },
		{ "s3://bucket/%e6%96%87%20+%25", "bucket '\xe6\x96\x87 +%' - - host" },
		{ "s3://user:pass@bucket/p#frag?endpoint=x", "bucket 'p' - - host" },
		{ "s3://mybucket/db?endpoint=localhost:9000&region=us-west-2",
		  "mybucket 'db' us-west-2 http://localhost:9000 path" },
		{ "s3://" ARN "/backups?sign-payload=false", ARN " 'backups' us-west-2 - host" },
		{ "s3://" ARN, ARN " '' us-west-2 - host" },
		{ "s3://" ARN "//a//b/", ARN " 'a/b' us-west-2 - host" },
		{ "s3://" ARN "/b?region=eu-west-1", ARN " 'b' eu-west-1 - host" },
		{ "s3://foo.localhost:9000/bar", "foo 'bar' us-east-1 http://localhost:9000 path" },
		{ "s3://foo.s3.us-west-000.backblazeb2.com/bar",
		  "foo 'bar' us-west-000 https://s3.us-west-000.backblazeb2.com path" },
		{ "s3://mybucket.s3.amazonaws.com/p", "mybucket 'p' - - host" },
		{ "s3://my.buc.ket.s3.eu-central-1.amazonaws.com/p", "my.buc.ket 'p' eu-central-1 - host" },
		{ "s3://b.nyc3.digitaloceanspaces.com/p", "b 'p' nyc3 https://nyc3.digitaloceanspaces.com host" },
		{ "s3://b.s3.filebase.com/p", "b 'p' us-east-1 https://s3.filebase.com path" },
		{ "s3://b.s3.fr-par.scw.cloud/p", "b 'p' fr-par https://s3.fr-par.scw.cloud host" },
		{ "s3://b.s3-eu-west-1.amazonaws.com/p", "b.s3-eu-west-1.amazonaws.com 'p' - - host" },
		{ "s3://b.s3.eu-west-1.amazonaws.com/p?endpoint=http://h:1/base/",
		  "b 'p' eu-west-1 http://h:1/base path" },
		{ "s3://b/p?endpoint=h.example&forcePathStyle=false", "b 'p' us-east-1 https://h.example host" },
		{ "s3://b/p?endpoint=h.example&force-path-style=off", "b 'p' us-east-1 https://h.example host" },
		{ "s3://b/p?endpoint=s3.us-west-002.backblazeb2.com",
			"b 'p' us-west-002 https://s3.us-west-002.backblazeb2.com path" },
		{ "s3://b/p?endpoint=https://s3.eu-central-1.wasabisys.com",
		  "b 'p' eu-central-1 https://s3.eu-central-1.wasabisys.com path" },
		{ "s3://b/p?endpoint=fsn1.your-objectstorage.com",
			"b 'p' fsn1 https://fsn1.your-objectstorage.com path" },
		{ "s3://b/p?forcePathStyle=true", "b 'p' - - path" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		CHECK_STR(of_url(rows[i].url), rows[i].want);
}

TEST(refused_urls)
{
	static const struct { const char *url, *want; } rows[] = {
		{ "s3://", "bucket required for s3 replica URL" },
		{ "s3:///p", "bucket required for s3 replica URL" },
		{ "s3:b/p", "bucket required for s3 replica URL" },
		{ "s3://localhost:9000/p", "bucket required for s3 replica URL" },
		{ "s3://nyc3.digitaloceanspaces.com/p", "bucket required for s3 replica URL" },
		{ "s3://%zz/", "parse \"s3://%zz/\": invalid URL escape \"%zz\"" },
		{ "s3://b/%zz", "parse \"s3://b/%zz\": invalid URL escape \"%zz\"" },
		{ "s3://b/a%2", "parse \"s3://b/a%2\": invalid URL escape \"%2\"" },
		{ "s3://b:x/p", "parse \"s3://b:x/p\": invalid port \":x\" after host" },
		{ "s3://b\001/", "parse \"s3://b\\x01/\": net/url: invalid control character in URL" },
		{ "s3://arn:aws:s3:R:1:accesspoint/", "invalid s3 access point arn: arn:aws:s3:R:1:accesspoint/" },
		{ "s3://arn:aws:s3:R:1:bucket/x", "invalid s3 access point arn: arn:aws:s3:R:1:bucket/x" },
		{ "s3://b/p?partSize=abc", "invalid value for query parameter \"partSize\": \"abc\" (must be a "
			"positive integer)" },
		{ "s3://b/p?part-size=-1", "invalid value for query parameter \"part-size\": \"-1\" (must be a "
			"positive integer)" },
		{ "s3://b/p?concurrency=0", "invalid value for query parameter \"concurrency\": \"0\" (must be a "
			"positive integer)" },
		{ "s3://b/p?concurrency=9223372036854775808",
		  "invalid value for query parameter \"concurrency\": \"9223372036854775808\" (must be a positive "
		  "integer)" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		CHECK_STR(registered(rows[i].url), rows[i].want);
	CHECK_STR(of_url("s3://b:9000/p"), "bucket required for s3 replica");
	CHECK_STR(make(&(struct s3_given){ .path = "p" }), "bucket required for s3 replica");
	CHECK_STR(make(&(struct s3_given){ .url = "rook-ceph-rgw:8080", .path = "p" }),
	          "cannot specify url & path for s3 replica");
	CHECK_STR(make(&(struct s3_given){ .url = "s3://b", .bucket = "p" }),
	          "cannot specify url & bucket for s3 replica");
}

/* Accepted as settings; every operation then says why it cannot be. */
TEST(problems)
{
	static const struct { const char *url, *part; } rows[] = {
		{ "s3://127.0.0.1:9000/p", "?endpoint=127.0.0.1:9000" },
		{ "s3://" ARN "?forcePathStyle=true", "Path-style addressing cannot be used with ARN" },
		{ "s3://arn:aws:s3::123456789012:accesspoint/x", "names no region" },
		{ "s3://b--usw2-az1--x-s3/p", "directory bucket" },
		{ "s3://b/p?sse-customer-key=AAAA", "32 bytes" },
		{ "s3://b/p?sseCustomerKey=MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTI%3D&sseCustomerAlgorithm=AES128",
			"AES256" },
		{ "s3://b/p?sseCustomerKey=MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTI%3D&sseKmsKeyId=k", "both" },
		{ "s3://b/p?sseCustomerKey=MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTI%3D&sse-customer-key-md5=x",
			"md5" },
		{ "s3://b/p?sseCustomerKey=MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTI%3D&endpoint=http://1.2.3.4",
			"https" },
		{ "s3://b/p?sseCustomerKey=MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTI%3D&endpoint=http://172.200.3.4",
			"https" },
		{ "s3://b/p?endpoint=http://", "endpoint" },
		{ "s3://b/p?endpoint=http://h:port", "endpoint" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		of_url(rows[i].url);
		CHECK_STR(why.text, "");
		if (!made.problem || !strstr(made.problem, rows[i].part))
			CHECK_FAIL("%s: problem %s, wanted %s", rows[i].url, text(made.problem), rows[i].part);
	}
	of_url("s3://b/p?concurrency=&sse-customer-key=MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTI%3D"
	       "&endpoint=10.1.1.1:9000");
	CHECK_STR(made.problem, NULL);
	CHECK_STR(made.sse_key_md5, "dnF5x6K/8ZZRzpfSlMMM+w==");
}

/* "sign path md5" */
static const char *effective(const struct s3_given *g)
{
	static char out[64];

	make(g);
	snprintf(out, sizeof(out), "%d %d %d", made.sign_payload, made.path_style, made.content_md5);
	return out;
}

TEST(effective_settings)
{
	static const char *const endpoints[] = { "ID.r2.cloudflarestorage.com", "s3.us-west-002.backblazeb2.com",
		"sfo3.digitaloceanspaces.com", "s3.fr-par.scw.cloud", "s3.filebase.com", "fsn1.your-objectstorage.com",
		"http://192.168.1.100:9000", "https://ID.supabase.co/storage/v1/s3" };

	CHECK_STR(effective(&(struct s3_given){ .bucket = "b" }), "1 0 1");
	for (size_t i = 0; i < sizeof(endpoints) / sizeof(endpoints[0]); i++)
		CHECK_STR(effective(&(struct s3_given){ .bucket = "b", .endpoint = endpoints[i] }), "1 1 1");
	CHECK_STR(effective(&(struct s3_given){ .bucket = "b", .endpoint = "fly.storage.tigris.dev" }), "1 1 0");
	CHECK_STR(effective(&(struct s3_given){ .url = "s3://b/p?endpoint=https://T3.storage.dev" }), "1 1 0");
	CHECK_STR(effective(&(struct s3_given){ .url = "s3://b/p?endpoint=t3.storage.dev&require-content-md5=yes" }),
	          "1 1 1");
	CHECK_STR(effective(&(struct s3_given){ .bucket = "b", .endpoint = "t3.storage.dev",
		.require_content_md5 = S3_YES,
	                                        .sign_payload = S3_NO, .force_path_style = S3_NO }), "0 0 1");
	CHECK_STR(effective(&(struct s3_given){ .url = "s3://b/p?endpoint=h&sign-payload=false&requireContentMD5=no",
	                                        .sign_payload = S3_YES }), "1 1 0");
	/* A host form's own style, and a provider that knows better. */
	CHECK_STR(effective(&(struct s3_given){ .url = "s3://b.nyc3.digitaloceanspaces.com" }), "1 0 1");
	CHECK_STR(effective(&(struct s3_given){ .url = "s3://b.s3.filebase.com?forcePathStyle=false" }), "1 0 1");
}

TEST(said_outright_wins)
{
	const struct s3_given g = { .url = "s3://b/p?endpoint=e&region=r&storageClass=GLACIER&partSize=1&concurrency=1",
		.endpoint = "localhost:1", .region = "us-9", .storage_class = "STANDARD_IA", .part_size = 6 << 20,
		.concurrency = 7 };

	CHECK_STR(make(&g), "b 'p' us-9 http://localhost:1 path");
	CHECK_STR(made.storage_class, "STANDARD_IA");
	CHECK_INT(made.part_size, 6 << 20);
	CHECK_INT(made.concurrency, 7);
	of_url("s3://b/p?partSize=8388608&part-size=1048576&storage-class=X");
	CHECK_INT(made.part_size, 8388608);
	CHECK_INT(made.concurrency, S3_CONCURRENCY_DEFAULT);
	CHECK_STR(made.storage_class, "X");
	of_url("s3://b/p?endpoint=https://ID.r2.cloudflarestorage.com");
	CHECK_INT(made.concurrency, 2);
	of_url("s3://b/p?endpoint=https://ID.r2.cloudflarestorage.com&concurrency=5");
	CHECK_INT(made.concurrency, 5);
	make(&(struct s3_given){ .bucket = "b", .concurrency = -3 });
	CHECK_INT(made.concurrency, S3_CONCURRENCY_DEFAULT);
	make(&(struct s3_given){ .url = "s3://b?skipVerify=false", .skip_verify = S3_YES });
	CHECK_INT(made.skip_verify, false);
	make(&(struct s3_given){ .url = "s3://b?skip-verify=1" });
	CHECK(strstr(buf_text(&made.warnings), "skip-verify is on") != NULL);
	CHECK_INT(made.skip_verify, true);
}

TEST(keys_need_each_other)
{
	make(&(struct s3_given){ .bucket = "b", .access_key_id = "a", .secret_access_key = "s" });
	CHECK_STR(made.access_key_id, "a");
	make(&(struct s3_given){ .bucket = "b", .access_key_id = "a" });
	CHECK_STR(made.access_key_id, NULL);
	make(&(struct s3_given){ .bucket = "b", .secret_access_key = "a", .access_key_id = "" });
	CHECK_STR(made.access_key_id, NULL);
}

TEST(paths_of_databases_in_a_folder)
{
	CHECK_STR(make(&(struct s3_given){ .url = "s3://b", .relative = "x/a.db" }), "b 'x/a.db' - - host");
	CHECK_STR(make(&(struct s3_given){ .url = "s3://b/p/?region=r", .relative = "a.db" }), "b 'p/a.db' r - host");
	CHECK_STR(make(&(struct s3_given){ .bucket = "b", .path = "p/", .relative = "a.db" }), "b 'p/a.db' - - host");
	CHECK_STR(make(&(struct s3_given){ .bucket = "b", .relative = "a.db" }), "b 'a.db' - - host");
	CHECK_STR(make(&(struct s3_given){ .bucket = "b", .path = "/a/" }), "b '/a/' - - host"); /* as it is */
	CHECK(strstr(buf_text(&made.warnings), "empty part") != NULL);
	CHECK_STR(make(&(struct s3_given){ .bucket = ARN "/key", .path = "p" }), ARN " 'p' us-west-2 - host");
}

TEST(warnings)
{
	of_url("s3://b/p");
	CHECK_STR(buf_text(&made.warnings), "");
	of_url("s3://b/p?colour=red&Region=x");
	CHECK_STR(buf_text(&made.warnings), "unknown parameter \"colour\" in the replica URL is ignored\n"
	                                    "unknown parameter \"Region\" in the replica URL is ignored\n");
	of_url("s3://b");
	CHECK(strstr(buf_text(&made.warnings), "\"./\"") != NULL);
}

TEST(environment)
{
	setenv("AWS_ENDPOINT_URL", "https://third.example", 1);
	CHECK_STR(of_url("s3://b/p"), "b 'p' us-east-1 https://third.example path");
	setenv("AWS_ENDPOINT_URL_S3", "https://fly.storage.tigris.dev", 1);
	CHECK_STR(of_url("s3://b/p"), "b 'p' us-east-1 https://fly.storage.tigris.dev path");
	CHECK_INT(made.content_md5, false);
	setenv("LITESTREAM_S3_ENDPOINT", "minio.local:9000", 1);
	CHECK_STR(of_url("s3://b/p"), "b 'p' us-east-1 http://minio.local:9000 path");
	CHECK_STR(of_url("s3://b/p?force-path-style=false"), "b 'p' us-east-1 http://minio.local:9000 host");
	CHECK_STR(of_url("s3://b/p?endpoint=other"), "b 'p' us-east-1 https://other path");
	CHECK_STR(of_url("s3://b.nyc3.digitaloceanspaces.com/p"),
	          "b 'p' nyc3 https://nyc3.digitaloceanspaces.com host");
	unsetenv("AWS_ENDPOINT_URL");
	unsetenv("AWS_ENDPOINT_URL_S3");
	unsetenv("LITESTREAM_S3_ENDPOINT");
}

TEST(key_from_a_file)
{
	const char *path = tmppath("key");
	FILE *f = fopen(path, "w");

	fputs(" \tMTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTI=\n\n", f);
	fclose(f);
	make(&(struct s3_given){ .bucket = "b", .sse_customer_key_path = path, .sse_customer_key = "ignored" });
	CHECK_STR(made.problem, NULL);
	CHECK_STR(made.sse_key_md5, "dnF5x6K/8ZZRzpfSlMMM+w==");
	make(&(struct s3_given){ .bucket = "b", .sse_customer_key_path = "/nonexistent/key" });
	CHECK(made.problem && strstr(made.problem, "no such file"));
	s3_settings_free(&made);
}

TEST(providers)
{
	static const struct { const char *endpoint; enum s3_provider want; } rows[] = {
		{ "fly.storage.tigris.dev", S3_TIGRIS }, { "https://FLY.storage.tigris.dev", S3_TIGRIS },
		{ "t3.storage.dev", S3_TIGRIS }, { "  ", S3_OTHER }, { "", S3_OTHER }, { "x.tigris.dev", S3_OTHER },
		{ "http://192.168.1.100:9000", S3_MINIO }, { "minio.local:9000", S3_MINIO },
		{ "s3.filebase.com", S3_FILEBASE },
		{ "https://s3.amazonaws.com", S3_AWS }, { "https://s3.amazonaws.com:443", S3_OTHER },
		{ "storage.googleapis.com", S3_GCS }, { "https://Storage.GoogleAPIs.com:443/", S3_GCS },
		{ "storage.googleapis.com.", S3_GCS }, { "https://storage.googleapis.com/path", S3_GCS },
		{ "storage.me-central2.rep.googleapis.com", S3_GCS }, { "us-central1-storage.googleapis.com", S3_GCS },
		{ "storage.mtls.googleapis.com", S3_GCS }, { "storage-download.googleapis.com", S3_GCS },
		{ "storage-upload.googleapis.com", S3_GCS }, { "storage.googleapis.com.evil.com", S3_OTHER },
		{ "attacker@storage.googleapis.com", S3_OTHER }, { "storage.googleapis.com@evil.com", S3_OTHER },
		{ "bucket.storage.googleapis.com", S3_OTHER },
		{ "backup-storage.storage.me-central2.rep.googleapis.com", S3_OTHER },
		{ "backup-storage.us-central1-storage.googleapis.com", S3_OTHER },
		{ "storageinsights.googleapis.com", S3_OTHER },
		{ "storage..googleapis.com", S3_OTHER }, { "sfo3.digitaloceanspaces.com", S3_DO },
		{ "https://s3.us-west-002.backblazeb2.com", S3_B2 }, { "https://s3.fr-par.scw.cloud", S3_SCALEWAY },
		{ "ID.r2.cloudflarestorage.com", S3_R2 }, { "https://ID.supabase.co/storage/v1/s3", S3_SUPABASE },
		{ "fsn1.your-objectstorage.com", S3_HETZNER },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (s3_provider_of(rows[i].endpoint) != rows[i].want)
			CHECK_FAIL("%s is %d, wanted %d", rows[i].endpoint, s3_provider_of(rows[i].endpoint),
			           rows[i].want);
	}
}

TEST(local_endpoints)
{
	static const char *const local[] = { "localhost:9000", "127.0.0.1:9000", "192.168.1.100:9000", "10.0.0.1:9000",
		"minio.local:9000", "172.16.0.1", "172.31.255.255", "dev.localhost", "test.localhost:8080",
		"localhost" };
	static const char *const remote[] = { "s3.amazonaws.com", "ID.r2.cloudflarestorage.com", "1.2.3.4",
		"172.15.0.1",
		"172.32.0.1", "localhost.evil.com", "" };
	struct buf b = { .data = NULL };

	for (size_t i = 0; i < sizeof(local) / sizeof(local[0]); i++)
		CHECK(s3_endpoint_is_local(local[i]));
	for (size_t i = 0; i < sizeof(remote) / sizeof(remote[0]); i++)
		CHECK(!s3_endpoint_is_local(remote[i]));
	s3_endpoint_with_scheme(&b, "");
	CHECK_STR(buf_text(&b), "");
	s3_endpoint_with_scheme(&b, "https://x/");
	CHECK_STR(buf_text(&b), "https://x/");
	buf_free(&b);
}

TEST(booleans)
{
	static const struct { const char *value; enum s3_tri want; } rows[] = {
		{ "true", S3_YES }, { "True", S3_YES }, { "TRUE", S3_YES }, { "1", S3_YES }, { "t", S3_YES },
		{ "yes", S3_YES },
		{ "false", S3_NO }, { "0", S3_NO }, { "f", S3_NO }, { "no", S3_NO }, { "invalid", S3_NO },
		{ "", S3_UNSET },
	};
	char url[64];

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct s3_url u;

		snprintf(url, sizeof(url), "s3://b/p?x=%s", rows[i].value);
		CHECK_INT(s3_url_parse(url, &u, &why), 0);
		enum s3_tri got = s3_url_bool(&u, "x", NULL), other = s3_url_bool(&u, "y", "x");
		s3_url_free(&u);
		CHECK_INT(got, rows[i].want);
		CHECK_INT(other, rows[i].want);
	}
}

TEST(base64)
{
	static const char *const good[][2] = { { "", "" }, { "Zg==", "f" }, { "Zm8=", "fo" }, { "Zm9v", "foo" },
		{ "Zm9vYg==", "foob" }, { "Zm9vYmE=", "fooba" }, { "Zm9vYmFy", "foobar" } };
	static const char *const bad[] = { "Z", "Zg", "Zg=", "Zh==", "Zm9=", "Zg==Zg==", "Z!==", "====", "Zm9v\n" };
	uint8_t raw[8];
	char out[16];
	size_t n;

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		CHECK_STR(base64_encode(out, good[i][1], strlen(good[i][1])), good[i][0]);
		CHECK(base64_decode(good[i][0], raw, sizeof(raw), &n));
		CHECK_INT(n, strlen(good[i][1]));
		CHECK_MEM(raw, good[i][1], n);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		CHECK(!base64_decode(bad[i], raw, sizeof(raw), &n));
	CHECK(!base64_decode("Zm9vYmFy", raw, 5, &n));
}

TEST_MAIN
