/* SPDX-License-Identifier: MIT */
/*
 * text.h - the textual forms of durations, sizes, times, TXIDs and paths, as Go and Litestream read and print them.
 *
 * Sources: control.md of the project's specification, §3.4 (sizes), §4.4 (durations), §4.5 (paths); ltx.md §3 (TXIDs,
 * times). Everything is pure and may be called by any thread. Output goes to a buffer of the caller with room for the
 * size named here; the functions return that buffer, so that they can stand in an argument list.
 */
#ifndef RIVULET_BASE_TEXT_H
#define RIVULET_BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/err.h"

/* Durations in nanoseconds, Go syntax: `[+-]?(N[.N]unit)+` with ns us µs μs ms s m h, or a bare 0. ERR_INVALID, or
 * ERR_LIMIT beyond int64; the text is "parse error" for both, as Go's flags say it, and callers name the option. */
int text_parse_duration(const char *s, int64_t *ns, struct err *e);
enum { TEXT_DURATION_SIZE = 40 };
char *text_duration(char out[TEXT_DURATION_SIZE], int64_t ns); /* 1h30m0s, 1.5s, 500ms, 0s */

/* Sizes as Litestream prints them: SI, half up to tenths, and from 10 on those half to even to whole ones: "9 B",
 * "4.2 kB", "33 kB", 10500 is "10 kB", 11500 is "12 kB". */
enum { TEXT_SIZE_SIZE = 24 };
char *text_size(char out[TEXT_SIZE_SIZE], uint64_t bytes);

/* Times: milliseconds since 1970, UTC. */
enum { TEXT_TIME_SIZE = 40 };
char *text_time_ms(char out[TEXT_TIME_SIZE], int64_t ms);    /* 2026-02-12T00:00:00.000Z */
char *text_time_s(char out[TEXT_TIME_SIZE], int64_t ms);     /* 2026-02-12T00:00:00Z */
char *text_time_trim(char out[TEXT_TIME_SIZE], int64_t ms);  /* Go's RFC3339Nano: 00:00:00.5Z, but 00:00:00Z */
char *text_time_local(char out[TEXT_TIME_SIZE], int64_t ms); /* 2026-02-12T01:00:00.000+01:00, for log lines */
/* RFC 3339 with any fraction (kept to nanoseconds, floor) and any offset. Years beyond the int64 (1677, 2262) become
 * INT64_MIN and INT64_MAX: before and after everything. */
int text_parse_time(const char *s, int64_t *ns_since_1970, struct err *e);

/* TXIDs: exactly 16 hex digits. Parsing takes upper case too. */
enum { TEXT_TXID_SIZE = 17 };
char *text_txid(char out[TEXT_TXID_SIZE], uint64_t txid);
bool text_parse_txid(const char *s, uint64_t *txid);

/* Go's strconv.ParseInt(s, 0, 64): optional sign, 0x 0o 0b and leading-0 octal prefixes, `_` between digits.
 * Returns 0, ERR_INVALID "parse error" or ERR_LIMIT "value out of range". */
int text_parse_int(const char *s, int64_t *value, struct err *e);
/* [+-]?(digits[.digits]|.digits)([eE][+-]?digits)? and nothing else; false = not so. Exact up to 15 digits with 22
 * places or zeros; beyond that the last bits may be off. Too large is an infinity. libc's does better, and takes 6 KB
 * for it. */
bool text_parse_real(const char *s, double *value);
/* Go's strconv.ParseBool: 1 t T TRUE true True 0 f F FALSE false False. */
bool text_parse_bool(const char *s, bool *value);

/* Go's strconv.Quote, without the limit of the buffer being an error: the text is cut before the first character that
 * does not fit into cap - 1. */
char *text_quote(char *out, size_t cap, const char *s);

/* Lexical cleaning as Go's filepath.Clean ("" becomes "."). malloc'ed; NULL only without memory. */
char *text_path_clean(const char *path);
/* Absolute and clean, after a leading sqlite3:// or sqlite:// was stripped and `~`, `~/x` expanded (control.md §4.5).
 * malloc'ed in *out; home == NULL stands for "no home directory". cwd is used for relative paths. */
int text_path_expand(const char *path, const char *cwd, const char *home, char **out, struct err *e);
const char *text_path_base(const char *path); /* the part behind the last slash, inside path */
char *text_path_dir(const char *path);        /* the part before it, "." or "/" if there is none; malloc'ed */
/* "A/B" with exactly one slash in between, or the other one if A or B is ""; malloc'ed, NULL only without memory. */
char *text_path_join(const char *a, const char *b);

/* Patterns of names, Go's filepath.Match: `*` `?` `[a-z]` `[^a]` `\`. ERR_INVALID "syntax error in pattern". */
int text_glob_check(const char *pattern, struct err *e);
bool text_glob_match(const char *pattern, const char *name); /* a malformed pattern matches at most by chance */

#endif
