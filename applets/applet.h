/* SPDX-License-Identifier: MIT */
/*
 * applet.h - the contract between the program and its applets.
 *
 * An applet is one function, `int applet_NAME(int argc, char **argv)`, in one file applets/NAME.c, and one row in
 * table.h. argv[0] is its name, the arguments follow, argv[argc] is NULL. It returns the exit status of the process:
 * 0, or 1 after it has said why on standard error (output.h). Results and log lines go to standard output. It frees nothing
 * it need not: the process ends with it.
 *
 * Everything here runs on the main thread.
 */
#ifndef RIVULET_APPLETS_APPLET_H
#define RIVULET_APPLETS_APPLET_H

#include <stdbool.h>

#include "applets/flags.h"
#include "lib/base/err.h"

struct applet {
	const char *name;
	const char *summary; /* NULL: not listed */
	int (*run)(int argc, char **argv);
};

extern const struct applet applets[];
extern const int applet_count;

#define APPLET(name, summary) int applet_##name(int argc, char **argv);
#include "applets/table.h"
#undef APPLET

const struct applet *applet_find(const char *name); /* NULL when there is none */

/* Who we are in messages: "litestream" when called by that name or as litestream-NAME, else "rivulet". */
extern const char *applet_program;

/* What `version` prints. */
const char *applet_version_text(void);

/* The usage of the whole program, on standard output. Returns 0, or 1 when that could not be written. */
int applet_usage(void);
/* Is one of the words exactly -h, -help or --help? Only then is a usage that was printed a success. */
bool applet_asked_for_help(int argc, char **argv);

/* --list and --install: install.c */
int applet_list_names(void);
int applet_install(int argc, char **argv);

/*
 * Parses the flags. Returns -1 to go on, *first is then the first positional in argv. Otherwise help was asked for or a
 * flag was wrong, all has been said (control.md §3.2), and the result is the exit status. `help`: see output_help.
 */
int applet_parse(const struct flag *flags, int argc, char **argv, const char *help, int *first);

/* The log as every applet starts with it: text, INFO or what LOG_LEVEL says, to standard output or standard error. */
void applet_log(int fd);
/* As a configuration file wants it; LOG_LEVEL over its level, to fd unless it says standard error. */
struct config_logging;
void applet_log_as(const struct config_logging *l, int fd);

#endif
