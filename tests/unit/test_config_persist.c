/* SPDX-License-Identifier: MIT */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/config/persist.h"
#include "tests/check.h"
#include "tests/support/tmpdir.h"

static const struct config_context context = { .expand_env = true, .cwd = "/work", .home = "/home/me", .pid = 7 };

/* The text with `enabled` set for /data/app.db, or why not. */
static const char *edited(const char *text, bool enabled)
{
	static char shown[4096];
	struct buf out = { .data = NULL };
	struct err e = ERR_INIT;
	bool found;

	if (config_edit_enabled(text, strlen(text), &context, "/data/app.db", enabled, &out, &found, &e) < 0)
		snprintf(shown, sizeof(shown), "%s", e.text);
	else
		snprintf(shown, sizeof(shown), "%s%s", found ? "" : "none: ", buf_text(&out));
	buf_free(&out);
	return shown;
}

static const char *appended(const char *text, const char *source)
{
	static char shown[4096];
	struct buf out = { .data = NULL };
	struct err e = ERR_INIT;
	bool found;

	if (config_edit_append(text, strlen(text), source, strlen(source), &context, "/data/app.db", &out, &found, &e) < 0)
		snprintf(shown, sizeof(shown), "%s", e.text);
	else
		snprintf(shown, sizeof(shown), "%s%s", found ? "" : "none: ", buf_text(&out));
	buf_free(&out);
	return shown;
}

TEST(a_value_is_replaced)
{
	CHECK_STR(edited("dbs:\n  - path: /data/app.db\n    enabled: true # yes\n", false),
	          "dbs:\n  - path: /data/app.db\n    enabled: false # yes\n");
	CHECK_STR(edited("dbs:\n  - enabled: \"no\"\n    path: '/data/app.db'\n", true),
	          "dbs:\n  - enabled: true\n    path: '/data/app.db'\n");
	CHECK_STR(edited("dbs:\n- path: /data/app.db\n  enabled:\n  x: 1\n", true),
	          "dbs:\n- path: /data/app.db\n  enabled: true\n  x: 1\n");
	CHECK_STR(edited("{\"dbs\": [{\"path\": \"/data/app.db\", \"enabled\": true}]}", false),
	          "{\"dbs\": [{\"path\": \"/data/app.db\", \"enabled\": false}]}");
}

TEST(a_line_is_added)
{
	CHECK_STR(edited("# top\naddr: ':1' # a\ndbs:\n  # first\n  - path: /data/app.db # here\n    replica: {url: $X}\n  - path: /b\n", false),
	          "# top\naddr: ':1' # a\ndbs:\n  # first\n  - path: /data/app.db # here\n    enabled: false\n    replica: {url: $X}\n  - path: /b\n");
	CHECK_STR(edited("dbs:\n- replica:\n    path: /data/app.db\n  path: /data/app.db", true),
	          "dbs:\n- replica:\n    path: /data/app.db\n  path: /data/app.db\n  enabled: true");
	CHECK_STR(edited("dbs:\r\n  - path: /data/app.db\r\n    x: 1\r\n", true),
	          "dbs:\r\n  - path: /data/app.db\r\n    enabled: true\r\n    x: 1\r\n");
	CHECK_STR(edited("dbs: [ {path: /b}, {path: /data/app.db, replica: {path: /x}} ]\n", true),
	          "dbs: [ {path: /b}, {path: /data/app.db, enabled: true, replica: {path: /x}} ]\n");
	CHECK_STR(edited("{\"dbs\": [{\"path\": \"/data/app.db\"}]}\n", false),
	          "{\"dbs\": [{\"path\": \"/data/app.db\", \"enabled\": false}]}\n");
	/* Characters of several bytes in front, and a byte order mark. */
	CHECK_STR(edited("\xef\xbb\xbf# \u00e4\u20ac\U0001F600\nx: \u00fc\ndbs:\n - path: /data/app.db\n   y: \u00df\n", true),
	          "\xef\xbb\xbf# \u00e4\u20ac\U0001F600\nx: \u00fc\ndbs:\n - path: /data/app.db\n   enabled: true\n   y: \u00df\n");
}

TEST(the_path_is_understood)
{
	setenv("RIVULET_TEST_DIR", "/data", 1);
	CHECK_STR(edited("dbs:\n  - path: ${RIVULET_TEST_DIR}/app.db\n", true), "dbs:\n  - path: ${RIVULET_TEST_DIR}/app.db\n    enabled: true\n");
	CHECK_STR(edited("dbs:\n  - path: /x/../data//app.db\n", true), "dbs:\n  - path: /x/../data//app.db\n    enabled: true\n");
	CHECK_STR(edited("dbs:\n  - path: \"\\u002fdata/app.db\"\n", true), "dbs:\n  - path: \"\\u002fdata/app.db\"\n    enabled: true\n");
	CHECK_STR(edited("dbs:\n  - path: app.db\n", true), "none: dbs:\n  - path: app.db\n");
}

TEST(no_entry)
{
	CHECK_STR(edited("", true), "none: ");
	CHECK_STR(edited("# nothing\n", true), "none: # nothing\n");
	CHECK_STR(edited("dbs:\n", true), "none: dbs:\n");
	CHECK_STR(edited("dbs: []\n", true), "none: dbs: []\n");
	CHECK_STR(edited("dbs:\n  - dir: /data\n    pattern: '*'\n  - 5\n", true), "none: dbs:\n  - dir: /data\n    pattern: '*'\n  - 5\n");
	CHECK_STR(edited("other:\n  - path: /data/app.db\n", true), "none: other:\n  - path: /data/app.db\n");
}

TEST(what_cannot_be_edited)
{
	CHECK_STR(edited("dbs:\n  - path: |\n      /data/app.db\n", true), "none: dbs:\n  - path: |\n      /data/app.db\n");
	CHECK_STR(edited("dbs:\n  - path: |-\n      /data/app.db\n", true), "the entry of /data/app.db is written in a way that cannot be edited");
	CHECK_STR(edited("t: &t true\ndbs:\n  - path: /data/app.db\n    enabled: *t\n", true), "the entry of /data/app.db is written in a way that cannot be edited");
	CHECK_STR(edited("\xff\xfe", true), "the file is UTF-16");
	CHECK(strstr(edited("dbs: [", true), "yaml: "));
	CHECK(strstr(edited("- 1\n", true), "the file is no map"));
	CHECK(strstr(edited("dbs: {}\n", true), "dbs is no list that can be edited"));
}

TEST(an_entry_is_appended)
{
	const char *source = "addr: x\ndbs:\n    - path: /other\n    - path: /data/app.db  # mine\n      replica:\n        url: $X # env\n"
	                     "\n        type: s3\n    - path: /last\n";

	CHECK_STR(appended("dbs:\n  - path: /a\n    x: 1\nz: 2\n", source),
	          "dbs:\n  - path: /a\n    x: 1\n  - path: /data/app.db  # mine\n    replica:\n      url: $X # env\n\n      type: s3\nz: 2\n");
	CHECK_STR(appended("dbs:\n- path: /a", source),
	          "dbs:\n- path: /a\n- path: /data/app.db  # mine\n  replica:\n    url: $X # env\n\n    type: s3\n");
	CHECK_STR(appended("dbs: []\nz: 2\n", "dbs: [{path: /data/app.db, enabled: true}]"),
	          "dbs:\n  - {path: /data/app.db, enabled: true}\nz: 2\n");
	CHECK_STR(appended("dbs:\nz: 2\n", "dbs: [{path: /data/app.db}]"), "dbs:\n  - {path: /data/app.db}\nz: 2\n");
	CHECK_STR(appended("z: 2", "dbs: [{path: /data/app.db}]"), "z: 2\ndbs:\n  - {path: /data/app.db}\n");
	CHECK_STR(appended("", "dbs: [{path: /data/app.db}]"), "dbs:\n  - {path: /data/app.db}\n");
	CHECK_STR(appended("z: 1\n", "dbs: []"), "none: z: 1\n");
	CHECK_STR(appended("dbs: [{path: /a}]\n", source), "dbs is written in a way that cannot be extended");
}

/* ---- files ---- */

static void put(const char *path, const char *text, int mode)
{
	FILE *f = fopen(path, "w");

	if (f) {
		fputs(text, f);
		fclose(f);
		chmod(path, (mode_t)mode);
	}
}

static const char *get(const char *path)
{
	static char text[4096];
	FILE *f = fopen(path, "r");
	size_t n = f ? fread(text, 1, sizeof(text) - 1, f) : 0;

	if (f)
		fclose(f);
	text[n] = 0;
	return text;
}

TEST(a_file)
{
	const char *file = tmppath("c.yml"), *link = tmppath("link.yml"), *other = tmppath("other.yml");
	struct err e = ERR_INIT;
	struct stat before, after;
	bool changed;

	put(file, "# c\ndbs:\n  - path: /data/app.db\n", 0640);
	CHECK_INT(symlink("c.yml", link), 0);
	CHECK_OK(config_persist(link, "/data/app.db", false, NULL, &changed, &e), &e);
	CHECK(changed);
	CHECK_STR(get(file), "# c\ndbs:\n  - path: /data/app.db\n    enabled: false\n");
	CHECK_INT(lstat(link, &before), 0);
	CHECK(S_ISLNK(before.st_mode));
	CHECK_INT(stat(file, &before), 0);
	CHECK_INT(before.st_mode & 07777, 0640);
	CHECK_OK(config_persist(file, "/data/app.db", false, NULL, &changed, &e), &e);
	CHECK(!changed);
	CHECK_INT(stat(file, &after), 0);
	CHECK_INT(before.st_ino, after.st_ino);
	CHECK_OK(config_persist(file, "/x/new.db", true, NULL, &changed, &e), &e);
	CHECK(!changed);
	put(other, "dbs:\n - path: /x/new.db\n   replica: {path: /b}\n", 0600);
	CHECK_OK(config_persist(file, "/x/new.db", true, other, &changed, &e), &e);
	CHECK_STR(get(file), "# c\ndbs:\n  - path: /data/app.db\n    enabled: false\n  - path: /x/new.db\n    enabled: true\n    replica: {path: /b}\n");
	/* A text that the edit would break. */
	put(file, "{\"dbs\": []}\n", 0600);
	CHECK_INT(config_persist(file, "/x/new.db", true, other, &changed, &e), -1);
	CHECK_STR(e.text, "the file is written in a way that cannot be edited");
	CHECK_STR(get(file), "{\"dbs\": []}\n");
	CHECK_INT(config_persist(tmppath("none.yml"), "/x", true, NULL, &changed, &e), -1);
}

TEST_MAIN
