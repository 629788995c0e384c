/* SPDX-License-Identifier: MIT */
/*
 * test_store_outage.c - an hour without network, in simulated time, with everything real but the clock: engine, store, S3
 * client, connections. Applications write on; the tries are few; afterwards nothing is missing, and nothing was sent twice.
 */
#include "lib/os/clock.h"
#include "lib/os/fault.h"
#include "tests/check.h"
#include "tests/support/bucket.h"
#include "tests/support/store_kit.h"

enum { SECOND = SK_SECOND, DATABASES = 2, WRITE_EVERY_S = 10 };

static struct store_kit k;
static struct bucket b;

static bool add(int i)
{
	static const struct managed_replica_options defaults = MANAGED_REPLICA_DEFAULT;
	struct managed_options o = k.managed;
	char prefix[20];

	snprintf(prefix, sizeof(prefix), "db%d", i);
	o.db = k.g[i].o;
	o.replicas[0] = defaults;
	if (bucket_replica(&b, prefix, NULL, &o.replicas[0].replica, &k.e))
		return false;
	if (!store_add(k.store, &o, &k.m[i], &k.e))
		return true;
	replica_free(o.replicas[0].replica);
	return false;
}

/* The simulated time goes on while a request is tried again; so the writes of that time come in one after the other. */
static bool write_for(int64_t us)
{
	int64_t until = os_mono_us() + us;

	while (os_mono_us() < until) {
		for (int i = 0; i < DATABASES; i++) {
			if (rig_sql(&k.g[i], "INSERT INTO t(b) VALUES (randomblob(200))") != SQLITE_OK)
				return false;
		}
		if (!sk_run(&k, WRITE_EVERY_S * (int64_t)SECOND))
			return false;
	}
	return true;
}

static bool restores(int i)
{
	struct replica *first = k.g[i].replica, *there = NULL;
	char prefix[20];
	bool ok;

	snprintf(prefix, sizeof(prefix), "db%d", i);
	if (bucket_replica(&b, prefix, NULL, &there, &k.e))
		return false;
	k.g[i].replica = there;
	ok = rig_restore(&k.g[i], 0, true);
	k.g[i].replica = first;
	replica_free(there);
	return ok;
}

static bool all_there(void)
{
	for (int i = 0; i < DATABASES; i++) {
		struct managed_status s = sk_status(&k, i);

		if (!s.txid || s.txid != s.replica_txid || !restores(i)) {
			printf("database %d: local TXID %llu, replica %llu: %s\n", i, (unsigned long long)s.txid,
			       (unsigned long long)s.replica_txid, k.e.text);
			return false;
		}
	}
	return true;
}

static int answered(void)
{
	pthread_mutex_lock(&b.lock);
	int n = b.puts + b.gets + b.lists + b.heads + b.removes;
	pthread_mutex_unlock(&b.lock);
	return n;
}

TEST(an_hour_without_network)
{
	int tried, asked, puts, waiting = 0;

	CHECK(bucket_start(&b) == 0);
	CHECK(sk_begin(&k, "hour", DATABASES));
	for (int i = 0; i < DATABASES; i++)
		CHECK(add(i));
	CHECK(write_for(60 * (int64_t)SECOND));
	CHECK(all_there());

	atomic_store(&b.down, true);
	tried = atomic_load(&b.server.connections);
	CHECK(write_for(3600 * (int64_t)SECOND));
	tried = atomic_load(&b.server.connections) - tried;
	for (int i = 0; i < DATABASES; i++)
		waiting += (int)(sk_status(&k, i).txid - sk_status(&k, i).replica_txid);
	printf("tried in the hour: %d connections, %d files wait\n", tried, waiting);
	CHECK(waiting > DATABASES * 20);
	/* Some 15 rounds for each, the last ones five minutes apart, of ten tries each. */
	CHECK(tried >= DATABASES && tried <= DATABASES * 200);

	puts = b.puts;
	asked = answered();
	atomic_store(&b.down, false);
	CHECK(write_for(600 * (int64_t)SECOND));
	CHECK(sk_run(&k, 60 * (int64_t)SECOND));
	printf("after it: %d requests, %d of them PUTs\n", answered() - asked, b.puts - puts);
	CHECK(all_there());
	CHECK(b.puts - puts >= waiting);
	CHECK(answered() - asked - (b.puts - puts) <= DATABASES * 60); /* lists, reads for compactions, deletes */
	CHECK_INT(bucket_most_puts(&b), 1);
	sk_end(&k);
	bucket_stop(&b);
}

TEST_MAIN
