/* SPDX-License-Identifier: MIT */
/* The lock against a server that keeps one object and the conditions, or does not. */
#include "s3/lease.h"

#include <stdlib.h>

#include "lib/os/clock.h"
#include "tests/check.h"
#include "tests/support/served.h"

static struct store {
	pthread_mutex_t lock;
	bool exists;
	char body[512], path[128];
	int version, puts;
	bool ignores_conditions, not_implemented, delete_not_implemented, lose_next_answer;
	int conflicts; /* so many 409 come first */
} store = { .lock = PTHREAD_MUTEX_INITIALIZER };

static struct served server;
static struct err e;
static bool fresh;

static void etag_of(char out[16])
{
	snprintf(out, 16, "\"v%d\"", store.version);
}

/* The condition of a request holds. */
static bool holds(const struct wire *w)
{
	char match[40], etag[16];

	if (store.ignores_conditions)
		return true;
	if (wire_has(w, "if-none-match: *"))
		return !store.exists;
	etag_of(etag);
	snprintf(match, sizeof(match), "if-match: %s\r\n", etag);
	return !wire_has(w, "if-match:") || (store.exists && wire_has(w, match));
}

static void answer(struct wire *w, int status, const char *code)
{
	char text[1024], etag[16], body[700] = "";

	etag_of(etag);
	if (code[0] == '<' || code[0] == '{')
		snprintf(body, sizeof(body), "%s", code);
	else if (code[0])
		snprintf(body, sizeof(body), "<Error><Code>%s</Code></Error>", code);
	snprintf(text, sizeof(text), "HTTP/1.1 %d X\r\nContent-Length: %zu\r\nETag: %s\r\n\r\n%s", status, strlen(body),
	         etag, body);
	wire_say(w, text);
}

/* Under the lock. false: the answer is lost. */
static bool put(struct wire *w, const char *body)
{
	store.puts++;
	if (store.not_implemented) {
		answer(w, 501, "NotImplemented");
	} else if (store.conflicts > 0) {
		store.conflicts--;
		answer(w, 409, "ConditionalRequestConflict");
	} else if (!holds(w)) {
		answer(w, 412, "PreconditionFailed");
	} else {
		store.exists = true;
		store.version++;
		snprintf(store.body, sizeof(store.body), "%s", body);
		if (store.lose_next_answer) {
			store.lose_next_answer = false;
			return false;
		}
		answer(w, 200, "");
	}
	return true;
}

static void drop(struct wire *w)
{
	if (store.delete_not_implemented) {
		answer(w, 501, "NotImplemented");
	} else if (!store.exists) {
		answer(w, 404, "NoSuchKey");
	} else if (!holds(w)) {
		answer(w, 412, "PreconditionFailed");
	} else {
		store.exists = false;
		store.version++;
		answer(w, 204, "");
	}
}

static void serve(struct wire *w, void *ctx)
{
	bool go_on = true;

	(void)ctx;
	while (go_on && wire_request(w)) {
		char body[512] = "";

		if (wire_length(w) >= (long long)sizeof(body) || !wire_read(w, body, (size_t)wire_length(w)))
			return;
		pthread_mutex_lock(&store.lock);
		sscanf(w->head, "%*s %127s", store.path);
		if (strncmp(w->head, "PUT", 3) == 0)
			go_on = put(w, body);
		else if (strncmp(w->head, "DELETE", 6) == 0)
			drop(w);
		else if (store.exists)
			answer(w, 200, store.body);
		else
			answer(w, 404, "NoSuchKey");
		pthread_mutex_unlock(&store.lock);
	}
}

static struct s3_client *client;

static int start(void)
{
	struct s3_settings s;
	char url[128];

	memset(&server, 0, sizeof(server));
	store.exists = store.ignores_conditions = store.not_implemented = store.delete_not_implemented = false;
	store.lose_next_answer = false;
	store.version = store.puts = store.conflicts = 0;
	server.serve = serve;
	e = (struct err)ERR_INIT;
	if (served_start(&server) < 0)
		return -1;
	snprintf(url, sizeof(url), "s3://bkt/p?endpoint=http://127.0.0.1:%d", server.port);
	if (s3_settings_make(&(struct s3_given){ .url = url, .access_key_id = NULL }, &s, &e) != 0)
		return -1;
	s.access_key_id = strdup("key");
	s.secret_access_key = strdup("secret");
	int rc = s3_client_open(&s, NULL, &client, &e);
	s3_settings_free(&s);
	return rc;
}

static void stop(void)
{
	s3_client_release(client);
	served_stop(&server);
}

static int64_t mono_ms(void)
{
	return os_mono_us() / 1000;
}

TEST(taken_kept_given_back)
{
	struct s3_lease *a, *b;
	int64_t until = 0, later = 0, from;
	struct err other = ERR_INIT;

	CHECK_OK(start(), &e);
	s3_lease_create(client, "p", &a, &e);
	s3_lease_create(client, "p", &b, &e);
	from = mono_ms();
	int rc = s3_lease_hold(a, "host:1", 30000, NULL, &fresh, &until, &e);
	int refused = s3_lease_hold(b, "host:2", 30000, NULL, &fresh, &later, &other);
	bool path = strcmp(store.path, "/bkt/p/lock.json") == 0;
	char first[512];
	snprintf(first, sizeof(first), "%s", store.body);
	int again = s3_lease_hold(a, "host:1", 30000, NULL, &fresh, &later, &e);
	bool same_generation = strstr(store.body, "\"generation\":1,") != NULL;
	int back = s3_lease_release(a, NULL, &e), twice = s3_lease_release(a, NULL, &e);
	int now = s3_lease_hold(b, "host:2", 30000, NULL, &fresh, &later, &e);
	s3_lease_free(a);
	s3_lease_free(b);
	stop();
	CHECK_OK(rc, &e);
	CHECK(until >= from + 30000 && until <= mono_ms() + 30000);
	CHECK_INT(refused, -1);
	CHECK_INT(other.code, ERR_BUSY);
	CHECK(strstr(other.text, "held by host:1 until 20") != NULL);
	CHECK(path);
	CHECK(strstr(first, "\"owner\":\"host:1\"") != NULL);
	CHECK_OK(again, &e);
	CHECK(same_generation);
	CHECK_OK(back, &e);
	CHECK_OK(twice, &e);
	CHECK_OK(now, &e);
}

TEST(expired_ones_are_taken_over)
{
	struct s3_lease *l;
	int64_t until;

	CHECK_OK(start(), &e);
	store.exists = true;
	store.version = 7;
	strcpy(store.body, "{\"generation\":41,\"expires_at\":\"2020-01-01T00:00:00.000000001+01:00\","
	       "\"owner\":\"old:1\"}");
	s3_lease_create(client, "p", &l, &e);
	int rc = s3_lease_hold(l, "host:1", 30000, NULL, &fresh, &until, &e);
	bool next = strstr(store.body, "\"generation\":42,") != NULL;
	s3_lease_free(l);
	stop();
	CHECK_OK(rc, &e);
	CHECK(next);
}

TEST(taken_from_us)
{
	struct s3_lease *l;
	int64_t until;
	struct err lost = ERR_INIT, gone = ERR_INIT;

	CHECK_OK(start(), &e);
	s3_lease_create(client, "", &l, &e);
	int rc = s3_lease_hold(l, "host:1", 30000, NULL, &fresh, &until, &e);
	bool path = strcmp(store.path, "/bkt/lock.json") == 0;
	store.version++;
	strcpy(store.body, "{\"generation\":2,\"expires_at\":\"2199-01-01T00:00:00Z\",\"owner\":\"thief:1\"}");
	int renewed = s3_lease_hold(l, "host:1", 30000, NULL, &fresh, &until, &lost);
	int anew = s3_lease_hold(l, "host:1", 30000, NULL, &fresh, &until, &gone);
	int released = s3_lease_release(l, NULL, &e);
	s3_lease_free(l);
	stop();
	CHECK_OK(rc, &e);
	CHECK(path);
	CHECK_INT(renewed, -1);
	CHECK_INT(lost.code, ERR_BUSY);
	CHECK(strstr(lost.text, "taken from us") && strstr(lost.text, "thief:1"));
	CHECK_INT(anew, -1);
	CHECK_INT(gone.code, ERR_BUSY);
	CHECK_OK(released, &e); /* nothing of ours was there to be given back */
}

TEST(servers_without_conditions_are_refused)
{
	struct s3_lease *l;
	struct err ignores = ERR_INIT, lacks = ERR_INIT;
	int64_t until;

	CHECK_OK(start(), &e);
	store.ignores_conditions = true;
	s3_lease_create(client, "p", &l, &e);
	int a = s3_lease_hold(l, "host:1", 30000, NULL, &fresh, &until, &ignores);
	s3_lease_free(l);
	bool left = store.exists;
	store.exists = store.ignores_conditions = false;
	store.not_implemented = true;
	s3_lease_create(client, "p", &l, &e);
	int b = s3_lease_hold(l, "host:1", 30000, NULL, &fresh, &until, &lacks);
	s3_lease_free(l);
	stop();
	CHECK_INT(a, -1);
	CHECK_INT(ignores.code, ERR_INVALID);
	CHECK(!left);
	CHECK(strstr(ignores.text, "lease: true") != NULL);
	CHECK_INT(b, -1);
	CHECK_INT(lacks.code, ERR_INVALID);
	CHECK(strstr(lacks.text, "lease: true") != NULL);
}

/* The PUT went through, its answer did not: the second attempt is refused, and that is our own doing. */
TEST(our_own_success_is_recognised)
{
	struct s3_lease *l;
	int64_t until;

	CHECK_OK(start(), &e);
	store.lose_next_answer = true;
	s3_lease_create(client, "p", &l, &e);
	int rc = s3_lease_hold(l, "host:1", 30000, NULL, &fresh, &until, &e);
	store.lose_next_answer = true;
	int again = s3_lease_hold(l, "host:1", 30000, NULL, &fresh, &until, &e);
	int third = s3_lease_hold(l, "host:1", 30000, NULL, &fresh, &until, &e);
	s3_lease_free(l);
	stop();
	CHECK_OK(rc, &e);
	CHECK_OK(again, &e);
	CHECK_OK(third, &e);
}

TEST(no_conditional_delete)
{
	struct s3_lease *a, *b;
	int64_t until;

	CHECK_OK(start(), &e);
	store.delete_not_implemented = true;
	s3_lease_create(client, "p", &a, &e);
	s3_lease_create(client, "p", &b, &e);
	int rc = s3_lease_hold(a, "host:1", 30000, NULL, &fresh, &until, &e) + s3_lease_release(a, NULL, &e) +
	         s3_lease_hold(b, "host:2", 30000, NULL, &fresh, &until, &e);
	s3_lease_free(a);
	s3_lease_free(b);
	stop();
	CHECK_OK(rc, &e);
}

struct racer {
	pthread_t thread;
	int number, rc;
	struct err why;
};

static void *race(void *ctx)
{
	struct racer *r = ctx;
	struct s3_lease *l;
	char owner[32];
	int64_t until;
	bool taken;

	snprintf(owner, sizeof(owner), "host:%d", r->number);
	s3_lease_create(client, "p", &l, &r->why);
	r->rc = s3_lease_hold(l, owner, 30000, NULL, &taken, &until, &r->why);
	s3_lease_free(l);
	return NULL;
}

TEST(one_of_ten_wins)
{
	struct racer racers[10] = { { .number = 0 } };
	int winners = 0, busy = 0;

	CHECK_OK(start(), &e);
	store.conflicts = 2;
	for (int i = 0; i < 10; i++) {
		racers[i].number = i;
		pthread_create(&racers[i].thread, NULL, race, &racers[i]);
	}
	for (int i = 0; i < 10; i++) {
		pthread_join(racers[i].thread, NULL);
		winners += racers[i].rc == 0;
		busy += racers[i].rc != 0 && racers[i].why.code == ERR_BUSY;
	}
	stop();
	CHECK_INT(winners, 1);
	CHECK_INT(busy, 9);
}

TEST_MAIN
