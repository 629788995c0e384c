/* SPDX-License-Identifier: MIT */
/*
 * What the pool looks at for a watched folder, and what follows from what it saw. The worker has copies of the paths
 * and touches no node; a node that goes away meanwhile is only marked (tree_free), and its result is thrown away.
 */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/log.h"
#include "lib/db/db.h"
#include "lib/os/clock.h"
#include "lib/os/file.h"
#include "lib/store/folder_parts.h"

struct folder_look {
	struct folder_node *node;
	char *path;
	bool is_dir;
	int rc;
	struct err why;
	struct folder_names names; /* of a folder */
	struct db_file file;
	char *real; /* where a link leads */
};

/* ---- on the worker ---- */

static int look_at_file(struct folder_look *look)
{
	struct os_stat st;

	if (os_lstat(look->path, &st, &look->why) || db_file_look(look->path, &look->file, &look->why))
		return -1;
	return st.is_link ? os_real_path(look->path, &look->real, &look->why) : 0;
}

static void run(struct pool_job *job)
{
	struct folder *f = (struct folder *)(void *)((char *)job - offsetof(struct folder, job));

	for (int i = 0; i < f->look_count && !f->cancel; i++) {
		struct folder_look *look = &f->looks[i];

		if (look->is_dir)
			look->rc = folder_names(&f->o.rule, look->path, &f->cancel, &look->names, &look->why);
		else
			look->rc = look_at_file(look);
	}
}

/* ---- what was seen of a file ---- */

static void tell_limit(struct folder *f, const char *what, int limit)
{
	if (!f->limit_told)
		log_error("directory is too large, the rest is left out", LS("system", "store"), LS("dir", f->dir),
		          LS("limit", what), LI("max", limit));
	f->limit_told = true;
}

/* Whoever had the path of a new one before is lost first: nobody may hear of two under one path. */
static void settle_path(struct folder *f, const char *path, const struct folder_node *but)
{
	for (struct folder_node *n = f->leaving, *next; n; n = next) {
		next = n->next;
		if (n != but && !strcmp(n->path, path))
			folder_settle(n);
	}
}

static void tell_moved(struct folder_node *from, struct folder_node *to, const char *relative)
{
	struct folder *f = to->f;
	char *old = from->path;

	from->path = NULL;
	folder_forget(from);
	if (strcmp(old, to->path))
		f->o.moved(f->o.ctx, old, to->path, relative);
	free(old);
}

/* A new one: found; or one that left under its old name; or another name of one that is there. */
static void database_came(struct folder_node *n, struct folder_look *look)
{
	struct folder *f = n->f;
	struct folder_node *other = tree_find_inode(f, look->file.dev, look->file.ino, NODE_DATABASE, n);
	bool leaving = other && !other->parent;
	char *relative = tree_relative(n);

	if (!leaving && !other && f->database_count >= FOLDER_DATABASES_MAX) {
		tell_limit(f, "databases", FOLDER_DATABASES_MAX);
		free(relative);
		folder_drop(n);
		return;
	}
	if (!relative) {
		err_nomem(&look->why);
		folder_trouble(f, &look->why);
		return;
	}
	loop_watch_remove(f->o.loop, &n->watch);
	n->path = look->real ? look->real : look->path;
	*(look->real ? &look->real : &look->path) = NULL;
	settle_path(f, n->path, other);
	n->kind = other && !leaving ? NODE_TWIN : NODE_DATABASE;
	tree_set_inode(n, look->file.dev, look->file.ino);
	if (n->kind == NODE_TWIN) {
		log_warn("two names of one database in directory, the second is left out", LS("system", "store"),
		         LS("dir", f->dir),
		         LS("path", other->path), LS("second", relative));
	} else if (leaving) {
		tell_moved(other, n, relative);
	} else {
		f->database_count++;
		f->o.found(f->o.ctx, n->path, relative);
	}
	free(relative);
}

/* Its next write is waited for. What was written before the watch stood is seen by looking once more. */
static void empty_file(struct folder_node *n, const char *path)
{
	bool had_watch = n->watch.wd != 0;

	n->kind = NODE_EMPTY;
	folder_watch_node(n, path);
	if (!had_watch && n->watch.wd)
		folder_enqueue(n, 0);
}

static void take_file(struct folder_node *n, struct folder_look *look)
{
	bool known = n->kind == NODE_DATABASE || n->kind == NODE_TWIN;

	if (look->rc && !err_is(&look->why, ERR_NOT_FOUND)) {
		folder_trouble(n->f, &look->why);
		if (!known)
			folder_drop(n);
	} else if (look->rc) {
		folder_drop(n);
	} else if (n->kind == NODE_DATABASE) {
		/* Whatever it is now: who replicates it knows what to do about an exchange. */
		tree_set_inode(n, look->file.dev, look->file.ino);
	} else if (n->kind == NODE_TWIN && n->dev == look->file.dev && n->ino == look->file.ino &&
	           tree_find_inode(n->f, n->dev, n->ino, NODE_DATABASE, n)) {
		;
	} else if (look->file.kind == DB_FILE_DATABASE) {
		if (known)
			tree_set_inode(n, 0, 0);
		free(n->path);
		n->path = NULL;
		database_came(n, look);
	} else if (look->file.kind == DB_FILE_EMPTY && !known) {
		empty_file(n, look->path);
	} else {
		folder_drop(n);
	}
}

/* ---- what was seen of a folder ---- */

static void take_name(struct folder_node *dir, const struct folder_name *name)
{
	struct folder *f = dir->f;
	struct folder_node *n = tree_find(f, dir, name->name);
	struct err why = ERR_INIT;

	if (n && (n->kind == NODE_DIR) != name->is_dir) {
		folder_drop(n);
		n = NULL;
	}
	if (n) {
		n->seen = f->round;
		/* Another file under its name, or one whose kind may have changed without an event. */
		if (n->kind == NODE_EMPTY || n->kind == NODE_TWIN ||
		    (!name->is_dir && n->kind != NODE_NEW && (n->dev != name->dev || n->ino != name->ino)))
			folder_enqueue(n, 0);
		return;
	}
	if (name->is_dir && dir->depth >= FOLDER_DEPTH_MAX)
		tell_limit(f, "depth", FOLDER_DEPTH_MAX);
	else if (name->is_dir && f->dir_count > FOLDER_DIRS_MAX)
		tell_limit(f, "directories", FOLDER_DIRS_MAX);
	else if ((n = tree_add(f, dir, name->name, name->is_dir ? NODE_DIR : NODE_NEW)))
		folder_enqueue(n, 0);
	else {
		err_nomem(&why);
		folder_trouble(f, &why);
	}
}

static void set_absent(struct folder *f, bool absent)
{
	if (absent != f->absent && absent)
		log_warn("directory is gone, waiting for it", LS("system", "store"), LS("dir", f->dir));
	else if (absent != f->absent)
		log_info("directory is there again", LS("system", "store"), LS("dir", f->dir));
	f->absent = absent;
}

static void drop_unseen(struct folder_node *dir)
{
	for (struct folder_node *n = dir->child, *next; n; n = next) {
		next = n->next;
		if (n->seen != dir->f->round)
			folder_drop(n);
	}
}

static void take_dir(struct folder_node *dir, struct folder_look *look)
{
	struct folder *f = dir->f;

	if (look->rc && !err_is(&look->why, ERR_NOT_FOUND)) {
		/* Nothing is lost only because it cannot be seen. */
		folder_trouble(f, &look->why);
		return;
	}
	if (look->rc && dir != f->root) {
		folder_drop(dir);
		return;
	}
	if (dir == f->root)
		set_absent(f, look->rc);
	/* Another folder under this name than the one that is watched. */
	if (dir->ino && (dir->dev != look->names.dev || dir->ino != look->names.ino)) {
		loop_watch_remove(f->o.loop, &dir->watch);
		if (!look->rc)
			folder_enqueue(dir, 0);
	}
	dir->dev = look->names.dev;
	dir->ino = look->names.ino;
	for (int i = 0; i < look->names.count; i++)
		take_name(dir, &look->names.items[i]);
	if (look->names.too_many)
		tell_limit(f, "names", FOLDER_DATABASES_MAX + FOLDER_DIRS_MAX);
	drop_unseen(dir);
}

/* ---- the job ---- */

static void free_looks(struct folder *f)
{
	for (int i = 0; i < f->look_count; i++) {
		free(f->looks[i].path);
		free(f->looks[i].real);
		folder_names_free(&f->looks[i].names);
	}
	free(f->looks);
	f->looks = NULL;
	f->look_count = 0;
}

static void done(struct pool_job *job)
{
	struct folder *f = (struct folder *)(void *)((char *)job - offsetof(struct folder, job));

	f->running = false;
	for (int i = 0; i < f->look_count; i++) {
		struct folder_look *look = &f->looks[i];
		struct folder_node *n = look->node;

		n->busy = false;
		if (n->gone)
			tree_free(n);
		else if (n->queued)
			continue; /* something happened since: what was seen is old */
		else if (look->is_dir)
			take_dir(n, look);
		else if (n->parent) /* not leaving */
			take_file(n, look);
	}
	free_looks(f);
	if (f->closing)
		folder_end(f);
	else
		folder_go_on(f);
}

static struct folder_node *queue_take(struct folder_queue *q)
{
	struct folder_node *n = q->first;

	if (!n)
		return NULL;
	q->first = n->queue_next;
	if (!q->first)
		q->end = &q->first;
	n->queued = false;
	return n;
}

/* Up to max nodes of a queue become looks. */
static void take_queue(struct folder *f, struct folder_queue *q, int max)
{
	struct err why = ERR_INIT;
	struct folder_node *n;
	char *path;

	while (max > 0 && (n = queue_take(q))) {
		if (n->gone) {
			tree_free(n);
			continue;
		}
		if (n->kind != NODE_DIR && !n->parent) /* leaving */
			continue;
		path = tree_path(n);
		if (!path) {
			err_nomem(&why);
			folder_trouble(f, &why);
			continue;
		}
		/* Watched first: what comes after that is told. */
		if (n->kind == NODE_DIR)
			folder_watch_node(n, path);
		n->busy = true;
		f->looks[f->look_count++] = (struct folder_look){ .node = n, .path = path, .is_dir = n->kind == NODE_DIR };
		max--;
	}
}

bool folder_job_start(struct folder *f, int64_t now)
{
	bool files = f->files.first && now >= f->files_due_us;
	struct err why = ERR_INIT;

	if (f->running || (!f->dirs.first && !files))
		return false;
	f->looks = calloc(FOLDER_JOB_DIRS + FOLDER_JOB_FILES, sizeof(*f->looks));
	if (!f->looks) {
		err_nomem(&why);
		folder_trouble(f, &why);
		return false;
	}
	f->round++;
	take_queue(f, &f->dirs, FOLDER_JOB_DIRS);
	if (files)
		take_queue(f, &f->files, FOLDER_JOB_FILES);
	if (!f->files.first)
		f->files_due_us = INT64_MAX;
	if (!f->look_count) {
		free_looks(f);
		return folder_job_start(f, now);
	}
	f->running = true;
	f->job.run = run;
	f->job.done = done;
	pool_submit(f->o.pool, &f->job);
	return true;
}
