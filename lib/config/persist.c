/* SPDX-License-Identifier: MIT */
#include "lib/config/persist.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/text.h"
#include "lib/config/internal.h"
#include "lib/config/marks.h"
#include "lib/os/file.h"
#include "lib/os/process.h"

/* ---- finding the entry ---- */

struct search {
	const struct config_context *x;
	const char *path;
	struct mark_item item; /* the last one that fits */
	bool found;
};

static bool means(const struct config_context *x, const char *text, const char *path)
{
	char *expanded;
	bool same;

	if (text_path_expand(text, x->cwd, x->home, &expanded, NULL) < 0)
		return false;
	same = strcmp(expanded, path) == 0;
	free(expanded);
	return same;
}

static int visit(void *ctx, const struct mark_item *item, const char *path, struct err *e)
{
	struct search *s = ctx;
	struct buf expanded = { .limit = CONFIG_FILE_MAX };
	bool fits;

	if (!path || s->found)
		return 0;
	fits = means(s->x, path, s->path);
	if (!fits && config_expand_env(path, strlen(path), s->x->pid, &expanded, e) < 0)
		return -1;
	if (!fits)
		fits = means(s->x, buf_text(&expanded), s->path);
	buf_free(&expanded);
	if (fits) {
		s->found = true;
		s->item = *item;
	}
	return 0;
}

static int search(const char *text, size_t n, const struct config_context *x, const char *path, struct search *s,
                  struct mark_list *list, struct err *e)
{
	*s = (struct search){ .x = x, .path = path };
	return marks_walk(text, n, list, visit, s, e);
}

/* ---- texts ---- */

static size_t line_end(const char *text, size_t n, size_t at)
{
	const char *lf = memchr(text + at, '\n', n - at);

	return lf ? (size_t)(lf - text) : n;
}

/* Does the file end its lines as DOS does? */
static const char *newline_of(const char *text, size_t n)
{
	const char *lf = memchr(text, '\n', n);

	return lf && lf > text && lf[-1] == '\r' ? "\r\n" : "\n";
}

static void put_blanks(struct buf *out, size_t n)
{
	while (n-- > 0)
		buf_char(out, ' ');
}

/* Text with bytes[at … end) replaced by what `with` holds. */
static int replace_span(const char *text, size_t n, size_t at, size_t end, const struct buf *with, struct buf *out,
                        struct err *e)
{
	buf_append(out, text, at);
	buf_append(out, with->data, with->len);
	buf_append(out, text + end, n - end);
	return buf_ok(out) && buf_ok(with) ? 0 : err_nomem(e);
}

/* ---- enabled ---- */

/* Where the word goes, and what else must be written there. */
static int place_enabled(const char *text, size_t n, const struct mark_item *item, bool enabled, struct buf *with,
                         size_t *at, size_t *end)
{
	const char *word = enabled ? "true" : "false", *newline = newline_of(text, n);

	if (item->has_enabled) {
		*at = item->enabled.start;
		*end = item->enabled.end;
		buf_fmt(with, "%s%s", *at == *end ? " " : "", word);
	} else if (item->flow) {
		*at = *end = item->path.end;
		buf_fmt(with, item->path_quoted ? ", \"enabled\": %s" : ", enabled: %s", word);
	} else {
		/* A line of its own, behind the one that ends the path and whatever comment it has. */
		*at = *end = line_end(text, n, item->path.end);
		if (*at > 0 && *at < n && text[*at - 1] == '\r')
			*at = --*end;
		buf_str(with, newline);
		put_blanks(with, item->column);
		buf_fmt(with, "enabled: %s", word);
	}
	return buf_ok(with) ? 0 : -1;
}

int config_edit_enabled(const char *text, size_t n, const struct config_context *x, const char *path, bool enabled,
                        struct buf *out, bool *found, struct err *e)
{
	struct buf with = { .data = NULL };
	struct mark_list list;
	struct search s;
	size_t at = 0, end = 0;
	int rc;

	*found = false;
	if (search(text, n, x, path, &s, &list, e) < 0)
		return -1;
	if (s.found && (!s.item.editable || (s.item.path_block && !s.item.has_enabled)))
		return err_set(e, ERR_INVALID, "the entry of %s is written in a way that cannot be edited", path);
	*found = s.found;
	if (s.found && place_enabled(text, n, &s.item, enabled, &with, &at, &end) < 0) {
		buf_free(&with);
		return err_nomem(e);
	}
	rc = replace_span(text, n, at, end, &with, out, e);
	buf_free(&with);
	return rc;
}

/* ---- appending an entry ---- */

/* The entry's lines, moved so that its keys stand in `column`; the first one without what is in front of it. */
static void put_item(const char *text, const struct mark_item *item, size_t column, const char *newline,
                     struct buf *out)
{
	size_t at = item->all.start, end = item->all.end;
	bool first = true;

	while (at < end) {
		size_t stop = line_end(text, end, at), skip = 0;

		if (!first) {
			buf_str(out, newline);
			while (!item->flow && skip < item->column && at + skip < stop && text[at + skip] == ' ')
				skip++;
			if (stop > at + skip && text[at + skip] != '\r')
				put_blanks(out, column);
		}
		buf_append(out, text + at + skip, stop - at - skip - (stop > at + skip && text[stop - 1] == '\r'));
		at = stop + 1;
		first = false;
	}
}

static int place_item(const char *text, size_t n, const struct mark_list *list, size_t *at, size_t *end, size_t *column,
                      struct buf *with, struct err *e)
{
	const char *newline = newline_of(text, n);

	*column = 4;
	if (list->has_list && list->count > 0) {
		if (list->flow)
			return err_set(e, ERR_INVALID, "dbs is written in a way that cannot be extended");
		*column = list->column;
		*at = *end = text[list->last_end - 1] == '\n' ? list->last_end - 1 : line_end(text, n, list->last_end);
		if (*at > 0 && *at < n && text[*at - 1] == '\r')
			*at = --*end;
		buf_str(with, newline);
	} else if (list->has_dbs) {
		/* `dbs:`, `dbs: []`, `dbs: null` */
		*at = list->all.start;
		*end = list->all.end;
		while (*at > list->key_end && text[*at - 1] == ' ')
			--*at;
		buf_str(with, newline);
	} else {
		*at = *end = n;
		if (n > 0 && text[n - 1] != '\n')
			buf_str(with, newline);
		buf_fmt(with, "dbs:%s", newline);
	}
	return 0;
}

int config_edit_append(const char *text, size_t n, const char *source, size_t source_n, const struct config_context *x,
                       const char *path, struct buf *out, bool *found, struct err *e)
{
	struct buf with = { .data = NULL };
	struct mark_list list, other;
	struct search in_source, ignored;
	size_t at = 0, end = 0, column = 0;
	int rc = -1;

	*found = false;
	if (search(source, source_n, x, path, &in_source, &other, e) < 0 ||
	    search(text, n, x, path, &ignored, &list, e) < 0)
		return -1;
	*found = in_source.found;
	if (!in_source.found) {
		buf_append(out, text, n);
		return buf_ok(out) ? 0 : err_nomem(e);
	}
	if (place_item(text, n, &list, &at, &end, &column, &with, e) == 0) {
		put_blanks(&with, column >= 2 ? column - 2 : 0);
		buf_str(&with, "- ");
		put_item(source, &in_source.item, column, newline_of(text, n), &with);
		if (at == n)
			buf_str(&with, newline_of(text, n));
		rc = replace_span(text, n, at, end, &with, out, e);
	}
	buf_free(&with);
	return rc;
}

/* ---- files ---- */

static int read_file(const char *path, struct buf *out, struct os_stat *st, struct err *e)
{
	struct os_file f = OS_FILE_NONE;
	size_t got = 0;
	uint8_t *room;
	int rc;

	if (os_stat(path, st, e) < 0)
		return -1;
	if (!st->is_regular)
		return err_set(e, ERR_INVALID, "%s is no regular file", path);
	if (st->size > CONFIG_FILE_MAX)
		return err_set(e, ERR_LIMIT, "%s is too large", path);
	if (os_file_open(&f, path, O_RDONLY, 0, e) < 0)
		return -1;
	room = buf_reserve(out, (size_t)st->size);
	rc = room ? os_file_read(&f, room, (size_t)st->size, 0, &got, e) : err_nomem(e);
	out->len = rc == 0 ? got : 0;
	os_file_close(&f);
	return rc;
}

/* All or nothing: a file beside it takes its place. */
static int replace_file(const char *path, const struct buf *text, const struct os_stat *st, struct err *e)
{
	struct os_file f = OS_FILE_NONE;
	struct buf temp = { .data = NULL };
	char *dir = text_path_dir(path);
	int rc = -1;

	if (dir)
		buf_fmt(&temp, "%s/.litestream-config-%d.tmp", dir, os_pid());
	if (!dir || !buf_ok(&temp)) {
		rc = err_nomem(e);
		goto out;
	}
	rc = os_file_open(&f, buf_text(&temp), O_WRONLY | O_CREAT | O_TRUNC, 0600, e);
	if (rc == 0 && (os_file_write(&f, text->data, text->len, 0, e) < 0 ||
	                os_set_owner(buf_text(&temp), st->mode, st->uid, st->gid, e) < 0 || os_file_sync(&f, e) < 0 ||
	                os_rename(buf_text(&temp), path, e) < 0)) {
		(void)os_unlink(buf_text(&temp), NULL);
		rc = -1;
	}
	if (rc == 0)
		rc = os_dir_sync(dir, e);
out:
	os_file_close(&f);
	buf_free(&temp);
	free(dir);
	return rc;
}

/* The new text says what it was made to say: better an error than a file that the next start cannot read. */
static int verify(const struct config_context *x, const char *path, bool enabled, const struct buf *text, struct err *e)
{
	struct mark_list list;
	struct search s;
	const char *word = enabled ? "true" : "false";

	if (search(buf_text(text), text->len, x, path, &s, &list, NULL) == 0 && s.found && s.item.has_enabled &&
	    s.item.enabled.end - s.item.enabled.start == strlen(word) &&
	    memcmp(buf_text(text) + s.item.enabled.start, word, strlen(word)) == 0)
		return 0;
	return err_set(e, ERR_INVALID, "the file is written in a way that cannot be edited");
}

/* old: the file's text; out: what it shall be. */
static int edit(const struct config_context *x, const char *path, bool enabled, const char *source,
                const struct buf *old, struct buf *out, struct err *e)
{
	struct buf text = { .data = NULL }, changed = { .data = NULL };
	struct os_stat st;
	bool found;
	int rc = config_edit_enabled(buf_text(old), old->len, x, path, enabled, out, &found, e);

	if (rc < 0 || found || !source)
		return rc < 0 || !found ? rc : verify(x, path, enabled, out, e);
	buf_reset(out);
	rc = read_file(source, &text, &st, e);
	if (rc == 0)
		rc = config_edit_enabled(buf_text(&text), text.len, x, path, enabled, &changed, &found, e);
	if (rc == 0)
		rc = config_edit_append(buf_text(old), old->len, buf_text(&changed), changed.len, x, path, out, &found,
		                        e);
	if (rc == 0 && found)
		rc = verify(x, path, enabled, out, e);
	buf_free(&text);
	buf_free(&changed);
	return rc;
}

int config_persist(const char *file, const char *path, bool enabled, const char *source, bool *changed, struct err *e)
{
	struct buf old = { .data = NULL }, text = { .data = NULL };
	struct config_context x = { .expand_env = true, .pid = os_pid() };
	char *cwd = NULL, *home = os_home(), *real = NULL;
	struct os_stat st;
	int rc = -1;

	*changed = false;
	if (os_cwd(&cwd, e) < 0 || os_real_path(file, &real, e) < 0)
		goto out;
	x.cwd = cwd;
	x.home = home;
	if (read_file(real, &old, &st, e) < 0 || edit(&x, path, enabled, source, &old, &text, e) < 0)
		goto out;
	*changed = text.len != old.len || memcmp(buf_text(&text), buf_text(&old), text.len) != 0;
	rc = *changed ? replace_file(real, &text, &st, e) : 0;
out:
	buf_free(&old);
	buf_free(&text);
	free(cwd);
	free(home);
	free(real);
	return rc;
}
