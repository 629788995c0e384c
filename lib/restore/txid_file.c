/* SPDX-License-Identifier: MIT */
/* The sidecar OUTPUT-txid: the last TXID that follow mode has applied, 16 hex digits and a newline. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/text.h"
#include "lib/restore/internal.h"

int txid_file_write(const char *output, uint64_t txid, struct err *e)
{
	struct os_file f = OS_FILE_NONE;
	char digits[TEXT_TXID_SIZE], text[TEXT_TXID_SIZE + 1];
	char *path = path_with(output, "-txid", e), *tmp = path ? path_with(path, ".tmp", e) : NULL, *dir = NULL;
	int rc = -1;

	if (!tmp)
		goto out;
	dir = text_path_dir(output);
	if (!dir) {
		err_nomem(e);
		goto out;
	}
	snprintf(text, sizeof(text), "%s\n", text_txid(digits, txid));
	if (os_file_open(&f, tmp, O_WRONLY | O_CREAT | O_TRUNC, 0644, e) != 0)
		goto out;
	if (os_file_write(&f, text, strlen(text), 0, e) != 0 || os_file_sync(&f, e) != 0 ||
	    os_rename(tmp, path, e) != 0) {
		os_unlink(tmp, NULL);
		goto out;
	}
	rc = os_dir_sync(dir, e);
out:
	os_file_close(&f);
	free(path);
	free(tmp);
	free(dir);
	return rc;
}

/* Cuts white space at both ends. */
static char *trim(char *s)
{
	size_t n;

	s += strspn(s, " \t\r\n");
	for (n = strlen(s); n > 0 && strchr(" \t\r\n", s[n - 1]); n--)
		s[n - 1] = '\0';
	return s;
}

int txid_file_read(const char *output, uint64_t *txid, struct err *e)
{
	struct os_file f = OS_FILE_NONE;
	struct err why = ERR_INIT;
	char bytes[128], quoted[160];
	char *path = path_with(output, "-txid", e), *text;
	size_t got;
	int rc = -1;

	*txid = 0;
	if (!path)
		return -1;
	if (os_file_open(&f, path, O_RDONLY, 0, &why) != 0) {
		if (why.code == ERR_NOT_FOUND && why.sys != ENOTDIR)
			rc = 0;
		else if (e)
			*e = why;
		goto out;
	}
	if (os_file_read(&f, bytes, sizeof(bytes) - 1, 0, &got, e) != 0)
		goto out;
	bytes[got] = '\0';
	text = trim(bytes);
	if (text_parse_txid(text, txid))
		rc = 0;
	else
		err_set(e, ERR_CORRUPT, "parse txid file: %s: %s", strlen(text) != TEXT_TXID_SIZE - 1 ?
		        "invalid formatted transaction id length" : "invalid transaction id format",
		        text_quote(quoted, sizeof(quoted), text));
out:
	os_file_close(&f);
	free(path);
	return rc;
}
