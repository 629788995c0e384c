/* SPDX-License-Identifier: MIT */
/*
 * log.h - log lines in Litestream's forms (control.md §5.7).
 *
 *   log_info("ltx file uploaded", LS("db", name), LI("level", 0), LX("minTXID", txid));
 *   time=2026-02-12T00:00:00.000Z level=INFO msg="ltx file uploaded" db=app.db level=0 minTXID=0000000000000001
 *
 * One line is one write(2), so lines of several threads never mix. A line longer than LOG_LINE_MAX (with its line end)
 * is cut and ends in "…"; a JSON line keeps its form instead: the value that does not fit ends in "…", fields behind it
 * are left out, and the line closes with "truncated":true. Logging never fails, never allocates, and keeps errno. The
 * configuration is process-wide and may be changed at any time.
 */
#ifndef RIVULET_BASE_LOG_H
#define RIVULET_BASE_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum log_level { LOG_TRACE = -8, LOG_DEBUG = -4, LOG_INFO = 0, LOG_WARN = 4, LOG_ERROR = 8 };
enum log_form { LOG_TEXT, LOG_JSON, LOG_PRETTY };
enum { LOG_LINE_MAX = 4096 }; /* PIPE_BUF: so much goes through a pipe in one piece */

/* One key with its value. `key` may be dotted ("txid.min"): JSON makes one object of neighbours whose keys begin with
 * the same parts. */
struct log_field {
	const char *key;
	enum { LOG_F_END, LOG_F_STR, LOG_F_INT, LOG_F_UINT, LOG_F_TXID, LOG_F_DURATION, LOG_F_BOOL } type;
	union {
		const char *str;
		int64_t i;
		uint64_t u;
		bool b;
	};
};

#define LS(k, v) (struct log_field){ .key = (k), .type = LOG_F_STR, .str = (v) }
#define LI(k, v) (struct log_field){ .key = (k), .type = LOG_F_INT, .i = (v) }
#define LU(k, v) (struct log_field){ .key = (k), .type = LOG_F_UINT, .u = (v) }
#define LX(k, v) (struct log_field){ .key = (k), .type = LOG_F_TXID, .u = (v) }     /* 16 hex digits */
#define LD(k, v) (struct log_field){ .key = (k), .type = LOG_F_DURATION, .i = (v) } /* nanoseconds */
#define LB(k, v) (struct log_field){ .key = (k), .type = LOG_F_BOOL, .b = (v) }
#define LOG_END (struct log_field){ .key = NULL, .type = LOG_F_END }

/* Writes one line to fd `log_fd` (1 until set) if the level allows it. `fields` ends with LOG_END; file and line are
 * where in our source it was said. */
void log_line(enum log_level level, const char *file, int line, const char *msg, const struct log_field *fields);

#define LOG_FIELDS(...) ((const struct log_field[]){ __VA_ARGS__ __VA_OPT__(,) LOG_END })
#define log_trace(msg, ...) log_line(LOG_TRACE, __FILE__, __LINE__, (msg), LOG_FIELDS(__VA_ARGS__))
#define log_debug(msg, ...) log_line(LOG_DEBUG, __FILE__, __LINE__, (msg), LOG_FIELDS(__VA_ARGS__))
#define log_info(msg, ...) log_line(LOG_INFO, __FILE__, __LINE__, (msg), LOG_FIELDS(__VA_ARGS__))
#define log_warn(msg, ...) log_line(LOG_WARN, __FILE__, __LINE__, (msg), LOG_FIELDS(__VA_ARGS__))
#define log_error(msg, ...) log_line(LOG_ERROR, __FILE__, __LINE__, (msg), LOG_FIELDS(__VA_ARGS__))

void log_set_level(enum log_level level);
enum log_level log_get_level(void);
void log_set_form(enum log_form form);
void log_set_source(bool on); /* source=FILE:LINE behind the level */
void log_set_fd(int fd); /* -1: throw lines away (tests) */

/* trace debug info warn warning error in any case; anything else is info and returns false. */
bool log_parse_level(const char *word, enum log_level *level);

#endif
