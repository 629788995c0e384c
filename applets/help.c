/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "applets/applet.h"
#include "applets/output.h"

static const char head[] =
	"@ streams SQLite databases to a replica and brings them back.\n"
	"\n"
	"Usage:\n"
	"\n"
	"\t@ <command> [arguments]\n"
	"\n"
	"Commands:\n"
	"\n";

static const char tail[] =
	"\n"
	"@ <command> -h explains one of them. A link called litestream-NAME or NAME\n"
	"runs command NAME.\n"
	"\n"
	"\t@ --list               print the names of all commands\n"
	"\t@ --install [-s] DIR   make such links in DIR; -s: symbolic ones\n";

int applet_usage(void)
{
	struct buf b = {0};
	int status;

	buf_str(&b, head);
	for (int i = 0; i < applet_count; i++)
		if (applets[i].summary != NULL)
			buf_fmt(&b, "\t%-11s %s\n", applets[i].name, applets[i].summary);
	buf_str(&b, tail);
	status = output_help(buf_text(&b));
	buf_free(&b);
	return status;
}

int applet_help(int argc, char **argv)
{
	const struct applet *a = argc > 1 ? applet_find(argv[1]) : NULL;
	char name[32], flag[] = "-h";

	if (a == NULL || a->run == applet_help)
		return applet_usage();
	strncpy(name, a->name, sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	return a->run(2, (char *[]){ name, flag, NULL });
}
