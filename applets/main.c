/* SPDX-License-Identifier: MIT */
/* Dispatch: which applet, by the name we were called by or by the first argument (control.md §3.1). */
#include <string.h>

#include "applets/applet.h"
#include "applets/output.h"
#include "lib/base/text.h"
#include "lib/os/program.h"
#include "lib/os/thread.h"

static int run_named(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : "";
	const struct applet *a = applet_find(name);
	int status;

	if (a != NULL)
		return a->run(argc - 1, argv + 1);
	if (strcmp(name, "--list") == 0)
		return applet_list_names();
	if (strcmp(name, "--install") == 0)
		return applet_install(argc - 1, argv + 1);
	if (name[0] != '\0' && name[0] != '-')
		return output_errorf("%s %s: unknown command", applet_program, name);
	status = applet_usage();
	return applet_asked_for_help(argc, argv) ? status : 1;
}

int main(int argc, char **argv)
{
	const struct applet *a;
	const char *called;
	char *named = NULL;

	os_thread_begin(NULL);
	os_protect_self();
	os_std_reserve();
	if (argc < 1)
		return 1;
	called = text_path_base(argv[0]);
	if (strcmp(called, "litestream") == 0 || strncmp(called, "litestream-", 11) == 0)
		applet_program = "litestream";
	a = applet_find(called);
	if (a == NULL && (strncmp(called, "litestream-", 11) == 0 || strncmp(called, "rivulet-", 8) == 0))
		a = applet_find(strchr(called, '-') + 1);
	if (a == NULL)
		return run_named(argc, argv);
	named = strdup(a->name);
	if (named != NULL)
		argv[0] = named;
	return a->run(argc, argv);
}
