/* SPDX-License-Identifier: MIT */
/*
 * Watches of files and folders: several on one inode, once or for ever, removed and freed in the middle of an event, a
 * thousand of them, and a queue that overflows.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/os/fault.h"
#include "lib/os/file.h"
#include "lib/os/loop.h"
#include "tests/check.h"
#include "tests/support/tmpdir.h"

static struct err err;

struct eye {
	struct loop_watch watch;
	struct loop *loop;
	int events, names, wd_at_event;
	uint32_t seen;
	char name[64];
	struct eye *remove[3];
	const char *again; /* start again on this path in event() */
	int again_rc;
};

static void event(struct loop_watch *w, uint32_t mask, const char *name)
{
	struct eye *eye = (struct eye *)w;
	int i;

	eye->events++;
	eye->seen |= mask;
	eye->wd_at_event = w->wd;
	if (name != NULL) {
		eye->names++;
		snprintf(eye->name, sizeof(eye->name), "%.63s", name);
	}
	for (i = 0; i < 3; i++)
		if (eye->remove[i] != NULL)
			loop_watch_remove(eye->loop, &eye->remove[i]->watch);
	if (eye->again != NULL)
		eye->again_rc = loop_watch_add(eye->loop, w, eye->again, w->mask, &err);
}

static struct eye new_eye(struct loop *l)
{
	return (struct eye){ .watch.event = event, .loop = l };
}

static int append(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_APPEND, 0644);
	ssize_t n = fd < 0 ? -1 : write(fd, text, strlen(text));

	if (fd >= 0)
		close(fd);
	return n == (ssize_t)strlen(text) ? 0 : -1;
}

static int rounds(struct loop *l, int n)
{
	while (n-- > 0)
		if (loop_once(l, 0, &err) < 0)
			return -1;
	return 0;
}

TEST(watch_file_and_folder)
{
	struct loop *l = loop_create(&err);
	struct eye file = new_eye(l), dir = new_eye(l);
	const char *path = tmppath("w1");

	CHECK_INT(append(path, "1"), 0);
	CHECK_OK(loop_watch_add(l, &file.watch, path, IN_MODIFY, &err), &err);
	CHECK_OK(loop_watch_add(l, &dir.watch, tmpdir(), IN_CREATE | IN_DELETE, &err), &err);
	CHECK_OK(rounds(l, 2), &err);
	CHECK_INT(file.events + dir.events, 0);
	CHECK_INT(append(path, "2"), 0);
	CHECK_INT(append(tmppath("w2"), "2"), 0);
	CHECK_OK(rounds(l, 2), &err);
	CHECK_INT(file.events, 1);
	CHECK_INT(file.seen, IN_MODIFY);
	CHECK_INT(file.names, 0);
	CHECK_INT(dir.events, 1);
	CHECK_STR(dir.name, "w2");
	loop_watch_remove(l, &file.watch);
	loop_watch_remove(l, &file.watch);
	CHECK_INT(file.watch.wd, 0);
	CHECK_INT(append(path, "3"), 0);
	CHECK_OK(rounds(l, 2), &err);
	CHECK_INT(file.events, 1);
	unlink(path);
	CHECK_OK(rounds(l, 2), &err);
	CHECK_INT(dir.events, 2);
	loop_free(l);
}

TEST(watch_shared_inode)
{
	struct loop *l = loop_create(&err);
	struct eye a = new_eye(l), b = new_eye(l), once = new_eye(l);
	const char *path = tmppath("shared"), *link_path = tmppath("hardlink");

	CHECK_INT(append(path, "1"), 0);
	CHECK_INT(link(path, link_path), 0);
	CHECK_OK(loop_watch_add(l, &a.watch, path, IN_MODIFY, &err), &err);
	CHECK_OK(loop_watch_add(l, &b.watch, link_path, IN_ATTRIB, &err), &err);
	CHECK_OK(loop_watch_add(l, &once.watch, path, IN_MODIFY | IN_ONESHOT, &err), &err);
	CHECK_INT(a.watch.wd, b.watch.wd);
	CHECK_INT(append(path, "2"), 0);
	CHECK_OK(rounds(l, 2), &err);
	CHECK_INT(a.events, 1); /* the second struct's mask did not replace the first one's */
	CHECK_INT(b.events, 0);
	CHECK_INT(once.events, 1);
	CHECK_INT(once.wd_at_event, 0);
	CHECK_INT(append(path, "3"), 0);
	chmod(path, 0600);
	CHECK_OK(rounds(l, 2), &err);
	CHECK_INT(a.events, 2); /* the one-shot watch of another did not end ours */
	CHECK_INT(b.events, 1);
	CHECK_INT(once.events, 1);
	loop_watch_remove(l, &a.watch);
	CHECK_INT(append(path, "4"), 0);
	chmod(path, 0644);
	CHECK_OK(rounds(l, 2), &err);
	CHECK_INT(a.events, 2);
	CHECK_INT(b.events, 2);
	CHECK_INT(b.seen, IN_ATTRIB);
	loop_free(l);
}

TEST(watch_oneshot_again)
{
	struct loop *l = loop_create(&err);
	struct eye eye = new_eye(l);
	const char *path = tmppath("again");
	int i;

	CHECK_INT(append(path, "1"), 0);
	eye.again = path;
	CHECK_OK(loop_watch_add(l, &eye.watch, path, IN_MODIFY | IN_ONESHOT, &err), &err);
	for (i = 1; i <= 3; i++) {
		CHECK_INT(append(path, "2"), 0);
		CHECK_OK(rounds(l, 3), &err);
		CHECK_INT(eye.events, i);
		CHECK_INT(eye.wd_at_event, 0);
		CHECK_INT(eye.again_rc, 0);
		CHECK(eye.watch.wd != 0);
	}
	CHECK_INT(eye.seen, IN_MODIFY); /* never the IN_IGNORED of the watch before */
	loop_free(l);
}

TEST(watch_of_deleted_file)
{
	struct loop *l = loop_create(&err);
	struct eye a = new_eye(l), b = new_eye(l);
	const char *path = tmppath("deleted");
	int wd;

	CHECK_INT(append(path, "1"), 0);
	CHECK_OK(loop_watch_add(l, &a.watch, path, IN_MODIFY, &err), &err);
	CHECK_OK(loop_watch_add(l, &b.watch, path, IN_MODIFY | IN_DELETE_SELF, &err), &err);
	wd = a.watch.wd;
	unlink(path);
	CHECK_INT(append(path, "2"), 0);
	CHECK_OK(rounds(l, 3), &err);
	CHECK_INT(a.seen, IN_IGNORED);
	CHECK_INT(a.wd_at_event, 0);
	CHECK_INT(b.seen, IN_DELETE_SELF | IN_IGNORED);
	CHECK_INT(b.watch.wd, 0);
	CHECK_OK(loop_watch_add(l, &a.watch, path, IN_MODIFY, &err), &err);
	CHECK(a.watch.wd != wd);
	CHECK_INT(append(path, "3"), 0);
	CHECK_OK(rounds(l, 2), &err);
	CHECK_INT(a.seen, IN_IGNORED | IN_MODIFY);
	/* Deleted again, and removed before its IN_IGNORED is read. */
	a.events = 0;
	unlink(path);
	loop_watch_remove(l, &a.watch);
	CHECK_OK(rounds(l, 2), &err);
	CHECK_INT(a.events, 0);
	loop_free(l);
}

/* Each of three structs, two of them on one inode, removes all three at its first event. */
TEST(watches_remove_each_other)
{
	struct loop *l = loop_create(&err);
	struct eye eye[3];
	char path[2][256];
	int i, k, total = 0;

	snprintf(path[0], sizeof(path[0]), "%s", tmppath("r0"));
	snprintf(path[1], sizeof(path[1]), "%s", tmppath("r1"));
	CHECK(append(path[0], "1") == 0 && append(path[1], "1") == 0);
	for (k = 0; k < 4; k++) {
		for (i = 0; i < 3; i++) {
			eye[i] = new_eye(l);
			eye[i].remove[0] = &eye[(i + k) % 3];
			eye[i].remove[1] = &eye[(i + k + 1) % 3];
			eye[i].remove[2] = k < 3 ? &eye[(i + k + 2) % 3] : NULL;
			CHECK_OK(loop_watch_add(l, &eye[i].watch, path[i == 1], IN_MODIFY, &err), &err);
		}
		CHECK(append(path[0], "2") == 0 && append(path[1], "2") == 0);
		CHECK_OK(rounds(l, 3), &err);
		total = eye[0].events + eye[1].events + eye[2].events;
		for (i = 0; i < 3; i++)
			loop_watch_remove(l, &eye[i].watch);
		if (k < 3)
			CHECK_INT(total, 1);
	}
	loop_free(l);
}

static struct eye *doomed; /* heap memory that the next event frees */

static void free_doomed(struct loop_watch *w, uint32_t mask, const char *name)
{
	event(w, mask, name);
	if (doomed == NULL)
		return;
	loop_watch_remove(doomed->loop, &doomed->watch);
	free(doomed);
	doomed = NULL;
}

/* Of three on one inode, the first that hears frees its successor; the last one still hears. */
TEST(watch_freed_by_its_neighbour)
{
	struct loop *l = loop_create(&err);
	struct eye first = new_eye(l), last = new_eye(l);
	const char *path = tmppath("neighbours");

	CHECK_INT(append(path, "1"), 0);
	doomed = malloc(sizeof(*doomed));
	CHECK(doomed != NULL);
	*doomed = new_eye(l);
	first.watch.event = last.watch.event = free_doomed;
	CHECK_OK(loop_watch_add(l, &last.watch, path, IN_MODIFY, &err), &err);
	CHECK_OK(loop_watch_add(l, &doomed->watch, path, IN_MODIFY, &err), &err);
	CHECK_OK(loop_watch_add(l, &first.watch, path, IN_MODIFY, &err), &err);
	CHECK_INT(append(path, "2"), 0);
	CHECK_OK(rounds(l, 2), &err);
	CHECK(doomed == NULL);
	CHECK_INT(first.events, 1);
	CHECK_INT(last.events, 1);
	loop_free(l);
}

TEST(watches_many)
{
	enum { MANY = 300 };
	static struct eye eye[MANY];
	struct loop *l = loop_create(&err);
	char name[32];
	int i;

	CHECK_OK(os_dir_make(tmppath("many"), NULL, &err), &err);
	for (i = 0; i < MANY; i++) {
		snprintf(name, sizeof(name), "many/%d", i);
		CHECK_INT(append(tmppath(name), "1"), 0);
		eye[i] = new_eye(l);
		CHECK_OK(loop_watch_add(l, &eye[i].watch, tmppath(name), IN_MODIFY, &err), &err);
	}
	for (i = 0; i < MANY; i++) {
		snprintf(name, sizeof(name), "many/%d", i);
		CHECK_INT(append(tmppath(name), "1"), 0);
	}
	for (i = 0; i < MANY; i += 2)
		loop_watch_remove(l, &eye[i].watch); /* with their events waiting */
	CHECK_OK(rounds(l, 10), &err);
	for (i = 0; i < MANY; i++)
		CHECK_INT(eye[i].events, i % 2);
	loop_free(l);
}

/* The queue's bound, as the kernel says it, or 0. */
static int queue_bound(void)
{
	FILE *f = fopen("/proc/sys/fs/inotify/max_queued_events", "r");
	int n = 0;

	if (f != NULL && fscanf(f, "%d", &n) != 1)
		n = 0;
	if (f != NULL)
		fclose(f);
	return n;
}

TEST(watch_overflow)
{
	struct loop *l = loop_create(&err);
	struct eye busy[2] = { new_eye(l), new_eye(l) }, quiet = new_eye(l), once = new_eye(l), alone = new_eye(l);
	char path[2][256];
	int i, bound = queue_bound();

	if (bound <= 0 || bound > 100000)
		SKIP("the queue is too long to fill");
	snprintf(path[0], sizeof(path[0]), "%s", tmppath("busy0"));
	snprintf(path[1], sizeof(path[1]), "%s", tmppath("busy1"));
	for (i = 0; i < 2; i++) {
		CHECK_INT(append(path[i], "1"), 0);
		CHECK_OK(loop_watch_add(l, &busy[i].watch, path[i], IN_ATTRIB, &err), &err);
	}
	CHECK_INT(append(tmppath("quiet"), "1"), 0);
	CHECK_OK(loop_watch_add(l, &quiet.watch, tmppath("quiet"), IN_MODIFY, &err), &err);
	CHECK_OK(loop_watch_add(l, &once.watch, tmppath("quiet"), IN_MODIFY | IN_ONESHOT, &err), &err);
	CHECK_INT(append(tmppath("alone"), "1"), 0);
	CHECK_OK(loop_watch_add(l, &alone.watch, tmppath("alone"), IN_MODIFY | IN_ONESHOT, &err), &err);
	once.again = tmppath("quiet");
	alone.again = tmppath("alone"); /* gets a new wd, thus another chain */
	for (i = 0; i < bound + 10; i++) /* neighbours that are equal would be merged */
		chmod(path[i % 2], 0600);
	for (i = 0; i < bound && quiet.events == 0; i++)
		CHECK_OK(loop_once(l, 0, &err), &err);
	CHECK_INT(busy[0].seen, IN_ATTRIB | IN_Q_OVERFLOW);
	CHECK_INT(busy[1].seen, IN_ATTRIB | IN_Q_OVERFLOW);
	CHECK_INT(quiet.seen, IN_Q_OVERFLOW);
	CHECK_INT(quiet.events, 1);
	CHECK_INT(once.seen, IN_Q_OVERFLOW);
	CHECK_INT(once.events, 1);
	CHECK_INT(once.wd_at_event, 0);
	CHECK(once.watch.wd != 0);
	CHECK_INT(alone.events, 1);
	CHECK(alone.watch.wd != 0);
	CHECK_INT(append(tmppath("quiet"), "1"), 0);
	CHECK_OK(rounds(l, 2), &err);
	CHECK_INT(quiet.events, 2);
	CHECK_INT(once.events, 2);
	loop_free(l);
}

TEST(watch_errors)
{
	struct loop *l = loop_create(&err);
	struct eye eye = new_eye(l);
	struct os_fault_plan plan = { .mode = OS_FAULT_ONCE, .at = 1, .calls = OS_CALL_WATCH, .errnum = ENOSPC };
	struct rlimit old, none;
	int rc;

	CHECK_INT(loop_watch_add(l, &eye.watch, "/none/x", IN_MODIFY, &err), -1);
	CHECK_INT(err.code, ERR_NOT_FOUND);
	CHECK_STR(err.text, "watch /none/x: no such file or directory");
	CHECK_INT(eye.watch.wd, 0);
	os_fault_set(&plan);
	rc = loop_watch_add(l, &eye.watch, "/tmp", IN_MODIFY, &err);
	os_fault_set(NULL);
	CHECK_INT(rc, -1);
	CHECK_INT(err.code, ERR_LIMIT);
	CHECK(strstr(err.text, "fs.inotify.max_user_watches") != NULL);
	loop_free(l);

	/* No queue to be had: the loop works without one. */
	l = loop_create(&err);
	getrlimit(RLIMIT_NOFILE, &old);
	none = old;
	none.rlim_cur = 3;
	setrlimit(RLIMIT_NOFILE, &none);
	rc = loop_watch_add(l, &eye.watch, "/tmp", IN_MODIFY, &err);
	setrlimit(RLIMIT_NOFILE, &old);
	CHECK_INT(rc, -1);
	CHECK_INT(err.code, ERR_LIMIT);
	CHECK(strstr(err.text, "fs.inotify.max_user_instances") != NULL);
	CHECK_OK(loop_once(l, 0, &err), &err);
	CHECK_OK(loop_watch_add(l, &eye.watch, "/tmp", IN_MODIFY, &err), &err);
	loop_free(l);
}

TEST_MAIN
