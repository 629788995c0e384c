/* SPDX-License-Identifier: MIT */
#include "lib/base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

/*
 * What Go calls the errors that our C libraries call otherwise (musl says "I/O error", "No file descriptors
 * available"). All others differ only in their first letter.
 */
static const struct reason {
	unsigned char errnum;
	char text[39];
} reasons[] = {
	{ EIO, "input/output error" },
	{ ECHILD, "no child processes" },
	{ ENOMEM, "cannot allocate memory" },
	{ EBUSY, "device or resource busy" },
	{ EXDEV, "invalid cross-device link" },
	{ EMFILE, "too many open files" },
	{ ENOTTY, "inappropriate ioctl for device" },
	{ ESPIPE, "illegal seek" },
	{ EDEADLK, "resource deadlock avoided" },
	{ ENAMETOOLONG, "file name too long" },
	{ ELOOP, "too many levels of symbolic links" },
	{ EOVERFLOW, "value too large for defined data type" },
	{ EMSGSIZE, "message too long" },
	{ ENOTSOCK, "socket operation on non-socket" },
	{ EOPNOTSUPP, "operation not supported" },
	{ EADDRINUSE, "address already in use" },
	{ EADDRNOTAVAIL, "cannot assign requested address" },
	{ ENETUNREACH, "network is unreachable" },
	{ ECONNABORTED, "software caused connection abort" },
	{ ENOTCONN, "transport endpoint is not connected" },
	{ ETIMEDOUT, "connection timed out" },
	{ EHOSTUNREACH, "no route to host" },
	{ EUCLEAN, "structure needs cleaning" },
	{ EDQUOT, "disk quota exceeded" },
};

static const char *reason_of(int errnum, char out[static 64])
{
	for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
		if (reasons[i].errnum == errnum)
			return reasons[i].text;

	const char *s = strerror(errnum);

	(void)snprintf(out, 64, "%s", s);
	/* "No such file" becomes "no such file", but "RFS specific error" stays. */
	if (out[0] >= 'A' && out[0] <= 'Z' && !(out[1] >= 'A' && out[1] <= 'Z'))
		out[0] = (char)(out[0] | 0x20);
	return out;
}

static enum err_code code_of(int errnum)
{
	switch (errnum) {
	case ENOENT:
	case ENOTDIR:
		return ERR_NOT_FOUND;
	case EEXIST:
		return ERR_EXISTS;
	case ENOSPC:
	case EDQUOT:
		return ERR_FULL;
	case ENOMEM:
		return ERR_NO_MEMORY;
	case EBUSY:
	case EAGAIN: /* and EWOULDBLOCK */
		return ERR_BUSY;
	default:
		return ERR_SYSTEM;
	}
}

/*
 * "FORMATTED", or "FORMATTED: tail". Built aside, because the arguments and the tail may point into e->text, and a
 * caller may well wrap an error with its own text.
 */
__attribute__((format(printf, 3, 0)))
static void compose(struct err *e, const char *tail, const char *fmt, va_list ap)
{
	char text[ERR_TEXT_SIZE];
	int n = vsnprintf(text, sizeof(text), fmt, ap);
	size_t len;

	if (n < 0)
		n = 0;
	text[n < ERR_TEXT_SIZE ? n : ERR_TEXT_SIZE - 1] = 0;
	len = strlen(text);
	if (tail && *tail) {
		int more = snprintf(text + len, sizeof(text) - len, "%s%s", len ? ": " : "", tail);

		if (more > 0)
			n += more;
	}
	if (n >= ERR_TEXT_SIZE) {
		/* Cut; not within a UTF-8 sequence, so that the text stays valid wherever it is printed. */
		len = strlen(text);
		while (len > 0 && ((unsigned char)text[len - 1] & 0xc0) == 0x80)
			len--;
		if (len > 0 && (unsigned char)text[len - 1] >= 0xc0)
			len--;
		text[len] = 0;
	}
	(void)strcpy(e->text, text);
}

int err_set(struct err *e, enum err_code code, const char *fmt, ...)
{
	va_list ap;

	if (!e)
		return -1;
	va_start(ap, fmt);
	compose(e, NULL, fmt, ap);
	va_end(ap);
	e->code = code;
	e->sys = 0;
	return -1;
}

int err_sys(struct err *e, int errnum, const char *fmt, ...)
{
	char reason[64];
	va_list ap;

	if (!e)
		return -1;
	va_start(ap, fmt);
	compose(e, reason_of(errnum, reason), fmt, ap);
	va_end(ap);
	e->code = code_of(errnum);
	e->sys = errnum;
	return -1;
}

int err_wrap(struct err *e, const char *fmt, ...)
{
	va_list ap;

	if (!e)
		return -1;
	va_start(ap, fmt);
	compose(e, e->text, fmt, ap);
	va_end(ap);
	return -1;
}

int err_nomem(struct err *e)
{
	if (!e)
		return -1;
	e->code = ERR_NO_MEMORY;
	e->sys = ENOMEM;
	(void)strcpy(e->text, "out of memory");
	return -1;
}

void err_clear(struct err *e)
{
	if (!e)
		return;
	e->code = ERR_NONE;
	e->sys = 0;
	e->text[0] = 0;
}

const char *err_text(const struct err *e)
{
	return e ? e->text : "";
}

bool err_no_descriptor(const struct err *e) { return e->code && (e->sys == EMFILE || e->sys == ENFILE); }

bool err_is(const struct err *e, enum err_code code)
{
	return e && e->code == code;
}
