/* SPDX-License-Identifier: MIT */
#include <sqlite3.h>

#include "applets/applet.h"
#include "applets/output.h"

/* Set by the Makefile; both may be empty. */
#ifndef RIVULET_VERSION
#define RIVULET_VERSION ""
#endif
#ifndef RIVULET_COMMIT
#define RIVULET_COMMIT ""
#endif

#if defined(__clang__)
#define COMPILER "clang " __clang_version__
#else
#define COMPILER "gcc " __VERSION__
#endif

#if defined(__x86_64__)
#define ARCH "amd64"
#elif defined(__aarch64__)
#define ARCH "arm64"
#elif defined(__arm__)
#define ARCH "arm"
#elif defined(__i386__)
#define ARCH "386"
#elif defined(__riscv) && __riscv_xlen == 64
#define ARCH "riscv64"
#elif defined(__powerpc64__)
#define ARCH "ppc64le"
#elif defined(__s390x__)
#define ARCH "s390x"
#else
#define ARCH "unknown"
#endif

static const char help[] =
	"Prints the version.\n"
	"\n"
	"Usage:\n"
	"\n"
	"\t@ version [arguments]\n"
	"\n"
	"Arguments:\n"
	"\n"
	"\t-verbose   also the compiler, the commit, the platform and SQLite's version\n";

const char *applet_version_text(void)
{
	if (sizeof(RIVULET_VERSION) > 1)
		return RIVULET_VERSION;
	return sizeof(RIVULET_COMMIT) > 1 ? "(development build " RIVULET_COMMIT ")" : "(development build)";
}

int applet_version(int argc, char **argv)
{
	bool verbose = false;
	const struct flag flags[] = { { "verbose", FLAG_BOOL, &verbose, NULL }, { .type = FLAG_END } };
	struct buf b = {0};
	int first, status = applet_parse(flags, argc, argv, help, &first);

	if (status >= 0)
		return status;
	if (!verbose) {
		buf_fmt(&b, "%s\n", applet_version_text());
	} else {
		/* Programs that read this look for the label; there is no Go in here. */
		buf_fmt(&b, "Version:     %s\nGo Version:  none (C build, %s)\n", applet_version_text(), COMPILER);
		if (sizeof(RIVULET_COMMIT) > 1)
			buf_fmt(&b, "Git Commit:  %s\n", RIVULET_COMMIT);
		buf_fmt(&b, "OS/Arch:     linux/" ARCH "\nSQLite:      %s\n", sqlite3_libversion());
	}
	status = output_buf(&b);
	buf_free(&b);
	return status;
}
