/* SPDX-License-Identifier: MIT */
/* main.c - which histories, how many at once, and the count. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/log.h"
#include "lib/os/file.h"
#include "lib/os/fault.h"
#include "tests/model/model.h"

enum { CI_COUNT = 2000, CI_PROCESSES = 2, BUCKET_EVERY = 40 /* so many seeds, one has its replicas in a bucket */ };

static struct {
	uint64_t from, count;
	int seconds; /* 0 = by count */
	bool trace, stats, bucket;
	const char *dir;
} opt = { .from = 1, .count = 100 };

static int usage(void)
{
	fputs("model --ci | --seed N | --from N --count N | --random SECONDS [--from N]   [--bucket] [--stats] [--dir DIR]\n", stderr);
	return 2;
}

static bool parse(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		const char *value = i + 1 < argc ? argv[i + 1] : NULL;

		if (!strcmp(argv[i], "--ci")) {
			opt.count = CI_COUNT;
			continue;
		}
		if (!strcmp(argv[i], "--stats")) {
			opt.stats = true;
			continue;
		}
		if (!strcmp(argv[i], "--bucket")) {
			opt.bucket = true;
			continue;
		}
		if (!value)
			return false;
		i++;
		if (!strcmp(argv[i - 1], "--seed")) {
			opt.from = strtoull(value, NULL, 10);
			opt.count = 1;
			opt.trace = true;
		} else if (!strcmp(argv[i - 1], "--from")) {
			opt.from = strtoull(value, NULL, 10);
		} else if (!strcmp(argv[i - 1], "--count")) {
			opt.count = strtoull(value, NULL, 10);
		} else if (!strcmp(argv[i - 1], "--random")) {
			opt.seconds = atoi(value);
			opt.from = (uint64_t)time(NULL) * 1000 % 1000000007;
		} else if (!strcmp(argv[i - 1], "--dir")) {
			opt.dir = value;
		} else {
			return false;
		}
	}
	return true;
}

struct tally {
	uint64_t passed, failed;
	struct stats stats;
};

static void add_stats(struct stats *sum, const struct stats *s)
{
	uint64_t *to = (uint64_t *)(void *)sum;
	const uint64_t *from = (const uint64_t *)(const void *)s;

	for (size_t i = 0; i < sizeof(*s) / sizeof(*to); i++)
		to[i] += from[i];
}

static void one(uint64_t seed, const char *dir, uint8_t *shared, struct bucket *bucket, struct tally *t)
{
	struct model m = { .seed = seed, .trace = opt.trace, .dir = dir, .shared = shared };
	bool ok;

	if (opt.bucket || seed % BUCKET_EVERY == 0)
		m.bucket = bucket;
	ok = history_run(&m);

	add_stats(&t->stats, &m.stats);
	if (ok) {
		t->passed++;
		return;
	}
	t->failed++;
	printf("FAILED seed %llu: %s\n  again: build/test/model --seed %llu%s\n", (unsigned long long)seed, m.why,
	       (unsigned long long)seed, opt.bucket ? " --bucket" : "");
	fflush(stdout);
}

/* Every step-th seed from the first-th on. */
static void some(uint64_t first, uint64_t step, const char *base, struct tally *t)
{
	uint8_t *shared = mmap(NULL, IMAGE_MAX, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct bucket *bucket = mmap(NULL, sizeof(*bucket), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	time_t end = time(NULL) + opt.seconds;
	char dir[256];

	if (shared == MAP_FAILED || bucket == MAP_FAILED)
		abort();
	snprintf(dir, sizeof(dir), "%s/%llu", base, (unsigned long long)first);
	for (uint64_t i = first; opt.seconds ? time(NULL) < end : i < opt.count; i += step)
		one(opt.from + i, dir, shared, bucket, t);
	munmap(shared, IMAGE_MAX);
	munmap(bucket, sizeof(*bucket));
}

static void tell_stats(const struct stats *s)
{
	printf("%llu syncs, %llu files (%llu full copies), %llu restarts, %llu pauses, %llu kills, %llu faults, %llu uploads, "
	       "%llu resets, %llu comparisons, %llu restores, %llu rests, %llu wakings, %llu steps of the levels, "
	       "%llu requests that went wrong\n",
	       (unsigned long long)s->syncs, (unsigned long long)s->files, (unsigned long long)s->copies,
	       (unsigned long long)s->restarts, (unsigned long long)s->pauses, (unsigned long long)s->kills,
	       (unsigned long long)s->faults, (unsigned long long)s->uploads, (unsigned long long)s->resets,
	       (unsigned long long)s->checks, (unsigned long long)s->restores, (unsigned long long)s->rests,
	       (unsigned long long)s->wakes, (unsigned long long)s->levels, (unsigned long long)s->wrong_requests);
}

int main(int argc, char **argv)
{
	struct tally *tallies, sum = { 0 };
	char dir[200];
	int n;

	if (!parse(argc, argv))
		return usage();
	log_set_fd(-1);
	/* Memory, where there is some: the model waits for no disk. */
	if (!opt.dir)
		opt.dir = getenv("TMPDIR") ? getenv("TMPDIR") : access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm";
	snprintf(dir, sizeof(dir), "%s/rivulet-model-XXXXXX", opt.dir);
	if (!mkdtemp(dir)) {
		perror(dir);
		return 1;
	}
	n = opt.trace || sysconf(_SC_NPROCESSORS_ONLN) < 2 ? 1 : CI_PROCESSES;
	tallies = mmap(NULL, sizeof(*tallies) * CI_PROCESSES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	for (int i = 0; i < n; i++) {
		fflush(stdout);
		if (n == 1 || fork() == 0) {
			some((uint64_t)i, (uint64_t)n, dir, &tallies[i]);
			fflush(stdout);
			if (n > 1)
				_exit(0);
		}
	}
	while (n > 1 && wait(NULL) > 0)
		;
	for (int i = 0; i < n; i++) {
		sum.passed += tallies[i].passed;
		sum.failed += tallies[i].failed;
		add_stats(&sum.stats, &tallies[i].stats);
	}
	os_dir_remove_all(dir, NULL);
	if (opt.stats || opt.trace)
		tell_stats(&sum.stats);
	if (!opt.seconds && sum.passed + sum.failed < opt.count)
		sum.failed += opt.count - sum.passed - sum.failed; /* a process of ours died */
	printf("%llu passed, %llu failed\n", (unsigned long long)sum.passed, (unsigned long long)sum.failed);
	return sum.failed != 0;
}
