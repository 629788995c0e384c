/* SPDX-License-Identifier: MIT */
/* test_control_observe.c - the page, the metrics and the profiles as routes of the control room; sync-status. */
#include <stdlib.h>

#include "tests/check.h"
#include "lib/control/observe.h"
#include "lib/control/page.h"
#include "lib/os/fault.h"
#include "tests/support/control_kit.h"

static struct control_kit t;
static struct observe *observe;

static bool begin(int databases)
{
	if (!ck_begin(&t, "observe", databases))
		return false;
	if (observe_create(t.k.loop, t.k.store, &observe, &t.k.e))
		return false;
	t.o.routes = observe_routes();
	t.o.routes_ctx = observe;
	return ck_start(&t) && sk_run(&t.k, SK_SECOND);
}

static void end(void)
{
	observe_free(observe);
	ck_end(&t);
	memset(&t, 0, sizeof(t));
}

TEST(routes_are_served)
{
	struct buf html = { .data = NULL };

	CHECK(page_html(&html, NULL) == 0);
	CHECK(begin(1));
	ck_ask(&t, "GET", "/", NULL, "Content-Security-Policy:", 1);
	CHECK(!strncmp(t.text, "200  default-src 'none'; script-src 'sha256-", 44));
	CHECK(strlen(t.text) > html.len &&
	      !strncmp(t.text + strlen(t.text) - 30, (const char *)html.data + html.len - 1 - 30, 30));
	buf_free(&html);
	CHECK(!strncmp(ck_ask(&t, "HEAD", "/", NULL, NULL, 1), "200 ", 4));
	CHECK(!strncmp(ck_ask(&t, "POST", "/", "", "Allow:", 1), "405  GET, HEAD", 14));
	CHECK(!strncmp(ck_get(&t, "/debug/pprof/nope"), "404 Unknown profile", 19));
	CHECK(!strncmp(ck_get(&t, "/debug/pprof/heap?debug=1"), "200 heap profile: ", 18));
	CHECK(!strncmp(ck_get(&t, "/debug/pprof"), "301 ", 4));
	end();
}

TEST(metrics_tell_what_the_store_did)
{
	CHECK(begin(2));
	CHECK_INT(sk_sql(&t.k, 0, "INSERT INTO t VALUES(1, randomblob(5000))"), SQLITE_OK);
	CHECK(sk_run(&t.k, 10 * SK_SECOND));
	ck_ask(&t, "GET", "/metrics", NULL, "Content-Type:", 1);
	CHECK(!strncmp(t.text, "200  text/plain; version=0.0.4; charset=utf-8 # HELP ", 52));
	CHECK(strstr(t.text, "\nlitestream_txid{db=\"P0\"} 2\n"));
	CHECK(strstr(t.text, "\nlitestream_txid{db=\"P1\"} 1\n"));
	CHECK(strstr(t.text, "\nlitestream_sync_error_count{db=\"P1\"} 0\n"));
	CHECK(strstr(t.text, "\nlitestream_replica_operation_total{operation=\"PUT\",replica_type=\"file\"} "));
	CHECK(strstr(t.text, "\npromhttp_metric_handler_requests_total{code=\"200\"} 0\n"));
	ck_get(&t, "/metrics");
	CHECK(strstr(t.text, "\npromhttp_metric_handler_requests_total{code=\"200\"} 1\n"));
	end();
}

/* What /debug/sync-status says while a sync is at its first flush. */
static char during[2000];

static void at_call(void *ctx, enum os_call call)
{
	(void)ctx;
	if (call == OS_CALL_SYNC && !during[0]) {
		struct db_diag d;

		db_diag(managed_db(t.k.m[0]), &d);
		snprintf(during, sizeof(during), "%s %s %d", d.operation, d.phase, d.active);
	}
}

TEST(sync_status_tells_what_goes_on)
{
	CHECK(begin(2));
	ck_get(&t, "/debug/sync-status");
	CHECK(!strncmp(t.text, "200 {\"databases\":[{\"path\":\"P0\",\"active\":false,\"operation\":\"sync\",\"phase\":"
	                       "\"update_metrics\",\"started_at\":\"2023-", 108));
	CHECK(strstr(t.text, "\"path\":\"P1\""));
	CHECK_INT(sk_sql(&t.k, 0, "INSERT INTO t VALUES(1, randomblob(5000))"), SQLITE_OK);
	during[0] = '\0';
	os_fault_hook(at_call, NULL);
	CHECK(sk_run(&t.k, 10 * SK_SECOND));
	os_fault_hook(NULL, NULL);
	CHECK_STR(during, "sync fsync_ltx 1");
	ck_get(&t, "/debug/sync-status?path=/nowhere");
	CHECK_STR(t.text, "404 {\"error\":\"database not found\"}");
	end();
}
TEST_MAIN
