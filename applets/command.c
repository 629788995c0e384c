/* SPDX-License-Identifier: MIT */
#include "applets/command.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/*
 * Takes one word from *in to *out and ends it with a NUL. 1 = a word, 0 = the command ends here, -1 = cannot be parsed.
 */
static int take_word(const char **in, char **out)
{
	const char *p = *in;
	char *o = *out, quote = 0;
	bool any = false;

	while (*p && strchr(" \t\r\n", *p))
		p++;
	for (; *p; p++) {
		if (quote) {
			if (*p == quote)
				quote = 0;
			else if (*p == '\\' && quote == '"' && p[1])
				*o++ = *++p;
			else
				*o++ = *p;
			continue;
		}
		if (strchr(" \t\r\n;&|<>", *p))
			break;
		if (*p == '(' || *p == ')')
			return -1;
		any = true;
		if (*p == '\'' || *p == '"')
			quote = *p;
		else if (*p == '\\' && p[1])
			*o++ = *++p;
		else
			*o++ = *p;
	}
	if (quote)
		return -1;
	*o++ = '\0';
	*in = p;
	*out = o;
	return any;
}

int command_split(const char *text, char ***argv, struct err *e)
{
	size_t n = strlen(text), words = 0;
	/* As many words as every second character could make, then the text of all of them. */
	char **list = malloc((n / 2 + 2) * sizeof(*list) + n + 2), *out;
	int rc;

	if (!list)
		return err_nomem(e);
	out = (char *)(list + n / 2 + 2);
	for (;;) {
		list[words] = out;
		rc = take_word(&text, &out);
		if (rc <= 0)
			break;
		words++;
	}
	list[words] = NULL;
	if (rc < 0 || !words) {
		free(list);
		return err_set(e, ERR_INVALID, "cannot parse exec command: invalid command line string");
	}
	*argv = list;
	return 0;
}
