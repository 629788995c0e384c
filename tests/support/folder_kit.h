/* SPDX-License-Identifier: MIT */
/* folder_kit.h - folders with databases and other files in them, for the tests of lib/store/folder.h. */
#ifndef TESTS_SUPPORT_FOLDER_KIT_H
#define TESTS_SUPPORT_FOLDER_KIT_H

#include <stddef.h>

#include "lib/store/folder.h"

extern char fk_top[256]; /* the folder of the running test */
int fk_begin(const char *name);
const char *fk_at(const char *name); /* a name in it; good for three more calls */
int fk_put(const char *name, const char *bytes, size_t n);
int fk_put_database(const char *name);
int fk_make_tree(void); /* that of cases.md §5.5 */

/* What a scan lists, as "RELATIVE=PATH " each, PATH without fk_top; or its error. */
const char *fk_scan_rule(const struct folder_rule *rule);
const char *fk_scan(const char *dir, const char *pattern, bool recursive);
extern char fk_listed[65536];
extern int fk_listed_count;

#endif
