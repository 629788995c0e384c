/* SPDX-License-Identifier: MIT */
/*
 * home.c - the folders that databases lie in. A thousand databases in one folder share one watch, and an event there
 * costs one lookup by name, not one comparison each.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>

#include "lib/base/buf.h"
#include "lib/base/log.h"
#include "lib/base/text.h"
#include "lib/os/file.h"
#include "lib/store/internal.h"

static struct managed *find(struct home *h, const char *name, size_t n)
{
	struct buf path = { 0 };
	struct managed *m = NULL;

	buf_fmt(&path, "%s%s%.*s", h->path, strcmp(h->path, "/") ? "/" : "", (int)n, name);
	if (buf_ok(&path))
		m = store_find(h->s, (char *)path.data);
	buf_free(&path);
	return m;
}

/* The kernel has lost events: everybody looks. */
static void all_moved(struct home *h)
{
	struct managed *next;

	for (struct managed *m = h->s->first; m; m = next) {
		next = m->next;
		if (m->home == h)
			managed_files_moved(m, NULL, IN_Q_OVERFLOW);
	}
}

static void on_event(struct loop_watch *w, uint32_t mask, const char *name)
{
	static const char *const ends[] = { "", "-wal", "-shm" };
	struct home *h = (struct home *)(void *)((char *)w - offsetof(struct home, watch));

	if (mask & (IN_Q_OVERFLOW | IN_IGNORED)) {
		all_moved(h);
		return;
	}
	if (!name)
		return;
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		size_t n = strlen(name), end = strlen(ends[i]);
		struct managed *m;

		if (n > end && !strcmp(name + n - end, ends[i]) && (m = find(h, name, n - end)))
			managed_files_moved(m, ends[i], mask);
	}
}

int home_enter(struct managed *m, struct err *e)
{
	char *path = text_path_dir(db_path(m->db));
	struct store *s = m->s;
	struct home *h;

	if (!path)
		return err_nomem(e);
	for (h = s->homes; h && strcmp(h->path, path); h = h->next)
		;
	if (!h && (h = calloc(1, sizeof(*h) + strlen(path) + 1))) {
		h->s = s;
		strcpy(h->path, path);
		h->watch.event = on_event;
		h->silent = os_changes_in_silence(path);
		h->next = s->homes;
		s->homes = h;
	}
	free(path);
	if (!h)
		return err_nomem(e);
	h->users++;
	m->home = h;
	return 0;
}

void home_leave(struct managed *m)
{
	struct home *h = m->home, **at = &m->s->homes;

	m->home = NULL;
	if (!h || --h->users)
		return;
	loop_watch_remove(m->s->o.loop, &h->watch);
	while (*at != h)
		at = &(*at)->next;
	*at = h->next;
	free(h);
}

bool home_watch(struct managed *m)
{
	struct home *h = m->home;
	struct err why = ERR_INIT;

	if (!managed_monitored(m) || h->watch.wd)
		return true;
	if (!loop_watch_add(m->s->o.loop, &h->watch, h->path, IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO,
	                    &why)) {
		h->silent = os_changes_in_silence(h->path);
		return true;
	}
	if (!err_is(&why, ERR_NOT_FOUND))
		managed_tell_no_events(m, &why);
	return false;
}
