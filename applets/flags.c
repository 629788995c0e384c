/* SPDX-License-Identifier: MIT */
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "applets/flags.h"
#include "lib/base/text.h"

static const struct flag *find(const struct flag *flags, const char *name, size_t len)
{
	for (; flags->type != FLAG_END; flags++)
		if (strlen(flags->name) == len && memcmp(flags->name, name, len) == 0)
			return flags;
	return NULL;
}

/* Gives the reason only. */
static int set_value(const struct flag *flag, const char *text, struct err *e)
{
	switch (flag->type) {
	case FLAG_TEXT:
		*(const char **)flag->value = text;
		return 0;
	case FLAG_INT:
		return text_parse_int(text, flag->value, e);
	case FLAG_DURATION: /* Go gives no reason here */
		return text_parse_duration(text, flag->value, NULL) < 0 ? err_set(e, ERR_INVALID, "parse error") : 0;
	case FLAG_TXID:
		return text_parse_txid(text, flag->value) ? 0 : err_set(e, ERR_INVALID, "invalid txid format");
	case FLAG_OTHER:
		return flag->set(flag->value, text, e);
	default: /* FLAG_BOOL */
		return text_parse_bool(text, flag->value) ? 0 : err_set(e, ERR_INVALID, "parse error");
	}
}

static int set_or_explain(const struct flag *flag, const char *text, struct err *e)
{
	char quoted[256];
	struct err why = ERR_INIT;

	if (set_value(flag, text, &why) == 0)
		return 0;
	return err_set(e, ERR_INVALID, "invalid %s %s for %s-%s: %s",
	               flag->type == FLAG_BOOL ? "boolean value" : "value",
	               text_quote(quoted, sizeof(quoted), text), flag->type == FLAG_BOOL ? "" : "flag ", flag->name,
	               why.text);
}

enum flags_result flags_parse(const struct flag *flags, int argc, char **argv, int *first, struct err *e)
{
	int i = 1;

	while (i < argc) {
		const char *word = argv[i], *name, *value;
		const struct flag *flag;
		size_t len;

		if (word[0] != '-' || word[1] == '\0')
			break;
		i++;
		if (strcmp(word, "--") == 0)
			break;
		name = word + (word[1] == '-' ? 2 : 1);
		if (name[0] == '-' || name[0] == '=') {
			err_set(e, ERR_INVALID, "bad flag syntax: %s", word);
			return FLAGS_WRONG;
		}
		len = strcspn(name, "=");
		value = name[len] == '=' ? name + len + 1 : NULL;
		flag = find(flags, name, len);
		if (flag == NULL) {
			if ((len == 1 && name[0] == 'h') || (len == 4 && memcmp(name, "help", 4) == 0))
				return FLAGS_HELP;
			err_set(e, ERR_INVALID, "flag provided but not defined: -%.*s", (int)(len < 200 ? len : 200),
			        name);
			return FLAGS_WRONG;
		}
		if (value == NULL && flag->type == FLAG_BOOL)
			value = "true";
		else if (value == NULL && i < argc)
			value = argv[i++];
		if (value == NULL) {
			err_set(e, ERR_INVALID, "flag needs an argument: -%s", flag->name);
			return FLAGS_WRONG;
		}
		if (set_or_explain(flag, value, e) < 0)
			return FLAGS_WRONG;
	}
	*first = i;
	return FLAGS_OK;
}
