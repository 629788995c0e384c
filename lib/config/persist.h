/* SPDX-License-Identifier: MIT */
/*
 * persist.h - one word of a configuration file is changed, everything else stays as it is byte for byte: comments,
 * $NAME, order, the kinds of quotes (control.md §2.5 of the project's specification).
 *
 * The file is read for the places of its values only, not for what they mean. What cannot be edited safely (an entry
 * that is an alias, UTF-16) is an error and nothing is written. The two edits are pure; config_persist() blocks on
 * files.
 */
#ifndef RIVULET_CONFIG_PERSIST_H
#define RIVULET_CONFIG_PERSIST_H

#include "lib/base/buf.h"
#include "lib/config/config.h"

/*
 * `enabled: true|false` in the dbs[] entry whose path, as it stands or with the environment expanded, means `path`.
 * *found is false, and out a copy, when there is none.
 */
int config_edit_enabled(const char *text, size_t n, const struct config_context *x, const char *path, bool enabled,
                        struct buf *out, bool *found, struct err *e);
/* The entry of the text `source` for that path goes behind the last one of dbs[], which is made if need be. *found: as
 * above, of the source. */
int config_edit_append(const char *text, size_t n, const char *source, size_t source_n, const struct config_context *x,
                       const char *path, struct buf *out, bool *found, struct err *e);

/*
 * The first edit on a file, replaced in one step and for good; when it has no such entry and `source` (may be NULL)
 * names another configuration file that has one, that entry is appended. *changed: was anything written? A file that
 * says so already is left alone.
 */
int config_persist(const char *file, const char *path, bool enabled, const char *source, bool *changed, struct err *e);

#endif
