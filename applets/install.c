/* SPDX-License-Identifier: MIT */
/* --list and --install: the names under which this program also runs. */
#include <stdlib.h>
#include <string.h>

#include "applets/applet.h"
#include "applets/output.h"
#include "lib/base/text.h"
#include "lib/os/file.h"
#include "lib/os/program.h"

static const char help[] =
	"Makes links to this program, one for each command.\n"
	"\n"
	"Usage:\n"
	"\n"
	"\t@ --install [-s] DIR\n"
	"\n"
	"DIR is made if need be. The links are called litestream and litestream-NAME; a\n"
	"link of ours that is there already stays, anything else of that name is an error.\n"
	"\n"
	"Arguments:\n"
	"\n"
	"\t-s   symbolic links; otherwise hard links, on the file system of the program\n"
	"\n"
	"Example:\n"
	"\n"
	"\t$ @ --install -s /usr/local/bin\n";

int applet_list_names(void)
{
	struct buf b = {0};
	int status;

	for (int i = 0; i < applet_count; i++)
		if (applets[i].summary != NULL)
			buf_fmt(&b, "%s\n", applets[i].name);
	status = output_buf(&b);
	buf_free(&b);
	return status;
}

struct install {
	const char *dir;
	char *self;         /* this program */
	const char *target; /* what symbolic links hold; NULL: hard links */
	struct os_stat self_stat;
};

static int make_link(const struct install *in, const char *name, struct err *e)
{
	char *path = text_path_join(in->dir, name);
	struct os_stat st;
	int rc = -1;

	if (path == NULL)
		return err_nomem(e);
	if (os_stat(path, &st, NULL) == 0) {
		if (st.dev == in->self_stat.dev && st.ino == in->self_stat.ino)
			rc = 0;
		else
			err_set(e, ERR_EXISTS, "%s exists and is not this program; remove it first", path);
	} else {
		rc = in->target != NULL ? os_symlink(in->target, path, e) : os_link(in->self, path, e);
	}
	free(path);
	return rc;
}

static int make_links(const struct install *in, struct err *e)
{
	char name[64] = "litestream-";

	if (make_link(in, "litestream", e) < 0)
		return -1;
	for (int i = 0; i < applet_count; i++) {
		if (applets[i].summary == NULL)
			continue;
		strncpy(name + 11, applets[i].name, sizeof(name) - 12);
		if (make_link(in, name, e) < 0)
			return -1;
	}
	return 0;
}

/* In the program's own folder a link needs no more than its name, and lives on when the folder moves. */
static const char *link_target(const struct install *in)
{
	char *home = text_path_dir(in->self);
	struct os_stat a, b;
	bool same = home != NULL && os_stat(home, &a, NULL) == 0 && os_stat(in->dir, &b, NULL) == 0 && a.dev == b.dev &&
	            a.ino == b.ino;

	free(home);
	return same ? text_path_base(in->self) : in->self;
}

int applet_install(int argc, char **argv)
{
	bool symbolic = false;
	const struct flag flags[] = { { "s", FLAG_BOOL, &symbolic, NULL }, { .type = FLAG_END } };
	const struct os_owner owner = { .mode = 0755, .uid = UINT32_MAX, .gid = UINT32_MAX };
	struct install in = {0};
	struct err e = ERR_INIT;
	int first, status = applet_parse(flags, argc, argv, help, &first);

	if (status >= 0)
		return status;
	if (first == argc || argv[first][0] == '\0')
		return output_try("folder required", "--install -s /usr/local/bin", "");
	if (argc - first > 1)
		return output_errorf("too many arguments");
	in.dir = argv[first];
	if (os_self_path(&in.self, &e) < 0 || os_stat(in.self, &in.self_stat, &e) < 0 ||
	    os_dir_make(in.dir, &owner, &e) < 0)
		goto fail;
	if (symbolic)
		in.target = link_target(&in);
	if (make_links(&in, &e) < 0)
		goto fail;
	free(in.self);
	return 0;
fail:
	free(in.self);
	return output_error(&e);
}
