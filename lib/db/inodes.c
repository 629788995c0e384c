/* SPDX-License-Identifier: MIT */
/*
 * inodes.c - which database files this process has open, by (device, inode).
 *
 * Two names of one file would be two engines whose closes drop each other's locks, so the second is refused. The table
 * is small (one entry an open database) and its lock is held for a lookup only.
 *
 * A look at a file that is not open (db_file_look) is an entry as well, for as long as its descriptor lives; who wants
 * to claim that inode waits. One that was claimed between the naming of the file and its opening cannot be closed any
 * more without harm: its entry keeps the descriptor and closes it in the end.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "lib/db/internal.h"

struct stray {
	struct os_file file;
	struct stray *next;
};

struct entry {
	struct db_inode inode;
	char *path; /* NULL: only being looked at */
	struct stray *strays;
	struct entry *next;
};

enum { BUCKETS = 64, MAGIC_SIZE = 16 };

static pthread_mutex_t table_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t looked = PTHREAD_COND_INITIALIZER;
static struct entry *table[BUCKETS];

static struct entry **slot_of(struct db_inode inode)
{
	struct entry **slot = &table[(inode.ino ^ inode.dev) % BUCKETS];

	while (*slot && ((*slot)->inode.ino != inode.ino || (*slot)->inode.dev != inode.dev))
		slot = &(*slot)->next;
	return slot;
}

int db_inode_claim(struct db_inode inode, const char *path, struct err *e)
{
	struct entry *fresh = calloc(1, sizeof(*fresh)), **slot;
	int rc = 0;

	if (!fresh || !(fresh->path = strdup(path))) {
		free(fresh);
		return err_nomem(e);
	}
	fresh->inode = inode;
	pthread_mutex_lock(&table_lock);
	while (*(slot = slot_of(inode)) && !(*slot)->path)
		pthread_cond_wait(&looked, &table_lock);
	if (*slot)
		rc = err_set(e, ERR_EXISTS, "%s is the same file as %s, which is replicated already", path,
		             (*slot)->path);
	else
		*slot = fresh;
	pthread_mutex_unlock(&table_lock);
	if (rc) {
		free(fresh->path);
		free(fresh);
	}
	return rc;
}

void db_inode_release(struct db_inode inode)
{
	struct entry **slot, *gone;

	pthread_mutex_lock(&table_lock);
	slot = slot_of(inode);
	gone = *slot;
	if (gone)
		*slot = gone->next;
	pthread_mutex_unlock(&table_lock);
	if (!gone)
		return;
	for (struct stray *stray = gone->strays, *next; stray; stray = next) {
		next = stray->next;
		os_file_close(&stray->file);
		free(stray);
	}
	free(gone->path);
	free(gone);
}

/* Puts an entry of a look into the table; waits for another look at the same file. false: a db has it open. */
static bool look_begin(struct entry *look)
{
	struct entry **slot;
	bool mine;

	pthread_mutex_lock(&table_lock);
	while (*(slot = slot_of(look->inode)) && !(*slot)->path)
		pthread_cond_wait(&looked, &table_lock);
	mine = !*slot;
	if (mine)
		*slot = look;
	pthread_mutex_unlock(&table_lock);
	return mine;
}

static void look_end(struct entry *look)
{
	pthread_mutex_lock(&table_lock);
	*slot_of(look->inode) = look->next;
	pthread_cond_broadcast(&looked);
	pthread_mutex_unlock(&table_lock);
}

/* Leaves the descriptor to the db that has the file open; false when none has it any more. */
static bool leave_stray(struct db_inode inode, struct stray *stray)
{
	struct entry *owner;
	bool taken;

	pthread_mutex_lock(&table_lock);
	owner = *slot_of(inode);
	taken = owner && owner->path;
	if (taken) {
		stray->next = owner->strays;
		owner->strays = stray;
	}
	pthread_mutex_unlock(&table_lock);
	return taken;
}

static bool is_claimed(struct db_inode inode)
{
	struct entry *entry;
	bool claimed;

	pthread_mutex_lock(&table_lock);
	entry = *slot_of(inode);
	claimed = entry && entry->path;
	pthread_mutex_unlock(&table_lock);
	return claimed;
}

static int read_magic(struct os_file *f, struct db_file *out, struct err *e)
{
	static const uint8_t nothing[MAGIC_SIZE];
	uint8_t bytes[MAGIC_SIZE] = { 0 };
	size_t got;

	if (os_file_read(f, bytes, sizeof(bytes), 0, &got, e))
		return -1;
	if (got < MAGIC_SIZE || !memcmp(bytes, nothing, MAGIC_SIZE))
		out->kind = DB_FILE_EMPTY;
	else
		out->kind = memcmp(bytes, "SQLite format 3", MAGIC_SIZE) ? DB_FILE_OTHER : DB_FILE_DATABASE;
	return 0;
}

/* The file is open: reads it under its entry, or finds that a db was faster. Takes stray over. */
static int look_at_open_file(struct stray *stray, struct db_file *out, struct err *e)
{
	struct entry look = { .path = NULL };
	struct os_stat st;
	int rc;

	if (os_file_stat(&stray->file, &st, e)) {
		/* Its inode is not known, so it may be anybody's: never closed. */
		free(stray->file.path);
		free(stray);
		return -1;
	}
	look.inode = (struct db_inode){ out->dev = st.dev, out->ino = st.ino };
	while (!look_begin(&look)) {
		if (leave_stray(look.inode, stray)) {
			out->kind = DB_FILE_DATABASE;
			return 0;
		}
	}
	rc = read_magic(&stray->file, out, e);
	os_file_close(&stray->file);
	look_end(&look);
	free(stray);
	return rc;
}

int db_file_look(const char *path, struct db_file *out, struct err *e)
{
	struct stray *stray;
	struct os_stat st;

	*out = (struct db_file){ .kind = DB_FILE_OTHER };
	if (os_stat(path, &st, e))
		return -1;
	out->dev = st.dev;
	out->ino = st.ino;
	if (!st.is_regular)
		return 0;
	if (is_claimed((struct db_inode){ st.dev, st.ino })) {
		out->kind = DB_FILE_DATABASE;
		return 0;
	}
	stray = calloc(1, sizeof(*stray));
	if (!stray)
		return err_nomem(e);
	if (os_file_open(&stray->file, path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0, e)) {
		free(stray);
		return -1;
	}
	return look_at_open_file(stray, out, e);
}
