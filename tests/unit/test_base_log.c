/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/log.h"
#include "lib/os/fault.h"
#include "tests/check.h"

/* The log's own file in memory, and what it holds. */
static int fd = -1;
static char got[3 * LOG_LINE_MAX];

static void begin(enum log_form form, enum log_level level)
{
	setenv("TZ", "UTC0", 1);
	tzset();
	os_fault_clock(1770854400000 + 15 * 3600000 + 4 * 60000 + 5006, 1);
	if (fd < 0)
		fd = memfd_create("log", 0);
	/* A memfd does not lock its offset; appending is atomic. */
	if (fcntl(fd, F_SETFL, O_APPEND) || ftruncate(fd, 0) || lseek(fd, 0, SEEK_SET))
		abort();
	log_set_fd(fd);
	log_set_form(form);
	log_set_level(level);
}

static const char *end(void)
{
	ssize_t n = pread(fd, got, sizeof(got) - 1, 0);

	log_set_fd(-1);
	os_fault_clock(0, 0);
	got[n < 0 ? 0 : n] = 0;
	return got;
}

TEST(text_form)
{
	begin(LOG_TEXT, LOG_INFO);
	log_info("initialized db", LS("path", "/data/app.db"));
	log_warn("x");
	log_info("ltx file uploaded", LS("db", "app.db"), LI("level", 0), LX("minTXID", 1), LX("maxTXID", 255),
		 LU("size", UINT64_MAX));
	log_error("", LD("took", 1500000000), LB("chkpt", true), LB("snap", false), LI("n", -5), LS("error", NULL));
	CHECK_STR(end(), "time=2026-02-12T15:04:05.006Z level=INFO msg=\"initialized db\" path=/data/app.db\n"
			 "time=2026-02-12T15:04:05.006Z level=WARN msg=x\n"
			 "time=2026-02-12T15:04:05.006Z level=INFO msg=\"ltx file uploaded\" db=app.db level=0 "
			 "minTXID=0000000000000001 maxTXID=00000000000000ff size=18446744073709551615\n"
			 "time=2026-02-12T15:04:05.006Z level=ERROR msg=\"\" took=1.5s chkpt=true snap=false n=-5 "
			 "error=\"\"\n");
}

TEST(text_quoting)
{
	static const char *const cases[][2] = {
		{ "plain/a:b,c", "plain/a:b,c" },
		{ "back\\slash", "back\\slash" },
		{ "del\x7f", "del\x7f" },
		{ "\u00e9\u20ac", "\u00e9\u20ac" },
		{ "a b", "\"a b\"" },
		{ "a=b", "\"a=b\"" },
		{ "say \"x\"", "\"say \\\"x\\\"\"" },
		{ "a\nlevel=ERROR", "\"a\\nlevel=ERROR\"" },
		{ "\x1b[0m", "\"\\x1b[0m\"" },
		{ "\xff", "\"\\xff\"" },
		{ "\u2028", "\"\\u2028\"" },
		{ "\u00a0", "\"\\u00a0\"" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char want[200];

		begin(LOG_TEXT, LOG_INFO);
		log_info("m", LS("k.v", cases[i][0]));
		snprintf(want, sizeof(want), "time=2026-02-12T15:04:05.006Z level=INFO msg=m k.v=%s\n", cases[i][1]);
		CHECK_STR(end(), want);
	}
}

TEST(json_form)
{
	begin(LOG_JSON, LOG_TRACE);
	log_trace("a \"b\"\n<", LS("path", "/x y"), LX("txid", 10), LD("took", 1500000000), LB("ok", true),
		  LI("n", -1));
	log_debug("m");
	CHECK_STR(end(), "{\"time\":\"2026-02-12T15:04:05.006Z\",\"level\":\"TRACE\","
			 "\"msg\":\"a \\\"b\\\"\\n\\u003c\",\"path\":\"/x y\","
			 "\"txid\":\"000000000000000a\",\"took\":1500000000,\"ok\":true,\"n\":-1}\n"
			 "{\"time\":\"2026-02-12T15:04:05.006Z\",\"level\":\"DEBUG\",\"msg\":\"m\"}\n");
}

TEST(json_groups)
{
	begin(LOG_JSON, LOG_INFO);
	log_info("m", LS("db", "a"), LX("txid.min", 1), LX("txid.max", 2), LI("size", 3));
	log_info("m", LI("a.b.c", 1), LI("a.b.d", 2), LI("a.e", 3), LI("f.g", 4), LI("fg", 5));
	log_info("m", LI("ab.c", 1), LI("a.c", 2), LI("a", 3));
	CHECK_STR(strstr(end(), ",\"db\""),
		  ",\"db\":\"a\",\"txid\":{\"min\":\"0000000000000001\",\"max\":\"0000000000000002\"},\"size\":3}\n"
		  "{\"time\":\"2026-02-12T15:04:05.006Z\",\"level\":\"INFO\",\"msg\":\"m\","
		  "\"a\":{\"b\":{\"c\":1,\"d\":2},\"e\":3},"
		  "\"f\":{\"g\":4},\"fg\":5}\n"
		  "{\"time\":\"2026-02-12T15:04:05.006Z\",\"level\":\"INFO\",\"msg\":\"m\","
		  "\"ab\":{\"c\":1},\"a\":{\"c\":2},\"a\":3}\n");
}

TEST(pretty_form)
{
	begin(LOG_PRETTY, LOG_TRACE);
	log_info("initialized db", LS("path", "/data/app.db"));
	log_trace("t");
	log_debug("d", LS("k", "a b"));
	log_warn("w");
	log_error("two\nlines", LX("txid.min", 1));
	CHECK_STR(end(), "15:04:05 INF initialized db path=/data/app.db\n"
			 "15:04:05 TRC t\n"
			 "15:04:05 DBG d k=\"a b\"\n"
			 "15:04:05 WRN w\n"
			 "15:04:05 ERR \"two\\nlines\" txid.min=0000000000000001\n");
}

TEST(levels_filter)
{
	begin(LOG_PRETTY, LOG_WARN);
	log_info("no");
	log_warn("yes");
	log_set_level(LOG_ERROR);
	log_warn("no");
	log_error("yes");
	CHECK_INT(log_get_level(), LOG_ERROR);
	CHECK_STR(end(), "15:04:05 WRN yes\n15:04:05 ERR yes\n");
}

TEST(level_words)
{
	enum log_level level = LOG_ERROR;

	CHECK(log_parse_level("trace", &level));
	CHECK_INT(level, LOG_TRACE);
	CHECK(log_parse_level("DEBUG", &level));
	CHECK_INT(level, LOG_DEBUG);
	CHECK(log_parse_level("Warn", &level));
	CHECK_INT(level, LOG_WARN);
	CHECK(log_parse_level("info", &level));
	CHECK_INT(level, LOG_INFO);
	CHECK(log_parse_level("WARNING", &level));
	CHECK_INT(level, LOG_WARN);
	CHECK(log_parse_level("error", &level));
	CHECK_INT(level, LOG_ERROR);
	CHECK(!log_parse_level("loud", &level));
	CHECK_INT(level, LOG_INFO);
	CHECK(!log_parse_level("", &level));
}

/* n characters of the form "€€€…" or "xxx…". */
static char *long_text(size_t n, const char *unit)
{
	static char text[3 * LOG_LINE_MAX];
	size_t len = 0, step = strlen(unit);

	while (len + step <= n)
		len += (size_t)sprintf(text + len, "%s", unit);
	text[len] = 0;
	return text;
}

TEST(long_text_lines_are_cut)
{
	static const char *const units[] = { "x", "\u20ac", "\n", "\xff" };

	for (size_t i = 0; i < 4; i++) {
		begin(LOG_TEXT, LOG_INFO);
		log_info("m", LS("k", long_text(9000, units[i])), LI("lost", 1));
		end();
		size_t n = strlen(got);

		CHECK(n <= LOG_LINE_MAX && n > LOG_LINE_MAX - 60);
		CHECK_STR(got + n - 4, "…\n");
		CHECK_INT(strchr(got, '\n') - got, n - 1);
		CHECK(!strstr(got, "lost"));
	}
}

/* Is this one complete JSON object with valid strings? Enough of a check for what a cut could break. */
static int json_balance(const char *s)
{
	int depth = 0;
	bool in_string = false;

	for (; *s && *s != '\n'; s++) {
		if (in_string && *s == '\\')
			s++;
		else if (*s == '"')
			in_string = !in_string;
		else if (!in_string)
			depth += (*s == '{') - (*s == '}');
		if (depth == 0 && !in_string && s[1] != '\n')
			return -1;
	}
	return in_string ? -1 : depth;
}

TEST(long_json_lines_keep_their_form)
{
	static const char *const units[] = { "x", "\u20ac", "\n", "\xff" };

	/* All lengths around the edge, so that the cut falls on keys, values and braces in turn. */
	for (size_t n = LOG_LINE_MAX - 400; n < LOG_LINE_MAX + 100; n++) {
		for (size_t i = 0; i < 4; i++) {
			size_t step = i == 0 ? 1 : i == 1 ? 1 : i == 2 ? 2 : 6;

			begin(LOG_JSON, LOG_INFO);
			log_info("m", LI("a.b.n", 1), LS("a.b.k", long_text(n / step, units[i])), LX("a.t.txid", 5),
				 LI("x.y", -77), LS("z", "end"));
			end();
			CHECK_INT(json_balance(got), 0);
			CHECK(strlen(got) <= LOG_LINE_MAX);
			bool cut = !strstr(got, "\"z\":\"end\"");
			CHECK_INT(strstr(got, "\"truncated\":true}\n") != NULL, cut);
		}
	}
	begin(LOG_JSON, LOG_INFO);
	log_info(long_text(9000, "x"), LI("a.b", 1));
	end();
	CHECK_INT(json_balance(got), 0);
	CHECK(strstr(got, "…\",\"truncated\":true}\n"));
	begin(LOG_JSON, LOG_INFO);
	log_info("m", LS("a.b.c.d.e.f.g.h.i.j", long_text(9000, "x")));
	end();
	CHECK_INT(json_balance(got), 0);
	CHECK(strstr(got, "\"h\":{\"i.j\":\"xxx"));
}

TEST(errno_is_kept_and_a_bad_descriptor_is_harmless)
{
	begin(LOG_TEXT, LOG_INFO);
	log_set_fd(1 << 20);
	errno = EXDEV;
	log_info("m");
	int after = errno;
	log_set_fd(-1);
	log_info("m");
	CHECK_INT(after, EXDEV);
	log_set_fd(fd);
	CHECK_STR(end(), "");
}

enum { THREADS = 4, LINES = 200 };

static void *log_many(void *arg)
{
	char text[300];

	memset(text, 'a' + (int)(intptr_t)arg, sizeof(text));
	text[sizeof(text) - 1] = 0;
	for (int i = 0; i < LINES; i++)
		log_info(text, LI("n", i));
	return NULL;
}

TEST(lines_of_threads_do_not_mix)
{
	static char all[THREADS * LINES * 400];
	pthread_t t[THREADS];
	int whole = 0;

	begin(LOG_PRETTY, LOG_INFO);
	for (intptr_t i = 0; i < THREADS; i++)
		if (pthread_create(&t[i], NULL, log_many, (void *)i))
			abort();
	for (int i = 0; i < THREADS; i++)
		pthread_join(t[i], NULL);
	log_set_fd(-1);
	os_fault_clock(0, 0);
	ssize_t n = pread(fd, all, sizeof(all) - 1, 0);

	all[n < 0 ? 0 : n] = 0;
	for (char *line = strtok(all, "\n"); line; line = strtok(NULL, "\n"))
		whole += strncmp(line, "15:04:05 INF ", 13) == 0 && strspn(line + 13, (char[]){ line[13], 0 }) == 299 &&
			 strncmp(line + 13 + 299, " n=", 3) == 0;
	CHECK_INT(whole, THREADS * LINES);
}

TEST(source)
{
	char want[400];
	int line;

	begin(LOG_TEXT, LOG_INFO);
	log_set_source(true);
	log_info("m", LS("k", "v")); line = __LINE__;
	log_set_form(LOG_JSON);
	log_warn("m", LS("k", "v"));
	log_set_form(LOG_PRETTY);
	log_error("m", LS("k", "v"));
	log_set_source(false);
	log_error("m");
	end();
	snprintf(want, sizeof(want),
	         "time=2026-02-12T15:04:05.006Z level=INFO source=tests/unit/test_base_log.c:%d msg=m k=v\n"
	         "{\"time\":\"2026-02-12T15:04:05.006Z\",\"level\":\"WARN\",\"source\":{\"file\":"
	         "\"tests/unit/test_base_log.c\",\"line\":%d},\"msg\":\"m\",\"k\":\"v\"}\n"
	         "15:04:05 ERR tests/unit/test_base_log.c:%d m k=v\n15:04:05 ERR m\n", line, line + 2, line + 4);
	CHECK_STR(got, want);
}

TEST_MAIN
