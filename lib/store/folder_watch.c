/* SPDX-License-Identifier: MIT */
/*
 * A folder kept in sight: from inotify's events to what is looked at, and when.
 *
 * Events only say where to look; what is there is decided by looking (folder_job.c). A folder is watched before its
 * names are read, so nothing is missed in between. Writes to files are not watched, for a database writes all the
 * time: a file that is closed after writing is looked at, and an empty one, in which a database may come to be without
 * being closed, gets a watch of its own that fires once.
 *
 * A rename is two events, or two findings of a scan, in either order. A database whose name is gone waits in `leaving`
 * until what is queued has been looked at: if its inode turned up under another name, it has moved.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>

#include "lib/base/log.h"
#include "lib/base/text.h"
#include "lib/os/clock.h"
#include "lib/store/folder_parts.h"

enum {
	DIR_EVENTS = IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_CLOSE_WRITE | IN_DELETE_SELF | IN_MOVE_SELF |
	             IN_ONLYDIR,
	DIR_IS_OVER = IN_DELETE_SELF | IN_MOVE_SELF | IN_IGNORED | IN_UNMOUNT,
};

static void arm(struct folder *f);

/* It may be over soon, or last for ever: tried again ever later, and told once. */
void folder_trouble(struct folder *f, const struct err *why)
{
	if (!f->trouble) {
		f->trouble_step_us = f->trouble_step_us ? f->trouble_step_us * 2 : FOLDER_BLIND_RESCAN_US;
		if (f->trouble_step_us > FOLDER_RESCAN_US)
			f->trouble_step_us = FOLDER_RESCAN_US;
	}
	f->trouble = true;
	if (!f->trouble_told)
		log_warn("cannot look at a part of directory", LS("system", "store"), LS("dir", f->dir),
		         LS("error", err_text(why)));
	f->trouble_told = true;
}

static void queue_put(struct folder_queue *q, struct folder_node *n)
{
	n->queue_next = NULL;
	*q->end = n;
	q->end = &n->queue_next;
	n->queued = true;
}

void folder_enqueue(struct folder_node *n, int64_t due_us)
{
	struct folder *f = n->f;

	if (!n->queued)
		queue_put(n->kind == NODE_DIR ? &f->dirs : &f->files, n);
	/* Not put off by later events; and a new name may be the other half of a rename. */
	if (n->kind != NODE_DIR && f->files_due_us > due_us)
		f->files_due_us = due_us;
}

/* ---- what is gone ---- */

static void leaving_put(struct folder_node *n)
{
	struct folder *f = n->f;
	int64_t now = os_mono_us();

	n->link = &f->leaving;
	n->next = f->leaving;
	if (n->next)
		n->next->link = &n->next;
	else
		f->leaving_end_us = now + FOLDER_LEAVE_MAX_US;
	f->leaving = n;
	f->leaving_due_us = now + FOLDER_MOVE_US;
	if (f->files_due_us > f->leaving_due_us)
		f->files_due_us = f->leaving_due_us;
}

static void leaving_take(struct folder_node *n)
{
	*n->link = n->next;
	if (n->next)
		n->next->link = n->link;
	n->link = NULL;
	n->next = NULL;
}

void folder_forget(struct folder_node *n)
{
	leaving_take(n);
	tree_free(n);
}

void folder_drop(struct folder_node *n)
{
	loop_watch_remove(n->f->o.loop, &n->watch);
	while (n->child)
		folder_drop(n->child);
	tree_detach(n);
	if (n->kind == NODE_DATABASE)
		leaving_put(n);
	else
		tree_free(n);
}

void folder_settle(struct folder_node *n)
{
	struct folder *f = n->f;
	struct folder_node *twin = tree_find_inode(f, n->dev, n->ino, NODE_TWIN, n);
	char *relative = twin ? tree_relative(twin) : NULL;

	leaving_take(n);
	if (relative) {
		twin->kind = NODE_DATABASE;
		f->o.moved(f->o.ctx, n->path, twin->path, relative);
	} else {
		f->database_count--;
		f->o.lost(f->o.ctx, n->path);
	}
	free(relative);
	tree_free(n);
}

/* ---- events ---- */

static bool name_counts(const struct folder_node *dir, const char *name, bool is_dir)
{
	const struct folder_rule *rule = &dir->f->o.rule;
	char *path = is_dir && rule->skip ? tree_path(dir) : NULL;
	bool yes = folder_name_matters(rule, path ? path : "", name, is_dir);

	free(path);
	return yes;
}

static void dir_came(struct folder_node *parent, struct folder_node *n, const char *name)
{
	struct err why = ERR_INIT;

	if (n && n->kind != NODE_DIR) {
		folder_drop(n);
		n = NULL;
	}
	/* One under a name that is known took its place. */
	if (n)
		loop_watch_remove(n->f->o.loop, &n->watch);
	if (!n)
		n = tree_add(parent->f, parent, name, NODE_DIR);
	if (n) {
		n->seen = n->f->round;
		folder_enqueue(n, 0);
	} else {
		err_nomem(&why);
		folder_trouble(parent->f, &why);
	}
}

static void file_came(struct folder_node *parent, struct folder_node *n, const char *name, uint32_t mask)
{
	struct folder *f = parent->f;
	struct err why = ERR_INIT;

	if (n && n->kind == NODE_DIR) {
		folder_drop(n);
		n = NULL;
	}
	if (n)
		n->seen = f->round;
	/* A known database is written to and closed all the time. */
	if (n && (n->kind == NODE_DATABASE || n->kind == NODE_TWIN) && (mask & IN_CLOSE_WRITE))
		return;
	if (!n)
		n = tree_add(f, parent, name, NODE_NEW);
	if (!n) {
		err_nomem(&why);
		folder_trouble(f, &why);
		return;
	}
	folder_enqueue(n, os_mono_us() + (f->leaving ? 0 : FOLDER_DEBOUNCE_US));
}

static void dir_is_over(struct folder_node *n)
{
	struct folder *f = n->f;

	if (n != f->root) {
		folder_drop(n);
		return;
	}
	loop_watch_remove(f->o.loop, &n->watch);
	while (n->child)
		folder_drop(n->child);
	folder_enqueue(n, 0);
}

static void name_went(struct folder_node *n, bool deleted)
{
	struct folder *f = n->f;
	bool database = n->kind == NODE_DATABASE;

	folder_drop(n);
	if (database && deleted)
		folder_settle(f->leaving);
}

static void on_dir_event(struct loop_watch *w, uint32_t mask, const char *name)
{
	struct folder_node *dir = (struct folder_node *)(void *)w, *n;
	struct folder *f = dir->f;
	bool is_dir = (mask & IN_ISDIR) != 0;
	int64_t soon = os_mono_us() + FOLDER_DEBOUNCE_US;

	if (mask & IN_Q_OVERFLOW) {
		if (f->rescan_due_us > soon)
			f->rescan_due_us = soon;
	} else if (mask & DIR_IS_OVER) {
		dir_is_over(dir);
	} else if (name && name_counts(dir, name, is_dir)) {
		n = tree_find(f, dir, name);
		if (mask & (IN_DELETE | IN_MOVED_FROM)) {
			if (n && (n->kind == NODE_DIR) == is_dir)
				name_went(n, mask & IN_DELETE);
		} else if (is_dir) {
			dir_came(dir, n, name);
		} else {
			file_came(dir, n, name, mask);
		}
	}
	arm(f);
}

static void on_file_event(struct loop_watch *w, uint32_t mask, const char *name)
{
	struct folder_node *n = (struct folder_node *)(void *)w;

	(void)mask;
	(void)name;
	folder_enqueue(n, os_mono_us() + FOLDER_DEBOUNCE_US);
	arm(n->f);
}

void folder_watch_node(struct folder_node *n, const char *path)
{
	bool is_dir = n->kind == NODE_DIR;
	uint32_t mask = IN_MODIFY | IN_ONESHOT;
	struct folder *f = n->f;
	struct err why = ERR_INIT;

	if (n->watch.wd)
		return;
	if (is_dir)
		mask = DIR_EVENTS | (n == f->root ? 0 : IN_DONT_FOLLOW);
	n->watch.event = is_dir ? on_dir_event : on_file_event;
	if (!loop_watch_add(f->o.loop, &n->watch, path, mask, &why) || err_is(&why, ERR_NOT_FOUND))
		return;
	/* What may not be watched may not be read either, and that will be said. */
	if (why.sys == EACCES)
		return;
	f->blind = true;
	if (!f->blind_told)
		log_error("directory cannot be watched, it is scanned every 30s instead", LS("system", "store"),
		          LS("dir", f->dir),
		          LS("error", err_text(&why)));
	f->blind_told = true;
}

/* ---- what is due ---- */

static void enqueue_dirs(struct folder_node *n)
{
	folder_enqueue(n, 0);
	for (n = n->child; n; n = n->next)
		if (n->kind == NODE_DIR)
			enqueue_dirs(n);
}

static void rescan(struct folder *f, int64_t now)
{
	f->blind = f->trouble = false;
	f->rescan_due_us = now + FOLDER_RESCAN_US;
	enqueue_dirs(f->root);
}

/* Nothing is queued: the scan is over. */
static void at_rest(struct folder *f, int64_t now)
{
	int64_t interval = f->absent ? FOLDER_ABSENT_US : f->blind ? FOLDER_BLIND_RESCAN_US : FOLDER_RESCAN_US;

	if (!f->trouble)
		f->trouble_step_us = f->trouble_told = 0;
	else if (f->trouble_step_us < interval)
		interval = f->trouble_step_us;
	if (f->rescan_due_us > now + interval)
		f->rescan_due_us = now + interval;
	if (!f->blind && f->blind_told && !f->absent) {
		log_info("directory is watched again", LS("system", "store"), LS("dir", f->dir));
		f->blind_told = false;
	}
	if (!f->ready) {
		f->ready = true;
		if (f->o.ready)
			f->o.ready(f->o.ctx);
	}
}

static void arm(struct folder *f)
{
	int64_t due = f->rescan_due_us, slack = f->absent ? FOLDER_ABSENT_US / 4 : FOLDER_BLIND_RESCAN_US / 4;

	if (f->dirs.first && !f->running)
		due = 0;
	if (f->files.first && !f->running && f->files_due_us < due)
		due = f->files_due_us;
	if (f->leaving && f->leaving_due_us < due)
		due = f->leaving_due_us;
	loop_timer_set(f->o.loop, &f->timer, due, due == f->rescan_due_us ? slack : 0);
}

void folder_go_on(struct folder *f)
{
	int64_t now = os_mono_us();
	bool idle;

	if (now >= f->rescan_due_us)
		rescan(f, now);
	idle = !folder_job_start(f, now) && !f->running && !f->files.first;
	if (f->leaving && now >= f->leaving_due_us) {
		if (idle || now >= f->leaving_end_us)
			while (f->leaving)
				folder_settle(f->leaving);
		else
			f->leaving_due_us = now + FOLDER_MOVE_US;
	}
	if (idle)
		at_rest(f, now);
	arm(f);
}

static void on_timer(struct loop_timer *t)
{
	folder_go_on((struct folder *)(void *)((char *)t - offsetof(struct folder, timer)));
}

/* ---- life ---- */

static char **copy_list(const char *const *list)
{
	size_t count = 0;
	char **copy;

	while (list[count])
		count++;
	copy = calloc(count + 1, sizeof(*copy));
	for (size_t i = 0; copy && i < count; i++)
		if (!(copy[i] = strdup(list[i])))
			return copy; /* shorter: a folder is entered in vain */
	return copy;
}

void folder_end(struct folder *f)
{
	for (size_t i = 0; f->skip && f->skip[i]; i++)
		free(f->skip[i]);
	free(f->skip);
	free(f->dir);
	free(f->pattern);
	free(f->index.by_name);
	free(f->index.by_inode);
	free(f);
}

int folder_watch(const struct folder_options *o, struct folder **out, struct err *e)
{
	struct folder *f;

	*out = NULL;
	if (text_glob_check(o->rule.pattern, e))
		return err_wrap(e, "failed to scan directory %s", o->rule.dir);
	f = calloc(1, sizeof(*f));
	if (!f)
		return err_nomem(e);
	f->o = *o;
	f->dir = strdup(o->rule.dir);
	f->pattern = strdup(o->rule.pattern);
	f->skip = o->rule.skip ? copy_list(o->rule.skip) : NULL;
	f->o.rule.dir = f->dir;
	f->o.rule.pattern = f->pattern;
	f->o.rule.skip = (const char *const *)f->skip;
	f->dirs.end = &f->dirs.first;
	f->files.end = &f->files.first;
	f->files_due_us = INT64_MAX;
	f->timer.fire = on_timer;
	if (!f->dir || !f->pattern || (o->rule.skip && !f->skip) || !tree_add(f, NULL, "", NODE_DIR)) {
		folder_end(f);
		return err_nomem(e);
	}
	rescan(f, os_mono_us());
	arm(f);
	*out = f;
	return 0;
}

static void empty_queue(struct folder_queue *q)
{
	for (struct folder_node *n = q->first, *next; n; n = next) {
		next = n->queue_next;
		n->queued = false;
		if (n->gone)
			tree_free(n);
	}
	q->first = NULL;
	q->end = &q->first;
}

/* Takes the tree down without a word to anybody. */
static void free_tree(struct folder *f)
{
	empty_queue(&f->dirs);
	empty_queue(&f->files);
	if (f->root)
		folder_drop(f->root);
	while (f->leaving)
		folder_forget(f->leaving);
}

void folder_free(struct folder *f)
{
	if (!f)
		return;
	f->closing = true;
	f->cancel = true;
	loop_timer_clear(f->o.loop, &f->timer);
	free_tree(f);
	if (!f->running)
		folder_end(f);
}

