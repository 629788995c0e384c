/* SPDX-License-Identifier: MIT */
/*
 * Replicas that real Litestream binaries wrote, restored and compared with what Litestream itself made of them, byte
 * for byte: every TXID and time that is recorded. Where Litestream fails we must fail too and leave nothing, except that a
 * damaged file may be gone around when the rest leads to the same state.
 *
 * The replicas are not part of the repository: RIVULET_SHARED or ../shared names the folder they are in.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/time.h>
#include <unistd.h>

#include "lib/base/sha256.h"
#include "lib/base/text.h"
#include "lib/restore/restore.h"
#include "tests/check.h"
#include "tests/support/tmpdir.h"

static bool sha256_file(const char *path, char out[SHA256_HEX_SIZE])
{
	static uint8_t buffer[1 << 16];
	uint8_t sum[SHA256_SIZE];
	struct sha256 s;
	size_t n;
	FILE *f = fopen(path, "rb");

	if (!f)
		return false;
	sha256_init(&s);
	while ((n = fread(buffer, 1, sizeof(buffer), f)) > 0)
		sha256_add(&s, buffer, n);
	fclose(f);
	sha256_end(&s, sum);
	sha256_hex(out, sum);
	return true;
}

static char golden[512];
static int restores, failures, untried;

static bool exists(const char *path)
{
	return access(path, F_OK) == 0;
}

static bool find_golden(void)
{
	const char *shared = getenv("RIVULET_SHARED");

	/* A thousand restores with an fsync each: not for the disk. */
	if (access("/dev/shm", W_OK) == 0)
		setenv("TMPDIR", "/dev/shm", 0);
	snprintf(golden, sizeof(golden), "%s/data/golden", shared && *shared ? shared : "../shared");
	return exists(golden);
}

#define SAY(...) (failures++, printf("FAILED " __VA_ARGS__), putchar('\n'))

/* ---- one line of expect.tsv or times.tsv ---- */

struct line {
	char target[64], sum[80];
	unsigned page_size, pages;
	bool is_error;
};

static bool parse_line(char *text, struct line *l)
{
	text[strcspn(text, "\n")] = '\0';
	if (sscanf(text, "%63[^\t]\t%79[^\t]", l->target, l->sum) != 2)
		return false;
	l->is_error = strcmp(l->sum, "ERROR") == 0;
	l->page_size = l->pages = 0;
	return l->is_error || sscanf(text, "%*[^\t]\t%*[^\t]\t%u\t%u", &l->page_size, &l->pages) == 2;
}

/* The answer to the same question in another case. */
static bool look_up(const char *name, const char *file, const char *target, struct line *l)
{
	char path[1024], text[1024];
	bool found = false;
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s/%s", golden, name, file);
	f = fopen(path, "r");
	while (f && !found && fgets(text, sizeof(text), f))
		found = parse_line(text, l) && strcmp(l->target, target) == 0;
	if (f)
		fclose(f);
	return found;
}

static bool parse_target(const char *text, struct restore_target *t)
{
	*t = (struct restore_target){ .txid = 0 };
	if (strcmp(text, "latest") == 0 || text_parse_txid(text, &t->txid))
		return true;
	t->has_time = true;
	return text_parse_time(text, &t->time_ns, NULL) == 0;
}

static void try_line(const char *name, const char *replica_path, const struct line *l)
{
	struct restore_plan plan = { .items = NULL };
	struct restore_options o = { .output = tmppath("out.db") };
	struct restore_result result;
	struct restore_target target;
	struct replica *r = NULL;
	struct err e = ERR_INIT;
	struct line want = *l;
	char sum[65] = "";
	int rc;

	restores++;
	unlink(o.output);
	if (!parse_target(l->target, &target) || replica_file_create(replica_path, &r, &e) != 0) {
		SAY("%s %s: %s", name, l->target, e.text);
		return;
	}
	rc = restore_make(r, &target, true, &o, &plan, &result, &e);
	/* Its level 0 is whole, so what the snapshot should have given is what the undamaged case gives. */
	if (rc == 0 && l->is_error && strcmp(name, "damage-snapshot-flip") == 0)
		look_up("few-levels", "expect.tsv", l->target, &want);
	if (exists(tmppath("out.db.tmp")) || (rc != 0 && exists(o.output)))
		SAY("%s %s: something was left", name, l->target);
	else if (rc != 0 && !want.is_error)
		SAY("%s %s: %s", name, l->target, e.text);
	else if (rc != 0 && e.text[0] == '\0')
		SAY("%s %s: failed without a word", name, l->target);
	else if (rc == 0 && want.is_error)
		SAY("%s %s: restored, should fail", name, l->target);
	else if (rc == 0 && (!sha256_file(o.output, sum) || strcmp(sum, want.sum) != 0))
		SAY("%s %s: sha256 %s, wanted %s", name, l->target, sum, want.sum);
	else if (rc == 0 && (result.page_size != want.page_size || result.pages != want.pages))
		SAY("%s %s: %lld pages of %u", name, l->target, (long long)result.pages, result.page_size);
	restore_plan_free(&plan);
	replica_free(r);
	unlink(o.output);
}

static void try_file(const char *name, const char *replica_path, const char *file)
{
	char path[1024], text[1024];
	struct line l;
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s/%s", golden, name, file);
	f = fopen(path, "r");
	if (!f)
		return;
	while (fgets(text, sizeof(text), f)) {
		if (text[0] == '\n')
			continue;
		if (parse_line(text, &l))
			try_line(name, replica_path, &l);
		else
			SAY("%s/%s: %s is no answer", name, file, text);
	}
	fclose(f);
}

/* ---- where a case's replica is ---- */

/* Runs a shell script with two arguments. */
static bool run(const char *script, const char *a, const char *b)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		execl("/bin/sh", "sh", "-c", script, "sh", a, b, (char *)NULL);
		_exit(127);
	}
	return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}

/* s3/PATH/0000/… shown as ltx/0/…. */
static bool link_s3(const char *name, const char *to)
{
	char from[1024], link[1200], absolute[PATH_MAX];

	mkdir(to, 0700);
	snprintf(link, sizeof(link), "%s/ltx", to);
	mkdir(link, 0700);
	for (int level = 0; level <= 9; level++) {
		snprintf(from, sizeof(from), "%s/%s/s3/%s/%04x", golden, name, name, (unsigned)level);
		if (!realpath(from, absolute))
			continue;
		snprintf(link, sizeof(link), "%s/ltx/%d", to, level);
		if (symlink(absolute, link) != 0)
			return false;
	}
	return true;
}

/* false: counted as not tried. */
static bool find_replica(const char *name, char path[1024])
{
	snprintf(path, 1024, "%s/%s/replica", golden, name);
	if (exists(path))
		return true;
	snprintf(path, 1024, "%s/%s/replica.tar.xz", golden, name);
	if (exists(path)) {
		if (!run("rm -rf \"$2\"; mkdir -p \"$2\" && tar -xJf \"$1\" -C \"$2\"", path, tmppath("packed")))
			return false;
		snprintf(path, 1024, "%s/replica", tmppath("packed"));
		return exists(path);
	}
	snprintf(path, 1024, "%s/%s", tmppath("s3"), name);
	mkdir(tmppath("s3"), 0700);
	return link_s3(name, path);
}

static bool is_v03(const char *name)
{
	return strncmp(name, "v03", 3) == 0;
}

static void each_case(void (*fn)(const char *name))
{
	DIR *dir = opendir(golden);
	struct dirent *entry;
	char path[1024];

	while (dir && (entry = readdir(dir))) {
		snprintf(path, sizeof(path), "%s/%s/expect.tsv", golden, entry->d_name);
		if (entry->d_name[0] != '.' && exists(path))
			fn(entry->d_name);
	}
	if (dir)
		closedir(dir);
}

/* ---- the tests ---- */

/* Modification times are a file replica's times; on S3 the times are metadata, and that is another kind's matter. */
static void set_times(const char *name, const char *copy)
{
	char path[1024], text[1024], file[512], when[64];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s/files.tsv", golden, name);
	f = fopen(path, "r");
	while (f && fgets(text, sizeof(text), f)) {
		int64_t ns;

		if (sscanf(text, "%511[^\t]\t%*[^\t]\t%*[^\t]\t%63[^\t\n]", file, when) != 2 ||
		    text_parse_time(when, &ns, NULL) != 0)
			continue;
		struct timespec t[2] = { { ns / 1000000000, ns % 1000000000 }, { ns / 1000000000, ns % 1000000000 } };
		snprintf(path, sizeof(path), "%s/%s", copy, file);
		if (utimensat(AT_FDCWD, path, t, 0) != 0)
			SAY("%s: %s", path, strerror(errno));
	}
	if (f)
		fclose(f);
}

static bool copy_with_times(const char *name, char path[1024])
{
	char from[1024];

	snprintf(from, sizeof(from), "%s/%s/replica", golden, name);
	if (!exists(from) ||
	    !run("rm -rf \"$2\"; mkdir -p \"$2\" && cp -r \"$1\" \"$2\" && chmod -R u+w \"$2\"", from, tmppath("copy")))
		return false;
	set_times(name, tmppath("copy"));
	snprintf(path, 1024, "%s", tmppath("copy/replica")); /* its buffer is used again */
	return true;
}

static void try_expect(const char *name)
{
	char path[1024];

	/* The times of v0.3 files decide which of the two formats is the newer one. */
	if (is_v03(name) ? !copy_with_times(name, path) : !find_replica(name, path)) {
		untried++;
		return;
	}
	try_file(name, path, "expect.tsv");
}

static void try_times(const char *name)
{
	char path[1024];

	snprintf(path, sizeof(path), "%s/%s/times.tsv", golden, name);
	if (!exists(path))
		return;
	if (copy_with_times(name, path))
		try_file(name, path, "times.tsv");
	else
		untried++;
}

static void report(void)
{
	printf("%d restores, %d wrong, %d cases not tried\n", restores, failures, untried);
	restores = failures = untried = 0;
}

TEST(golden_txids)
{
	if (!find_golden())
		SKIP("no golden replicas here");
	each_case(try_expect);
	int wrong = failures, tried = restores;
	report();
	CHECK_INT(wrong, 0);
	CHECK(tried > 0);
}

TEST(golden_times)
{
	if (!find_golden())
		SKIP("no golden replicas here");
	each_case(try_times);
	int wrong = failures, tried = restores;
	report();
	CHECK_INT(wrong, 0);
	CHECK(tried > 0);
}

TEST_MAIN
