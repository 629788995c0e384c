/* SPDX-License-Identifier: MIT */
/*
 * folder_parts.h - what the files of folder.h share.
 *
 *   folder_scan.c   looking: names of a folder, first bytes of a file; blocks, knows nothing of the loop
 *   folder_tree.c   what is known: folders and files as a tree, with indices by name and by inode
 *   folder_watch.c  events and their order
 *   folder_job.c    what the pool looks at, and what follows from it
 */
#ifndef RIVULET_STORE_FOLDER_PARTS_H
#define RIVULET_STORE_FOLDER_PARTS_H

#include <stdatomic.h>
#include <stdint.h>

#include "lib/os/loop.h"
#include "lib/os/pool.h"
#include "lib/store/folder.h"

/* ---- folder_scan.c ---- */

struct folder_name {
	bool is_dir;
	uint64_t dev, ino; /* of a file */
	char *name;
};
/* The names of one folder that matter, in their order: files that match, and folders where the rule is recursive. */
struct folder_names {
	struct folder_name *items;
	int count, cap;
	uint64_t dev, ino; /* of the folder */
	bool too_many;
};
void folder_names_free(struct folder_names *names);
bool folder_name_ignored(const char *name); /* a companion of a database */
bool folder_name_matters(const struct folder_rule *rule, const char *path, const char *name, bool is_dir);
/* cancel may be NULL. When path is a file, its own name is looked at and listed as "". */
int folder_names(const struct folder_rule *rule, const char *path, const atomic_bool *cancel, struct folder_names *out,
                 struct err *e);

/* ---- folder_tree.c ---- */

enum folder_node_kind {
	NODE_DIR,
	NODE_NEW,      /* a file that was not looked at yet */
	NODE_EMPTY,    /* may become a database: its next write is waited for */
	NODE_DATABASE, /* reported */
	NODE_TWIN,     /* another name of a reported one */
};
struct folder_node {
	struct loop_watch watch; /* first; of folders and empty files */
	struct folder *f;
	enum folder_node_kind kind;
	bool queued, busy;  /* to be looked at; being looked at */
	bool gone;          /* out of the tree, freed when the two above are over */
	int depth;          /* of folders; the top is 0 */
	unsigned seen;      /* f->round when it was last met by a scan or an event */
	uint64_t dev, ino;
	struct folder_node *parent, *child, *next, **link;  /* tree; next and link also: place among the leaving */
	struct folder_node *name_next, *inode_next;         /* chains of the indices */
	struct folder_node *queue_next;
	char *path; /* of databases and twins: as reported; owned */
	char name[];
};

struct folder_index {
	struct folder_node **by_name, **by_inode; /* by_inode holds databases and twins */
	unsigned buckets, count;
};

struct folder_node *tree_add(struct folder *f, struct folder_node *parent, const char *name,
                             enum folder_node_kind kind);
struct folder_node *tree_find(struct folder *f, const struct folder_node *parent, const char *name);
/* A database (or a twin of it) with this inode, but not `but`. */
struct folder_node *tree_find_inode(struct folder *f, uint64_t dev, uint64_t ino, enum folder_node_kind kind,
                                    const struct folder_node *but);
void tree_set_inode(struct folder_node *n, uint64_t dev, uint64_t ino); /* of databases and twins */
void tree_detach(struct folder_node *n); /* out of tree and name index; its children must be gone */
void tree_free(struct folder_node *n);   /* at once, or when nobody looks at it any more */
char *tree_path(const struct folder_node *n);
char *tree_relative(const struct folder_node *n);

/* ---- the folder ---- */

enum {
	FOLDER_DEBOUNCE_US = 250 * 1000,
	FOLDER_MOVE_US = 10 * 1000,         /* the other half of a rename comes within it */
	FOLDER_LEAVE_MAX_US = 10 * 1000 * 1000, /* busy all the time: not for ever */
	FOLDER_RESCAN_US = 300 * 1000 * 1000,
	FOLDER_BLIND_RESCAN_US = 30 * 1000 * 1000,
	FOLDER_ABSENT_US = 2 * 1000 * 1000,
	FOLDER_JOB_DIRS = 64,               /* looked at in one job, so that others get their turn */
	FOLDER_JOB_FILES = 512,
};

struct folder_queue {
	struct folder_node *first, **end;
};

struct folder_look;

struct folder {
	struct folder_options o;
	char *dir, *pattern;
	char **skip;
	struct folder_index index;
	struct folder_node *root;
	struct folder_node *leaving; /* databases whose name is gone and that may turn up under another */
	struct folder_queue dirs, files;
	int dir_count, database_count;
	unsigned round; /* counts jobs */
	struct loop_timer timer;
	int64_t files_due_us, leaving_due_us, leaving_end_us, rescan_due_us;
	int64_t trouble_step_us;      /* to the next scan while something cannot be looked at */
	bool ready, absent, closing;
	bool blind, trouble;          /* since the last scan began: something could not be watched, or looked at */
	bool blind_told, limit_told, trouble_told;

	/* The job, one at a time; its looks are the worker's while it runs. */
	struct pool_job job;
	struct folder_look *looks;
	int look_count;
	bool running;
	atomic_bool cancel;
};

/* ---- folder_watch.c ---- */
void folder_enqueue(struct folder_node *n, int64_t due_us); /* due: of files; 0 = at once */
void folder_watch_node(struct folder_node *n, const char *path);
/* Takes a node, and what is below it, out of the tree; databases leave. */
void folder_drop(struct folder_node *n);
/* A database whose name is gone is lost, or goes on under another name. */
void folder_settle(struct folder_node *n);
void folder_forget(struct folder_node *n); /* of a leaving one: it has moved, or nobody cares */
void folder_trouble(struct folder *f, const struct err *why); /* logged; tried again with the next scan */
void folder_go_on(struct folder *f);
void folder_end(struct folder *f); /* gives the memory back, after folder_free */

/* ---- folder_job.c ---- */
/* Starts looking at what is queued and due; false when there is nothing. */
bool folder_job_start(struct folder *f, int64_t now);

#endif
