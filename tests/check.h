/* SPDX-License-Identifier: MIT
 *
 * A small unit-test harness. One test program is one .c file:
 *
 *     #include "tests/check.h"
 *     TEST(header_rejects_bad_magic) { CHECK_INT(decode("XXX"), -1); }
 *     TEST_MAIN
 *
 * A failed CHECK reports its place and values and leaves the test, so cleanup that must happen belongs before the
 * check. CHECKs work in the body of a TEST only; a helper returns a value and the test checks that. An argument
 * runs only the tests whose name contains it. The last line is "N passed, N failed[, N skipped]".
 */
#ifndef TESTS_CHECK_H
#define TESTS_CHECK_H

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

struct check_test {
	const char *name;
	void (*run)(void);
	struct check_test *next;
};

static struct check_test *check_first, **check_last = &check_first;
static const char *check_name; /* the running test */
static int check_failed, check_skipped; /* of the running test */

#define TEST(test)                                                                            \
	static void test_##test(void);                                                        \
	__attribute__((constructor)) static void check_add_##test(void)                       \
	{                                                                                     \
		static struct check_test self = {#test, test_##test, NULL};                   \
		*check_last = &self;                                                          \
		check_last = &self.next;                                                      \
	}                                                                                     \
	static void test_##test(void)

#define CHECK_FAIL(...)                                                                       \
	do {                                                                                  \
		printf("FAILED %s (%s:%d): ", check_name, __FILE__, __LINE__);                \
		printf(__VA_ARGS__);                                                          \
		putchar('\n');                                                                \
		check_failed = 1;                                                             \
		return;                                                                       \
	} while (0)

#define CHECK(expr)                                                                           \
	do {                                                                                  \
		if (!(expr))                                                                  \
			CHECK_FAIL("%s", #expr);                                              \
	} while (0)

/* Integers of any type up to 64 bits, compared by value: -1 never equals UINT64_MAX. The left one is what the
 * code gave, the right one what it should give. */
#define CHECK_INT(got, want)                                                                  \
	do {                                                                                  \
		struct check_int g_ = CHECK_NUM_(got), w_ = CHECK_NUM_(want);                 \
		char gt_[24], wt_[24];                                                        \
		if (g_.bits != w_.bits || g_.negative != w_.negative)                         \
			CHECK_FAIL("%s is %s, wanted %s", #got, check_text(g_, gt_),          \
			           check_text(w_, wt_));                                      \
	} while (0)

/* Text; NULL equals only NULL. */
#define CHECK_STR(got, want)                                                                  \
	do {                                                                                  \
		const char *g_ = (got), *w_ = (want);                                         \
		if (g_ == NULL || w_ == NULL ? g_ != w_ : strcmp(g_, w_) != 0)                \
			CHECK_FAIL("%s is \"%s\", wanted \"%s\"", #got, g_ ? g_ : "(null)",   \
			           w_ ? w_ : "(null)");                                       \
	} while (0)

/* Bytes; says which one differs first. */
#define CHECK_MEM(got, want, len)                                                             \
	do {                                                                                  \
		const unsigned char *g_ = (const void *)(got), *w_ = (const void *)(want);    \
		size_t n_ = (len), i_ = 0;                                                    \
		while (i_ < n_ && g_[i_] == w_[i_])                                           \
			i_++;                                                                 \
		if (i_ < n_)                                                                  \
			CHECK_FAIL("%s: byte %zu of %zu is %02x, wanted %02x", #got, i_, n_,  \
			           g_[i_], w_[i_]);                                           \
	} while (0)

/* A call that returns 0 or a negative code and fills a struct err, whose text is shown (see lib/base/err.h). */
#ifndef CHECK_ERR_TEXT
#define CHECK_ERR_TEXT(err) ((err)->text)
#endif
#define CHECK_OK(rc, err)                                                                     \
	do {                                                                                  \
		int rc_ = (rc);                                                               \
		if (rc_ != 0)                                                                 \
			CHECK_FAIL("%s gave %d: %s", #rc, rc_, CHECK_ERR_TEXT(err));          \
	} while (0)

#define SKIP(why)                                                                             \
	do {                                                                                  \
		printf("skipped %s: %s\n", check_name, why);                                  \
		check_skipped = 1;                                                            \
		return;                                                                       \
	} while (0)

struct check_int {
	uint64_t bits;
	int negative;
};

/* _Generic tells the signs apart without evaluating x twice and without a warning about unsigned x < 0. */
#define CHECK_NUM_(x) check_num((uint64_t)(x), _Generic((x), unsigned long: 0, unsigned long long: 0, default: 1))

__attribute__((unused)) static struct check_int check_num(uint64_t bits, int is_signed)
{
	return (struct check_int){bits, is_signed && (int64_t)bits < 0};
}

__attribute__((unused)) static const char *check_text(struct check_int v, char text[static 24])
{
	if (v.negative)
		snprintf(text, 24, "%" PRId64, (int64_t)v.bits);
	else
		snprintf(text, 24, "%" PRIu64, v.bits);
	return text;
}

/* Descriptors 0 to 2 are the first victims of one that was never set: 0 is what zeroed memory says. */
struct check_standard {
	struct stat file[3];
	int open[3];
};

__attribute__((unused)) static struct check_standard check_standard(void)
{
	struct check_standard s;

	memset(&s, 0, sizeof(s));
	for (int fd = 0; fd < 3; fd++)
		s.open[fd] = fstat(fd, &s.file[fd]) == 0;
	return s;
}

__attribute__((unused)) static void check_kept(const struct check_standard *before)
{
	struct check_standard now = check_standard();

	for (int fd = 0; fd < 3; fd++) {
		if (now.open[fd] == before->open[fd] && now.file[fd].st_dev == before->file[fd].st_dev &&
		    now.file[fd].st_ino == before->file[fd].st_ino)
			continue;
		printf("FAILED %s: descriptor %d is not what it was\n", check_name, fd);
		check_failed = 1;
	}
}

#define TEST_MAIN                                                                             \
	int main(int argc, char **argv)                                                       \
	{                                                                                     \
		return check_main(argc, argv);                                                \
	}

__attribute__((unused)) static int check_main(int argc, char **argv)
{
	const struct check_standard standard = check_standard();
	int passed = 0, failed = 0, skipped = 0;

	setvbuf(stdout, NULL, _IOLBF, 0); /* what was said before a crash must be seen */
	for (struct check_test *t = check_first; t; t = t->next) {
		if (argc > 1 && !strstr(t->name, argv[1]))
			continue;
		check_name = t->name;
		check_failed = check_skipped = 0;
		t->run();
		check_kept(&standard);
		if (check_failed)
			failed++;
		else if (check_skipped)
			skipped++;
		else
			passed++;
	}
	printf("%d passed, %d failed", passed, failed);
	if (skipped)
		printf(", %d skipped", skipped);
	putchar('\n');
	return failed != 0;
}

#endif
