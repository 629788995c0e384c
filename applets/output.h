/* SPDX-License-Identifier: MIT */
/*
 * output.h - what applets say: results on standard output, "Error:" and "Try:" on standard error.
 *
 * Functions return the exit status so far: 0, or 1 after they have said on standard error why not. A result that could
 * not be written (a full disk, a closed descriptor) is a failure of the applet.
 */
#ifndef RIVULET_APPLETS_OUTPUT_H
#define RIVULET_APPLETS_OUTPUT_H

#include <stddef.h>

#include "lib/base/buf.h"
#include "lib/base/err.h"

int output_text(const char *text);
/* Writes the buffer, unless it failed for want of memory, and empties it. */
int output_buf(struct buf *b);
/* The same, but only when enough has gathered: called after each item, it bounds the memory of long results. */
int output_some(struct buf *b);
/* A usage text: each @ in it stands for the program's name. */
int output_help(const char *text);

/* One line on standard error, as it is. */
void output_complain(const char *line);
/* "Error: TEXT". Returns 1. */
int output_error(const struct err *e);
int output_errorf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* The same and "Try: PROGRAM HINT REST". Returns 1. */
int output_try(const char *message, const char *hint, const char *rest);

/*
 * A table: columns as wide as their widest cell (in code points) and two blanks, the last one not padded. `cell`
 * appends the text of one cell; it is called twice for each, so that no row need be kept.
 */
enum { TABLE_COLUMNS_MAX = 8 };
struct table {
	int columns;
	const char *const *header;
	size_t rows;
	void (*cell)(const void *ctx, size_t row, int column, struct buf *out);
	const void *ctx;
};
int output_table(const struct table *t);

#endif
