/* SPDX-License-Identifier: MIT */
/* Where we are: the current folder and the user's home. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/os/file.h"
#include "lib/os/point.h"

int os_cwd(char **path, struct err *e)
{
	*path = NULL;
	if (os_point(OS_CALL_LOOK) == 0)
		*path = getcwd(NULL, 0);
	return *path == NULL ? err_sys(e, errno, "getwd") : 0;
}

/* The home folder in one line of /etc/passwd (name:password:uid:gid:comment:home:shell) if the uid is ours. */
static char *home_of_line(char *line, uint32_t uid)
{
	char *field[6], *digit;
	uint64_t n = 0;
	int i;

	for (i = 0; i < 6; i++) {
		field[i] = line;
		line += strcspn(line, ":");
		if (i < 5 && *line == '\0')
			return NULL;
		if (*line != '\0')
			*line++ = '\0';
	}
	for (digit = field[2]; *digit >= '0' && *digit <= '9' && n <= UINT32_MAX; digit++)
		n = n * 10 + (uint64_t)(*digit - '0');
	if (digit == field[2] || *digit != '\0' || n != uid || *field[5] != '/')
		return NULL;
	return strdup(field[5]);
}

/* getpwuid() would do, but it brings stdio and, in a glibc build, plugins with it. Longer lines than the buffer are
 * passed over. */
static char *home_in_passwd(uint32_t uid)
{
	struct os_file f;
	char text[2048], *home = NULL, *line, *end;
	size_t got, kept = 0;
	int64_t offset = 0;
	bool skip = false;

	if (os_file_open(&f, "/etc/passwd", O_RDONLY, 0, NULL) < 0)
		return NULL;
	while (home == NULL && os_file_read(&f, text + kept, sizeof(text) - 1 - kept, offset, &got, NULL) == 0) {
		offset += (int64_t)got;
		kept += got;
		if (kept == 0)
			break;
		if (got == 0) /* a last line without a newline */
			text[kept++] = '\n';
		for (line = text; home == NULL && (end = memchr(line, '\n', (size_t)(text + kept - line)));
		     line = end + 1) {
			*end = '\0';
			if (!skip && strlen(line) == (size_t)(end - line))
				home = home_of_line(line, uid);
			skip = false;
		}
		kept = (size_t)(text + kept - line);
		memmove(text, line, kept);
		if (kept == sizeof(text) - 1) {
			skip = true;
			kept = 0;
		}
	}
	os_file_close(&f);
	return home;
}

char *os_home(void)
{
	char *home = home_in_passwd((uint32_t)getuid());
	const char *env;

	if (home != NULL)
		return home;
	env = getenv("HOME");
	return env != NULL && *env != '\0' ? strdup(env) : NULL;
}
