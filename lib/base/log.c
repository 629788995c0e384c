/* SPDX-License-Identifier: MIT */
/*
 * The only room besides lib/os that calls the kernel, and only write(2) on the log's own descriptor: a log line must
 * not be a fault point of its own, and what becomes of it decides nothing.
 */
#include "lib/base/log.h"

#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "lib/base/escape.h"
#include "lib/base/text.h"
#include "lib/os/clock.h"

static atomic_int log_level = LOG_INFO, log_form = LOG_TEXT, log_fd = 1;
static atomic_bool log_source;

/* Where a line comes from; file is NULL when nobody wants to know. */
struct place {
	const char *file;
	int line;
};

static const struct level_name {
	int level;
	char name[6], three[4], word[8];
} levels[] = {
	{ LOG_TRACE, "TRACE", "TRC", "trace" },
	{ LOG_DEBUG, "DEBUG", "DBG", "debug" },
	{ LOG_INFO, "INFO", "INF", "info" },
	{ LOG_WARN, "WARN", "WRN", "warn" },
	{ LOG_ERROR, "ERROR", "ERR", "error" },
	{ LOG_WARN, "WARN", "WRN", "warning" },
};

enum {
	LEVELS = sizeof(levels) / sizeof(levels[0]),
	/* Kept free for what closes a cut line: `…"`, braces of open groups, `,"truncated":true}`, the line end. */
	LINE_TAIL = 40,
	GROUPS_MAX = 8,
};

struct line {
	size_t len;
	bool cut; /* something did not fit; nothing more is taken */
	char text[LOG_LINE_MAX];
};

static void put(struct line *l, const char *s, size_t n)
{
	if (l->cut || n > sizeof(l->text) - LINE_TAIL - l->len) {
		l->cut = true;
		return;
	}
	memcpy(l->text + l->len, s, n);
	l->len += n;
}

static void put_str(struct line *l, const char *s)
{
	put(l, s, strlen(s));
}

/* As much of s as fits, in whole characters. */
static void put_plain(struct line *l, const char *s)
{
	size_t n;

	for (; *s && !l->cut; s += n) {
		(void)escape_rune(s, &n);
		put(l, s, n);
	}
}

/* For the tail alone: the room was kept. */
static void close_with(struct line *l, const char *s)
{
	size_t n = strlen(s);

	memcpy(l->text + l->len, s, n);
	l->len += n;
}

/* What follows the opening quote: the text and the closing one. */
static void put_escaped(struct line *l, const char *s, size_t (*escape)(const char **, char *))
{
	char piece[ESCAPE_SIZE];

	while (*s && !l->cut) {
		size_t n = escape(&s, piece);

		put(l, piece, n);
	}
	if (!l->cut)
		put(l, "\"", 1);
}

static void put_quoted(struct line *l, const char *s, size_t (*escape)(const char **, char *))
{
	put(l, "\"", 1);
	put_escaped(l, s, escape);
}

/* Go's slog quotes what holds a blank, `=`, `"` or anything that does not show. DEL is shown as it is. */
static bool needs_quotes(const char *s)
{
	size_t len;

	if (!*s)
		return true;
	for (; *s; s += len) {
		uint32_t rune = escape_rune(s, &len);

		if (rune == ' ' || rune == '=' || rune == '"' || rune == ESCAPE_INVALID ||
		    (rune != 0x7f && !escape_printable(rune)))
			return true;
	}
	return false;
}

static void put_text(struct line *l, const char *s)
{
	if (needs_quotes(s))
		put_quoted(l, s, escape_go);
	else
		put_plain(l, s);
}

enum { VALUE_SIZE = TEXT_DURATION_SIZE };

/* The value in one form or the other. Strings are the caller's; all else fits into `room`. */
static const char *value_text(const struct log_field *f, bool json, char room[VALUE_SIZE])
{
	switch (f->type) {
	case LOG_F_STR:
		return f->str ? f->str : "";
	case LOG_F_TXID:
		return text_txid(room, f->u);
	case LOG_F_BOOL:
		return f->b ? "true" : "false";
	case LOG_F_DURATION:
		if (!json)
			return text_duration(room, f->i);
		break;
	case LOG_F_UINT:
		(void)snprintf(room, VALUE_SIZE, "%" PRIu64, f->u);
		return room;
	case LOG_F_INT:
	case LOG_F_END:
		break;
	}
	(void)snprintf(room, VALUE_SIZE, "%" PRId64, f->i);
	return room;
}

static void put_fields_text(struct line *l, const struct log_field *f)
{
	char room[VALUE_SIZE];

	for (; f->key; f++) {
		put(l, " ", 1);
		put_str(l, f->key);
		put(l, "=", 1);
		put_text(l, value_text(f, false, room));
	}
	if (l->cut)
		close_with(l, "…");
}

static void close_groups(struct line *l, int n)
{
	while (n-- > 0)
		close_with(l, "}");
}

/*
 * `"a":{"b":{"c":` for the key a.b.c, less what `before`, the key in front of it, has open already; *open is the number
 * of open groups. Each part of the work may hit the end of the line; the caller then takes all of it back.
 */
static void put_key_json(struct line *l, const char *before, const char *key, int *open)
{
	int shared = 0;
	size_t n;

	/* Leading parts that end in a dot in both. */
	for (; before && shared < *open; shared++) {
		n = strcspn(key, ".");
		if (!key[n] || strncmp(before, key, n + 1) != 0)
			break;
		before += n + 1;
		key += n + 1;
	}
	for (; *open > shared; (*open)--)
		put(l, "}", 1);
	put(l, ",", 1);
	for (; *open < GROUPS_MAX; key += n + 1, (*open)++) {
		n = strcspn(key, ".");
		if (!key[n])
			break;
		put(l, "\"", 1);
		put(l, key, n);
		put(l, "\":{", 3);
	}
	put_quoted(l, key, escape_json);
	put(l, ":", 1);
}

static void put_fields_json(struct line *l, const struct log_field *f)
{
	const char *before = NULL;
	char room[VALUE_SIZE];
	int open = 0;

	for (; f->key && !l->cut; before = f->key, f++) {
		size_t len = l->len;
		int were_open = open;

		bool as_string = f->type == LOG_F_STR || f->type == LOG_F_TXID;

		put_key_json(l, before, f->key, &open);
		if (as_string)
			put(l, "\"", 1);
		bool begun = !l->cut;

		if (as_string)
			put_escaped(l, value_text(f, true, room), escape_json);
		else
			put_str(l, value_text(f, true, room));
		if (!l->cut)
			continue;
		if (begun && as_string) {
			close_with(l, "…\"");
		} else {
			l->len = len;
			open = were_open;
		}
	}
	close_groups(l, open);
	close_with(l, l->cut ? ",\"truncated\":true}" : "}");
}

/* Source files have harmless names. */
static void put_source(struct line *l, const struct place *at, const char *before, const char *between,
                       const char *after)
{
	char number[16];

	if (!at->file)
		return;
	snprintf(number, sizeof(number), "%d", at->line);
	put_str(l, before);
	put_str(l, at->file);
	put_str(l, between);
	put_str(l, number);
	put_str(l, after);
}

static void put_line(struct line *l, const struct level_name *level, const struct place *at, const char *msg,
                     const struct log_field *fields)
{
	int form = atomic_load_explicit(&log_form, memory_order_relaxed);
	char time[TEXT_TIME_SIZE];

	text_time_local(time, os_wall_ms());
	switch (form) {
	case LOG_JSON:
		put_str(l, "{\"time\":\"");
		put_str(l, time);
		put_str(l, "\",\"level\":\"");
		put_str(l, level->name);
		put_source(l, at, "\",\"source\":{\"file\":\"", "\",\"line\":", "}");
		put_str(l, at->file ? ",\"msg\":" : "\",\"msg\":");
		put_quoted(l, msg, escape_json);
		if (l->cut)
			close_with(l, "…\"");
		put_fields_json(l, fields);
		break;
	case LOG_PRETTY:
		put(l, strchr(time, 'T') + 1, 8);
		put(l, " ", 1);
		put_str(l, level->three);
		put_source(l, at, " ", ":", "");
		put(l, " ", 1);
		/* Blanks are fine in a message for eyes, line ends are not. */
		if (strpbrk(msg, "\n\r\033"))
			put_quoted(l, msg, escape_go);
		else
			put_plain(l, msg);
		put_fields_text(l, fields);
		break;
	default:
		put_str(l, "time=");
		put_str(l, time);
		put_str(l, " level=");
		put_str(l, level->name);
		put_source(l, at, " source=", ":", "");
		put_str(l, " msg=");
		put_text(l, msg);
		put_fields_text(l, fields);
		break;
	}
	close_with(l, "\n");
}

void log_line(enum log_level level, const char *file, int line, const char *msg, const struct log_field *fields)
{
	struct place at = { atomic_load_explicit(&log_source, memory_order_relaxed) ? file : NULL, line };
	int fd = atomic_load_explicit(&log_fd, memory_order_relaxed), saved = errno;
	struct line l;
	int i = 0;

	if (fd < 0 || (int)level < atomic_load_explicit(&log_level, memory_order_relaxed))
		return;
	while (i < LEVELS - 1 && levels[i].level < (int)level)
		i++;
	l.len = 0;
	l.cut = false;
	put_line(&l, &levels[i], &at, msg, fields);
	while (write(fd, l.text, l.len) < 0 && errno == EINTR)
		;
	errno = saved;
}

void log_set_level(enum log_level level)
{
	atomic_store_explicit(&log_level, (int)level, memory_order_relaxed);
}

enum log_level log_get_level(void)
{
	return (enum log_level)atomic_load_explicit(&log_level, memory_order_relaxed);
}

void log_set_form(enum log_form form)
{
	atomic_store_explicit(&log_form, (int)form, memory_order_relaxed);
}

void log_set_source(bool on)
{
	atomic_store_explicit(&log_source, on, memory_order_relaxed);
}

void log_set_fd(int fd)
{
	atomic_store_explicit(&log_fd, fd, memory_order_relaxed);
}

bool log_parse_level(const char *word, enum log_level *level)
{
	for (int i = 0; i < LEVELS; i++) {
		if (strcasecmp(word, levels[i].word) == 0) {
			*level = (enum log_level)levels[i].level;
			return true;
		}
	}
	*level = LOG_INFO;
	return false;
}
