/* SPDX-License-Identifier: MIT */
/*
 * control_kit.h - a control room on the store of store_kit, and a client that asks it, all on one thread and one clock.
 */
#ifndef TESTS_SUPPORT_CONTROL_KIT_H
#define TESTS_SUPPORT_CONTROL_KIT_H

#include "lib/control/control.h"
#include "tests/support/store_kit.h"

struct control_kit {
	struct store_kit k;
	struct control *c;
	struct control_options o; /* may be changed before ck_start */
	char socket[64];
	int fds[8];               /* of ck_open */
	/* what the callbacks saw */
	bool persist_later;       /* persist_done is called by the test */
	void (*persist_done)(void *arg);
	void *persist_arg;
	char persisted[600];      /* "PATH 1 CONFIG\n" for each */
	char text[256 << 10];     /* of ck_ask */
};

/* A store with so many databases, all added, and a control room. */
bool ck_begin(struct control_kit *t, const char *name, int databases);
bool ck_start(struct control_kit *t); /* the room anew, with t->o */
void ck_end(struct control_kit *t);

/*
 * One request on a connection of its own; the clock goes on for at most `seconds`, until the answer is there. Gives
 * "CODE BODY" (the newline at the end left out), what the header `show` holds in front of the body if asked for. The
 * paths of the databases are shown as P0, P1, …
 */
const char *ck_ask(struct control_kit *t, const char *method, const char *target, const char *body, const char *show, int seconds);
const char *ck_get(struct control_kit *t, const char *target);
/* In the body P0 … stand for the paths, and ' for ". */
const char *ck_post(struct control_kit *t, const char *target, const char *body);
const char *ck_raw(struct control_kit *t, const char *text); /* a raw value; gives what comes */
/* /control/ */
const char *ck_rpc(struct control_kit *t, const char *text);

/* A connection that stays open: which of fds. */
int ck_open(struct control_kit *t, const char *method, const char *target, const char *fields, const char *body);
/* What has come on it meanwhile, head included. */
const char *ck_read(struct control_kit *t, int i);
void ck_close(struct control_kit *t, int i);
void ck_turn(struct control_kit *t, int rounds); /* of the loop, nothing of the store's */

#endif
