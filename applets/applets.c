/* SPDX-License-Identifier: MIT */
/* The table of applets, and what they share before they start. */
#include <stdlib.h>
#include <string.h>

#include "applets/applet.h"
#include "applets/output.h"
#include "lib/base/log.h"
#include "lib/config/config.h"

#define APPLET(name, summary) { #name, summary, applet_##name },
const struct applet applets[] = {
#include "applets/table.h"
};
#undef APPLET
const int applet_count = sizeof(applets) / sizeof(applets[0]);

const char *applet_program = "rivulet";

const struct applet *applet_find(const char *name)
{
	for (int i = 0; i < applet_count; i++)
		if (strcmp(applets[i].name, name) == 0)
			return &applets[i];
	return NULL;
}

bool applet_asked_for_help(int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		if (strcmp(argv[i], "-h") == 0 || strcmp(argv[i], "-help") == 0 || strcmp(argv[i], "--help") == 0)
			return true;
	return false;
}

int applet_parse(const struct flag *flags, int argc, char **argv, const char *help, int *first)
{
	struct err e = ERR_INIT;
	int status;

	switch (flags_parse(flags, argc, argv, first, &e)) {
	case FLAGS_OK:
		return -1;
	case FLAGS_HELP:
		status = output_help(help);
		return applet_asked_for_help(argc, argv) ? status : 1;
	default:
		/* Twice, as Go programs do: scripts that look at either find it. */
		output_complain(e.text);
		(void)output_help(help);
		return output_error(&e);
	}
}

void applet_log(int fd)
{
	static const struct config_logging plain = { .level = "", .type = "" };

	applet_log_as(&plain, fd);
}

void applet_log_as(const struct config_logging *l, int fd)
{
	const char *word = getenv("LOG_LEVEL");
	enum log_level level = LOG_INFO;

	(void)log_parse_level(word && word[0] ? word : l->level, &level);
	log_set_level(level);
	log_set_form(strcmp(l->type, "json") == 0 ? LOG_JSON : strcmp(l->type, "pretty") == 0 ? LOG_PRETTY : LOG_TEXT);
	log_set_source(l->source);
	log_set_fd(l->to_stderr ? 2 : fd);
}
