/* SPDX-License-Identifier: MIT */
#include "s3/credentials.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/os/capture.h"
#include "lib/os/clock.h"
#include "s3/sources.h"
#include "tests/check.h"
#include "tests/support/served.h"
#include "tests/support/tmpdir.h"

static struct err e;

/* Nothing of the machine may answer. */
static void clean_environment(void)
{
	static const char *const names[] = { "AWS_ACCESS_KEY_ID", "AWS_ACCESS_KEY", "AWS_SECRET_ACCESS_KEY",
		"AWS_SECRET_KEY",
		"AWS_SESSION_TOKEN", "LITESTREAM_ACCESS_KEY_ID", "LITESTREAM_SECRET_ACCESS_KEY", "AWS_PROFILE",
		"AWS_DEFAULT_PROFILE", "AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE",
		"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
		"AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_AUTHORIZATION_TOKEN",
		"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		unsetenv(names[i]);
	setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent/a", 1);
	setenv("AWS_CONFIG_FILE", "/nonexistent/b", 1);
	setenv("AWS_EC2_METADATA_DISABLED", "true", 1);
	e = (struct err)ERR_INIT;
}

/* "id secret token" of the chain, or the error. */
static const char *chain(void)
{
	static char out[1200];
	struct s3_credentials *c;
	struct s3_keys *k;

	e = (struct err)ERR_INIT;
	if (s3_credentials_create(NULL, NULL, NULL, NULL, &c, &e) != 0)
		return "create";
	if (s3_credentials_get(c, NULL, &k, &e) == 0) {
		snprintf(out, sizeof(out), "%s %s %s", k->access_key_id, k->secret, k->token ? k->token : "-");
		s3_keys_release(k);
	} else {
		snprintf(out, sizeof(out), "%s", e.text);
	}
	s3_credentials_free(c);
	return out;
}

static void write_text(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	fputs(text, f);
	fclose(f);
}

TEST(environment)
{
	clean_environment();
	CHECK(strstr(chain(), "no credentials") != NULL);
	setenv("LITESTREAM_ACCESS_KEY_ID", "lid", 1);
	setenv("LITESTREAM_SECRET_ACCESS_KEY", "lsecret", 1);
	CHECK_STR(chain(), "lid lsecret -");
	setenv("AWS_SESSION_TOKEN", "tok", 1);
	setenv("AWS_ACCESS_KEY_ID", "aid", 1); /* Amazon's names win */
	CHECK_STR(chain(), "aid lsecret tok");
	setenv("AWS_ACCESS_KEY_ID", "", 1); /* even when they are empty */
	CHECK(strstr(chain(), "no credentials") != NULL);
	setenv("AWS_ACCESS_KEY", "alias", 1);
	setenv("AWS_SESSION_TOKEN", "", 1);
	CHECK_STR(chain(), "alias lsecret -");
}

TEST(given_keys_are_fixed)
{
	struct s3_credentials *c;
	struct s3_keys *k;

	clean_environment();
	CHECK_OK(s3_credentials_create("a", "b", NULL, NULL, &c, &e), &e);
	CHECK_OK(s3_credentials_get(c, NULL, &k, &e), &e);
	bool other = s3_credentials_renew(c, k, NULL);
	s3_keys_release(k);
	s3_credentials_free(c);
	CHECK(!other);
}

TEST(ini_values)
{
	static const char text[] = "; top\naws_access_key_id=outside\n[default]\r\naws_access_key_id = A=B \r\n"
		"  aws_access_key_id = nested\n#aws_access_key_id = c\naws_secret_access_key=\n\n[ profile \t work ]\n"
		"role_arn=arn\nrole_arn = last\n[profile workers]\nrole_arn=no\n[broken\nrole_arn=no\n[default]\nb=2";
	static const struct { const char *section, *key, *want; } rows[] = {
		{ "default", "aws_access_key_id", "A=B" }, { "default", "aws_secret_access_key", "" },
		{ "default", "b", "2" },
		{ "profile work", "role_arn", "last" }, { "profile workers", "role_arn", "no" },
		{ "work", "role_arn", NULL },
		{ "default", "aws_session_token", NULL }, { "profile wor", "role_arn", NULL }, { "", "role_arn", NULL },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char *got = s3_ini_value(text, rows[i].section, rows[i].key), copy[64];

		snprintf(copy, sizeof(copy), "%s", got ? got : "(none)");
		free(got);
		if (strcmp(copy, rows[i].want ? rows[i].want : "(none)") != 0)
			CHECK_FAIL("[%s] %s is %s", rows[i].section, rows[i].key, copy);
	}
	CHECK(s3_ini_has_section(text, "profile work"));
	CHECK(!s3_ini_has_section(text, "profile"));
}

TEST(profiles)
{
	char credentials[512], config[512];

	clean_environment();
	snprintf(credentials, sizeof(credentials), "%s", tmppath("credentials"));
	snprintf(config, sizeof(config), "%s", tmppath("config"));
	setenv("AWS_SHARED_CREDENTIALS_FILE", credentials, 1);
	setenv("AWS_CONFIG_FILE", config, 1);
	write_text(credentials, "[default]\naws_access_key_id=d\naws_secret_access_key=ds\n"
	           "[both]\naws_access_key_id=from-credentials\n"
	           "[loop]\nrole_arn=r\nsource_profile=loop2\n[loop2]\nrole_arn=r\nsource_profile=loop\n"
	           "[odd]\nrole_arn=r\ncredential_source=Moon\n[proc]\ncredential_process=exit 3\n");
	write_text(config, "[profile both]\naws_access_key_id=from-config\naws_secret_access_key=s\n");
	CHECK_STR(chain(), "d ds -");
	setenv("AWS_DEFAULT_PROFILE", "both", 1);
	CHECK_STR(chain(), "from-credentials s -");
	setenv("AWS_PROFILE", "absent", 1);
	CHECK_STR(chain(), "profile \"absent\" is in neither of the shared files");
	setenv("AWS_PROFILE", "loop", 1);
	CHECK(strstr(chain(), "circle") != NULL);
	setenv("AWS_PROFILE", "odd", 1);
	CHECK(strstr(chain(), "\"Moon\" is not known") != NULL);
	setenv("AWS_PROFILE", "proc", 1);
	CHECK(strstr(chain(), "ended with status 3") != NULL);
	clean_environment();
}

TEST(json_keys)
{
	static const struct { const char *text; bool good; } rows[] = {
		{ "{\"AccessKeyId\":\"a\",\"SecretAccessKey\":\"b\",\"Token\":\"c\","
		  "\"Expiration\":\"2030-01-01T00:00:00Z\"}", true },
		{ "{\"Version\":1,\"AccessKeyId\":\"a\",\"SecretAccessKey\":\"b\",\"SessionToken\":\"c\"}", true },
		{ "{\"Code\":\"Success\",\"AccessKeyId\":\"a\",\"SecretAccessKey\":\"b\"}", true },
		{ "{\"Code\":\"Failed\",\"AccessKeyId\":\"a\",\"SecretAccessKey\":\"b\"}", false },
		{ "{\"AccessKeyId\":\"a\"}", false }, { "{\"AccessKeyId\":\"\",\"SecretAccessKey\":\"b\"}", false },
		{ "{\"AccessKeyId\":1,\"SecretAccessKey\":\"b\"}", false }, { "[]", false }, { "", false },
		{ "hunter2", false },
		{ "{\"AccessKeyId\":\"a\",\"SecretAccessKey\":\"b\",\"Expiration\":\"soon\"}", false },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct s3_keys *k = NULL;
		int rc = s3_keys_from_json(rows[i].text, strlen(rows[i].text), "test", &k, &e);

		if (i == 0)
			CHECK_INT(k->expires_ms, 1893456000000);
		s3_keys_release(k);
		CHECK_INT(rc, rows[i].good ? 0 : -1);
		CHECK(strstr(e.text, "hunter2") == NULL);
	}
}

/* ---- fetching ---- */

static struct served server;
static atomic_int fetches;
static atomic_bool fails;
static atomic_int life_s;

static void serve_keys(struct wire *w, void *ctx)
{
	(void)ctx;
	while (wire_request(w)) {
		char body[300], text[600];
		time_t until = time(NULL) + atomic_load(&life_s);
		struct tm tm;

		int n = atomic_fetch_add(&fetches, 1) + 1;
		gmtime_r(&until, &tm);
		snprintf(body, sizeof(body), "{\"AccessKeyId\":\"k%d\",\"SecretAccessKey\":\"s\",\"Expiration\":\""
		         "%04d-%02d-%02dT%02d:%02d:%02dZ\"}", n, tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday,
		         tm.tm_hour,
		         tm.tm_min, tm.tm_sec);
		if (atomic_load(&fails))
			snprintf(body, sizeof(body), "{}");
		snprintf(text, sizeof(text), "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n%s", strlen(body), body);
		os_sleep_ms(20);
		if (!wire_say(w, text))
			return;
	}
}

static void start_keys(int life)
{
	char url[64];

	clean_environment();
	memset(&server, 0, sizeof(server));
	server.serve = serve_keys;
	atomic_store(&fetches, 0);
	atomic_store(&fails, false);
	atomic_store(&life_s, life);
	served_start(&server);
	snprintf(url, sizeof(url), "http://127.0.0.1:%d/keys", server.port);
	setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", url, 1);
}

static void *get_once(void *ctx)
{
	struct s3_keys *k;

	if (s3_credentials_get(ctx, NULL, &k, NULL) == 0)
		s3_keys_release(k);
	return NULL;
}

TEST(one_thread_fetches_for_all)
{
	struct s3_credentials *c;
	pthread_t threads[8];

	start_keys(3600);
	CHECK_OK(s3_credentials_create(NULL, NULL, NULL, NULL, &c, &e), &e);
	for (int i = 0; i < 8; i++)
		pthread_create(&threads[i], NULL, get_once, c);
	for (int i = 0; i < 8; i++)
		pthread_join(threads[i], NULL);
	int n = atomic_load(&fetches);
	s3_credentials_free(c);
	served_stop(&server);
	CHECK_INT(n, 1);
}

TEST(renewed_before_they_expire_and_kept_when_that_fails)
{
	struct s3_credentials *c;
	struct s3_keys *first, *second, *third;

	start_keys(200); /* within the five minutes before the end: every use asks anew */
	CHECK_OK(s3_credentials_create(NULL, NULL, NULL, NULL, &c, &e), &e);
	CHECK_OK(s3_credentials_get(c, NULL, &first, &e), &e);
	CHECK_OK(s3_credentials_get(c, NULL, &second, &e), &e);
	bool renewed = strcmp(first->access_key_id, "k1") == 0 && strcmp(second->access_key_id, "k2") == 0;
	atomic_store(&fails, true);
	CHECK_OK(s3_credentials_get(c, NULL, &third, &e), &e);
	bool kept = strcmp(third->access_key_id, "k2") == 0;
	bool none = s3_credentials_renew(c, third, NULL);
	atomic_store(&fails, false);
	bool other = s3_credentials_renew(c, third, NULL);
	s3_keys_release(first);
	s3_keys_release(second);
	s3_keys_release(third);
	s3_credentials_free(c);
	served_stop(&server);
	clean_environment();
	CHECK(renewed);
	CHECK(kept);
	CHECK(!none);
	CHECK(other);
}

TEST(plain_http_only_to_this_machine)
{
	clean_environment();
	setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://192.0.2.1/keys", 1);
	CHECK(strstr(chain(), "must use https or a local address") != NULL);
	setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1:1/keys", 1);
	setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "a\r\nX: y", 1);
	CHECK(strstr(chain(), "line end") != NULL);
	clean_environment();
}

/* ---- commands ---- */

static const char *capture(const char *command, int64_t timeout_ms)
{
	static char out[1100];
	char text[16];
	size_t n;

	e = (struct err)ERR_INIT;
	if (os_capture(command, text, sizeof(text) - 1, &n, timeout_ms, NULL, &e) != 0)
		snprintf(out, sizeof(out), "!%s", e.text);
	else
		snprintf(out, sizeof(out), "%.*s", (int)n, text);
	return out;
}

TEST(commands)
{
	CHECK_STR(capture("printf 'a b'; printf c", 20000), "a bc");
	CHECK_STR(capture(":", 20000), "");
	CHECK_STR(capture("cat", 20000), ""); /* nothing to read */
	CHECK_STR(capture("exit 4", 20000), "!the command ended with status 4");
	CHECK_STR(capture("yes", 20000), "!the command writes more than 15 bytes");
	CHECK_STR(capture("sleep 100", 1000), "!the command has not ended after 1 s");
}

TEST_MAIN
