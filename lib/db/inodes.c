/* SPDX-License-Identifier: MIT */
/*
 * inodes.c - which database files this process has open, by (device, inode).
 *
 * Two names of one file would be two engines whose closes drop each other's locks, so the second is refused. The table
 * is small (one entry an open database) and its lock is held for a lookup only.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "lib/db/internal.h"

struct entry {
	struct db_inode inode;
	char *path;
	struct entry *next;
};

enum { BUCKETS = 64 };

static pthread_mutex_t table_lock = PTHREAD_MUTEX_INITIALIZER;
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
	slot = slot_of(inode);
	if (*slot)
		rc = err_set(e, ERR_EXISTS, "%s is the same file as %s, which is replicated already", path, (*slot)->path);
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
	if (gone)
		free(gone->path);
	free(gone);
}
