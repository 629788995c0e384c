/* SPDX-License-Identifier: MIT */
/* Keeping a lock whose server does what the test says. */
#include "lib/replica/hold.h"

#include <stdlib.h>
#include <string.h>

#include "lib/os/clock.h"
#include "lib/os/fault.h"
#include "tests/check.h"

static struct server {
	int holds, returns;  /* calls */
	enum err_code answer; /* ERR_NONE: it is ours */
	bool taken;           /* by another, since it was last ours */
	char owner[200];
} server;

static int hold(struct replica *r, const char *owner, int64_t lease_ms, bool *fresh, int64_t *until_ms,
                struct err *e)
{
	(void)r;
	*fresh = server.holds++ == 0 || server.taken;
	snprintf(server.owner, sizeof(server.owner), "%s", owner);
	if (server.answer != ERR_NONE)
		return err_set(e, server.answer, "no");
	*until_ms = os_mono_us() / 1000 + lease_ms;
	return 0;
}

static int let_go(struct replica *r, struct err *e)
{
	(void)r;
	(void)e;
	server.returns++;
	return 0;
}

static const struct replica_ops with_lock = { .type = "test", .hold = hold, .let_go = let_go };
static struct replica replica;
static struct replica_hold *h;
static struct err e;

static void begin(void)
{
	server = (struct server){ 0 };
	replica = (struct replica){ .ops = &with_lock, .lease = true };
	err_clear(&e);
	CHECK_INT(replica_hold_create(&replica, &h, &e), 0);
}

static void end(void)
{
	replica_hold_free(h);
	os_fault_clock(0, 0);
}

static void later(int64_t seconds)
{
	os_fault_clock(os_wall_ms() + seconds * 1000, os_mono_us() + seconds * 1000000);
}

TEST(not_wanted)
{
	replica = (struct replica){ .ops = &with_lock };
	CHECK_INT(replica_hold_create(&replica, &h, &e), 0);
	CHECK(h == NULL);
	replica_hold_free(h);
}

TEST(taken_once_then_prolonged)
{
	begin();
	later(1);
	CHECK(replica_hold_due_us(h) == INT64_MAX);
	for (int i = 0; i < 3; i++)
		CHECK_INT(replica_hold_keep(h, &e), 0);
	CHECK_INT(server.holds, 1);
	CHECK_INT(replica_hold_term(h), 1);
	CHECK(strchr(server.owner, ':') != NULL);
	CHECK(replica_hold_due_us(h) < replica_hold_until_us(h));
	later(15);
	CHECK_INT(replica_hold_keep(h, &e), 0);
	CHECK_INT(server.holds, 2);
	CHECK_INT(replica_hold_term(h), 1);
	replica_hold_let_go(h);
	replica_hold_let_go(h);
	CHECK_INT(server.returns, 1);
	CHECK(replica_hold_due_us(h) == INT64_MAX);
	server.taken = true;
	CHECK_INT(replica_hold_keep(h, &e), 0);
	CHECK_INT(replica_hold_term(h), 2);
	end();
}

TEST(a_server_out_of_reach)
{
	begin();
	later(1);
	CHECK_INT(replica_hold_keep(h, &e), 0);
	later(15);
	server.answer = ERR_SYSTEM;
	CHECK_INT(replica_hold_keep(h, &e), 0); /* it lasts for a while */
	CHECK(replica_hold_due_us(h) > os_mono_us());
	later(14);
	CHECK_INT(replica_hold_keep(h, &e), -1);
	CHECK_INT(e.code, ERR_SYSTEM);
	CHECK_INT(replica_hold_refused(h), ERR_NONE);
	server.answer = ERR_NONE;
	CHECK_INT(replica_hold_keep(h, &e), 0);
	CHECK_INT(replica_hold_term(h), 1); /* nobody has had it */
	end();
}

TEST(another_takes_it)
{
	begin();
	later(1);
	CHECK_INT(replica_hold_keep(h, &e), 0);
	later(15);
	server.answer = ERR_BUSY;
	CHECK_INT(replica_hold_keep(h, &e), -1);
	CHECK_INT(e.code, ERR_BUSY);
	CHECK_INT(replica_hold_refused(h), ERR_BUSY);
	CHECK(replica_hold_due_us(h) == INT64_MAX);
	replica_hold_let_go(h); /* not ours to give */
	CHECK_INT(server.returns, 0);
	end();
}

TEST_MAIN
