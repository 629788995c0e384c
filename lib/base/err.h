/* SPDX-License-Identifier: MIT */
/*
 * err.h - the error value that every function of rivulet fills.
 *
 * A function that can fail returns 0, or -1 after it has filled the `struct err` that its caller passed. The text reads
 * like a sentence to the user and names the object and the reason: "open /data/app.db: permission denied". Callers add
 * what they know in front with err_wrap(). A NULL err is allowed everywhere: the failure is then only the -1.
 *
 * Nothing is allocated; an err may be copied by assignment. No function here sets or reads errno, and none keeps state:
 * any thread may use its own err.
 */
#ifndef RIVULET_BASE_ERR_H
#define RIVULET_BASE_ERR_H

#include <stdbool.h>

/* What a caller may want to tell apart. Everything else about a failure is in the text. */
enum err_code {
	ERR_NONE = 0,
	ERR_SYSTEM,      /* a kernel call failed for a reason without a code of its own; see err.sys */
	ERR_NOT_FOUND,   /* the named object does not exist (ENOENT, ENOTDIR) */
	ERR_EXISTS,      /* the named object is already there */
	ERR_CORRUPT,     /* bytes from outside break their format or a checksum */
	ERR_FULL,        /* no room: ENOSPC, EDQUOT, SQLITE_FULL */
	ERR_BUSY,        /* a lock is held by somebody else; trying again later is the answer */
	ERR_CANCELLED,   /* the caller asked to stop; never logged as an error, never counted */
	ERR_INVALID,     /* an argument, option or URL that cannot be meant */
	ERR_NO_MEMORY,
	ERR_LIMIT,       /* one of our own limits was reached */
	ERR_UNAVAILABLE, /* the replica holds nothing that answers the request */
	ERR_GAP,         /* the replica holds it only with a hole in between */
};

enum { ERR_TEXT_SIZE = 1024 }; /* bytes with the closing NUL; longer text is cut */

struct err {
	enum err_code code;
	int sys; /* errno behind ERR_SYSTEM, ERR_NOT_FOUND, ERR_FULL, …; 0 when there was none */
	char text[ERR_TEXT_SIZE];
};

#define ERR_INIT { .code = ERR_NONE, .sys = 0, .text = "" }

/* Sets code and text; returns -1, so that `return err_set(e, …)` is the usual form. */
int err_set(struct err *e, enum err_code code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/*
 * Sets the text to "FORMATTED: reason of errnum" (reasons in lower case as Go prints them, "no such file or directory",
 * because scripts written for Litestream look for those words) and the code that errnum stands for. Returns -1.
 */
int err_sys(struct err *e, int errnum, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Puts "FORMATTED: " in front of the text; keeps the code. Returns -1. */
int err_wrap(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Out of memory: never fails itself. Returns -1. */
int err_nomem(struct err *e);

void err_clear(struct err *e);

/* The text, or "" for NULL. */
const char *err_text(const struct err *e);

bool err_is(const struct err *e, enum err_code code);
bool err_no_descriptor(const struct err *e); /* the process or the machine has too many files open */

#endif
