/* SPDX-License-Identifier: MIT */
#include <assert.h>
#include <stdarg.h>
#include <string.h>

#include "applets/applet.h"
#include "applets/output.h"
#include "lib/os/program.h"

enum { OUTPUT_CHUNK = 32 << 10 };

static int write_out(const void *bytes, size_t n)
{
	struct err e = ERR_INIT;

	return os_std_write(1, bytes, n, &e) < 0 ? output_error(&e) : 0;
}

int output_text(const char *text)
{
	return write_out(text, strlen(text));
}

int output_buf(struct buf *b)
{
	struct err e = ERR_INIT;
	int status = 0;

	if (!buf_ok(b)) {
		err_nomem(&e);
		status = output_error(&e);
	} else if (b->len > 0) {
		status = write_out(b->data, b->len);
	}
	buf_reset(b);
	return status;
}

int output_some(struct buf *b)
{
	return buf_ok(b) && b->len < OUTPUT_CHUNK ? 0 : output_buf(b);
}

int output_help(const char *text)
{
	struct buf b = {0};
	int status;

	for (; *text != '\0'; text++) {
		if (*text == '@')
			buf_str(&b, applet_program);
		else
			buf_char(&b, *text);
	}
	status = output_buf(&b);
	buf_free(&b);
	return status;
}

void output_complain(const char *line)
{
	struct buf b = {0};

	buf_str(&b, line);
	buf_char(&b, '\n');
	if (buf_ok(&b))
		(void)os_std_write(2, b.data, b.len, NULL);
	buf_free(&b);
}

int output_errorf(const char *fmt, ...)
{
	struct buf b = {0};
	va_list ap;

	buf_str(&b, "Error: ");
	va_start(ap, fmt);
	buf_vfmt(&b, fmt, ap);
	va_end(ap);
	output_complain(buf_ok(&b) ? buf_text(&b) : "Error: out of memory");
	buf_free(&b);
	return 1;
}

int output_error(const struct err *e)
{
	return output_errorf("%s", err_text(e));
}

int output_try(const char *message, const char *hint, const char *rest)
{
	return output_errorf("%s\nTry: %s %s%s", message, applet_program, hint, rest);
}

static size_t code_points(const struct buf *b)
{
	size_t n = 0;

	for (size_t i = 0; i < b->len; i++)
		n += (b->data[i] & 0xc0) != 0x80;
	return n;
}

/* row -1 is the header. */
static void put_cell(const struct table *t, size_t row, int column, struct buf *out)
{
	if (row == SIZE_MAX)
		buf_str(out, t->header[column]);
	else
		t->cell(t->ctx, row, column, out);
}

static void measure(const struct table *t, size_t widths[TABLE_COLUMNS_MAX])
{
	struct buf b = {0};

	for (size_t row = SIZE_MAX; row == SIZE_MAX || row < t->rows; row++) {
		for (int i = 0; i < t->columns - 1; i++) {
			size_t width;

			buf_reset(&b);
			put_cell(t, row, i, &b);
			width = code_points(&b);
			if (width > widths[i])
				widths[i] = width;
		}
	}
	buf_free(&b);
}

int output_table(const struct table *t)
{
	size_t widths[TABLE_COLUMNS_MAX] = {0};
	struct buf line = {0}, cell = {0};
	int status = 0;

	assert(t->columns <= TABLE_COLUMNS_MAX);
	measure(t, widths);
	for (size_t row = SIZE_MAX; status == 0 && (row == SIZE_MAX || row < t->rows); row++) {
		for (int i = 0; i < t->columns; i++) {
			buf_reset(&cell);
			put_cell(t, row, i, &cell);
			buf_str(&line, buf_text(&cell));
			for (size_t n = code_points(&cell); i < t->columns - 1 && n < widths[i] + 2; n++)
				buf_char(&line, ' ');
		}
		buf_char(&line, '\n');
		status = output_some(&line);
	}
	if (status == 0)
		status = output_buf(&line);
	buf_free(&line);
	buf_free(&cell);
	return status;
}
