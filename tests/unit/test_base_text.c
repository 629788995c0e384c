/* SPDX-License-Identifier: MIT */
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

#include "lib/base/text.h"
#include "tests/check.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static const int64_t SECOND = 1000000000, MINUTE = 60000000000, HOUR = 3600000000000;

TEST(durations_parse)
{
	const struct {
		const char *s;
		int64_t ns;
	} cases[] = {
		{ "0", 0 },
		{ "-0", 0 },
		{ "+0", 0 },
		{ "0s", 0 },
		{ "10s", 10 * SECOND },
		{ "+5s", 5 * SECOND },
		{ "-5s", -5 * SECOND },
		{ "1h30m", HOUR + 30 * MINUTE },
		{ "1.5s", 1500000000 },
		{ "1.s", SECOND },
		{ ".5s", 500000000 },
		{ "500ms", 500000000 },
		{ "11us", 11000 },
		{ "12\u00b5s", 12000 },
		{ "12\u03bcs", 12000 },
		{ "5h30m30.5s", 5 * HOUR + 30 * MINUTE + 30 * SECOND + 500000000 },
		{ "1s1h", HOUR + SECOND },
		{ "0.100000000000000000000h", 6 * MINUTE },
		{ "0.3333333333333333333h", 20 * MINUTE },
		{ "39h9m14.425s", 39 * HOUR + 9 * MINUTE + 14425000000 },
		{ "9223372036854775807ns", INT64_MAX },
		{ "9223372036.854775807s", INT64_MAX },
		{ "-9223372036854775808ns", INT64_MIN },
		{ "-2562047h47m16.854775808s", INT64_MIN },
		{ "9007199254.740993ms", 9007199254740993 },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct err e = ERR_INIT;
		int64_t ns = 1;

		CHECK_OK(text_parse_duration(cases[i].s, &ns, &e), &e);
		CHECK_INT(ns, cases[i].ns);
	}
}

TEST(durations_refuse)
{
	static const char *const bad[] = {
		"", "-", "+", "10", "1d", "s", ".s", ".", "1 s", " 1s", "1s ", "1S", "1e3s", "3.m.", "--1s", "1s-1s",
		"x", "0x1s", "1.2.3s", "\xff", "1\xff", "+.s",
	};
	static const char *const far[] = {
		"9223372036854775808ns", "-9223372036854775809ns", "2562048h", "99999999999999999999999s",
		"9223372036854775807ns1ns", "-2562047h47m16.854775809s", "18446744073709551616ns", "5124095h34m33.7s",
	};
	struct err e = ERR_INIT;
	int64_t ns;

	for (size_t i = 0; i < COUNT(bad); i++) {
		CHECK_INT(text_parse_duration(bad[i], &ns, &e), -1);
		CHECK_INT(e.code, ERR_INVALID);
		CHECK_STR(e.text, "parse error");
	}
	for (size_t i = 0; i < COUNT(far); i++) {
		CHECK_INT(text_parse_duration(far[i], &ns, &e), -1);
		CHECK_INT(e.code, ERR_LIMIT);
	}
}

TEST(durations_print)
{
	const struct {
		int64_t ns;
		const char *s;
	} cases[] = {
		{ 0, "0s" },
		{ 1, "1ns" },
		{ 999, "999ns" },
		{ 1100, "1.1\u00b5s" },
		{ 2200000, "2.2ms" },
		{ 3300000000, "3.3s" },
		{ 500000000, "500ms" },
		{ 1500000000, "1.5s" },
		{ 90 * SECOND, "1m30s" },
		{ HOUR, "1h0m0s" },
		{ HOUR + 30 * MINUTE, "1h30m0s" },
		{ HOUR + MINUTE + SECOND, "1h1m1s" },
		{ 5 * MINUTE + 1, "5m0.000000001s" },
		{ -10 * MINUTE, "-10m0s" },
		{ -1, "-1ns" },
		{ INT64_MAX, "2562047h47m16.854775807s" },
		{ INT64_MIN, "-2562047h47m16.854775808s" },
		{ 24 * HOUR, "24h0m0s" },
		{ 1000001000, "1.000001s" },
	};
	char out[TEXT_DURATION_SIZE];

	for (size_t i = 0; i < COUNT(cases); i++)
		CHECK_STR(text_duration(out, cases[i].ns), cases[i].s);
}

TEST(sizes_print)
{
	static const struct {
		uint64_t n;
		const char *s;
	} cases[] = {
		{ 0, "0 B" },
		{ 9, "9 B" },
		{ 10, "10 B" },
		{ 999, "999 B" },
		{ 1000, "1.0 kB" },
		{ 1049, "1.0 kB" },
		{ 1050, "1.1 kB" },
		{ 4152, "4.2 kB" },
		{ 9949, "9.9 kB" },
		{ 9950, "10 kB" },
		{ 10449, "10 kB" },
		{ 10500, "10 kB" },
		{ 11500, "12 kB" },
		{ 20600, "21 kB" },
		{ 32992, "33 kB" },
		{ 999949, "1000 kB" },
		{ 999999, "1000 kB" },
		{ 1000000, "1.0 MB" },
		{ 1000000000, "1.0 GB" },
		{ 82854982, "83 MB" },
		{ 5000000000000, "5.0 TB" },
		{ 5500000000000000, "5.5 PB" },
		{ UINT64_MAX, "18 EB" },
	};
	char out[TEXT_SIZE_SIZE];

	for (size_t i = 0; i < COUNT(cases); i++)
		CHECK_STR(text_size(out, cases[i].n), cases[i].s);
}

TEST(times_print)
{
	static const struct {
		int64_t ms;
		const char *text, *seconds, *trim;
	} cases[] = {
		{ 0, "1970-01-01T00:00:00.000Z", "1970-01-01T00:00:00Z", "1970-01-01T00:00:00Z" },
		{ 1700000000123, "2023-11-14T22:13:20.123Z", "2023-11-14T22:13:20Z", "2023-11-14T22:13:20.123Z" },
		{ 1700000000500, "2023-11-14T22:13:20.500Z", "2023-11-14T22:13:20Z", "2023-11-14T22:13:20.5Z" },
		{ 1770854400000, "2026-02-12T00:00:00.000Z", "2026-02-12T00:00:00Z", "2026-02-12T00:00:00Z" },
		{ 951782400010, "2000-02-29T00:00:00.010Z", "2000-02-29T00:00:00Z", "2000-02-29T00:00:00.01Z" },
		{ 4107542399999, "2100-02-28T23:59:59.999Z", "2100-02-28T23:59:59Z", "2100-02-28T23:59:59.999Z" },
		{ 4107542400000, "2100-03-01T00:00:00.000Z", "2100-03-01T00:00:00Z", "2100-03-01T00:00:00Z" },
		{ -1, "1969-12-31T23:59:59.999Z", "1969-12-31T23:59:59Z", "1969-12-31T23:59:59.999Z" },
		{ -62135596800000, "0001-01-01T00:00:00.000Z", "0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z" },
		{ 253402300799999, "9999-12-31T23:59:59.999Z", "9999-12-31T23:59:59Z", "9999-12-31T23:59:59.999Z" },
	};
	char out[TEXT_TIME_SIZE];

	for (size_t i = 0; i < COUNT(cases); i++) {
		CHECK_STR(text_time_ms(out, cases[i].ms), cases[i].text);
		CHECK_STR(text_time_s(out, cases[i].ms), cases[i].seconds);
		CHECK_STR(text_time_trim(out, cases[i].ms), cases[i].trim);
	}
	/* Any number that a corrupt file may hold must fit. */
	CHECK(strlen(text_time_ms(out, INT64_MAX)) < TEXT_TIME_SIZE);
	CHECK(strlen(text_time_ms(out, INT64_MIN)) < TEXT_TIME_SIZE);
	CHECK(strlen(text_time_local(out, INT64_MIN)) < TEXT_TIME_SIZE);
}

TEST(times_print_in_the_local_zone)
{
	char out[TEXT_TIME_SIZE], *was = getenv("TZ"), *saved = was ? strdup(was) : NULL;
	char got[4][TEXT_TIME_SIZE];
	static const char *const zones[] = { "UTC0", "CET-1", "NST3:30", "XXX-5:45" };

	for (int i = 0; i < 4; i++) {
		setenv("TZ", zones[i], 1);
		tzset();
		strcpy(got[i], text_time_local(out, 1770854400007));
	}
	if (saved)
		setenv("TZ", saved, 1);
	else
		unsetenv("TZ");
	tzset();
	free(saved);
	CHECK_STR(got[0], "2026-02-12T00:00:00.007Z");
	CHECK_STR(got[1], "2026-02-12T01:00:00.007+01:00");
	CHECK_STR(got[2], "2026-02-11T20:30:00.007-03:30");
	CHECK_STR(got[3], "2026-02-12T05:45:00.007+05:45");
}

TEST(times_parse)
{
	static const struct {
		const char *s;
		int64_t ns;
	} cases[] = {
		{ "1970-01-01T00:00:00Z", 0 },
		{ "2023-11-14T22:13:20Z", 1700000000000000000 },
		{ "2023-11-14T22:13:20.123Z", 1700000000123000000 },
		{ "2023-11-14T22:13:20.123456789Z", 1700000000123456789 },
		{ "2023-11-14T22:13:20.1234567899999Z", 1700000000123456789 },
		{ "2023-11-14T23:13:20+01:00", 1700000000000000000 },
		{ "2023-11-14T18:43:20.5-03:30", 1700000000500000000 },
		{ "2000-02-29T00:00:00Z", 951782400000000000 },
		{ "1969-12-31T23:59:59.999999999Z", -1 },
		{ "2262-04-11T23:47:16.854775807Z", INT64_MAX },
		{ "2262-04-11T23:47:16.854775808Z", INT64_MAX },
		{ "9999-12-31T23:59:59Z", INT64_MAX },
		{ "0000-01-01T00:00:00Z", INT64_MIN },
		{ "1600-02-29T00:00:00Z", INT64_MIN },
	};
	static const char *const bad[] = {
		"", "x", "2023-11-14", "2023-11-14T22:13:20", "2023-11-14 22:13:20Z", "2023-11-14T22:13:20z",
		"2023-11-14t22:13:20Z", "2023-13-14T22:13:20Z",
		"2023-00-14T22:13:20Z", "2023-11-31T22:13:20Z", "2023-11-00T22:13:20Z",
		"2023-02-29T00:00:00Z", "2100-02-29T00:00:00Z", "2023-04-31T00:00:00Z", "2023-11-14T24:13:20Z",
		"2023-11-14T22:60:20Z", "2023-11-14T22:13:60Z", "2023-11-14T22:13:20.Z", "2023-11-14T22:13:20Z ",
		"2023-11-14T22:13:20+0100", "2023-11-14T22:13:20+01", "2023-11-14T22:13:20+24:00",
		"2023-11-14T22:13:20+01:60",
		"2023-11-14T22:13:20+01:00x", "23-11-14T22:13:20Z", "2023-1-14T22:13:20Z", "+023-11-14T22:13:20Z",
		"2023-11-14T22:13:20.-1Z", "2023-11-14T22:13Z",
	};
	struct err e = ERR_INIT;
	int64_t ns = 7;

	for (size_t i = 0; i < COUNT(cases); i++) {
		CHECK_OK(text_parse_time(cases[i].s, &ns, &e), &e);
		CHECK_INT(ns, cases[i].ns);
	}
	for (size_t i = 0; i < COUNT(bad); i++) {
		if (text_parse_time(bad[i], &ns, &e) == 0)
			CHECK_STR(bad[i], "refused");
		CHECK_INT(e.code, ERR_INVALID);
	}
}

TEST(times_survive_a_round_trip)
{
	char out[TEXT_TIME_SIZE];
	struct err e = ERR_INIT;
	int wrong = 0;

	/* A step that visits every day of the year and every hour over four hundred years. */
	for (int64_t ms = -8000000000000; ms < 8000000000000; ms += 86400000 * 3 + 3661001) {
		int64_t ns = 0;

		wrong += text_parse_time(text_time_ms(out, ms), &ns, &e) != 0 || ns != ms * 1000000;
	}
	CHECK_INT(wrong, 0);
}

TEST(txids)
{
	char out[TEXT_TXID_SIZE];
	uint64_t v = 7;

	CHECK_STR(text_txid(out, 1), "0000000000000001");
	CHECK_STR(text_txid(out, 0xfedcba9876543210), "fedcba9876543210");
	CHECK(text_parse_txid("fedcba9876543210", &v));
	CHECK_INT(v, 0xfedcba9876543210);
	CHECK(text_parse_txid("00000000000000Ff", &v));
	CHECK_INT(v, 255);
	CHECK(!text_parse_txid("", &v));
	CHECK(!text_parse_txid("ff", &v));
	CHECK(!text_parse_txid("000000000000000", &v));
	CHECK(!text_parse_txid("00000000000000000", &v));
	CHECK(!text_parse_txid("000000000000000g", &v));
	CHECK(!text_parse_txid("0x00000000000001", &v));
	CHECK(!text_parse_txid("000000000000_001", &v));
	CHECK(!text_parse_txid("+000000000000001", &v));
	CHECK_INT(v, 255);
}

TEST(ints)
{
	static const struct {
		const char *s;
		int64_t v;
	} good[] = {
		{ "0", 0 },
		{ "-0", 0 },
		{ "+7", 7 },
		{ "10", 10 },
		{ "0x1F", 31 },
		{ "0XfF", 255 },
		{ "-0x10", -16 },
		{ "0o17", 15 },
		{ "0O17", 15 },
		{ "017", 15 },
		{ "0b101", 5 },
		{ "0B1", 1 },
		{ "1_000", 1000 },
		{ "0x_1", 1 },
		{ "0_7", 7 },
		{ "00", 0 },
		{ "0b_1_0", 2 },
		{ "9223372036854775807", INT64_MAX },
		{ "-9223372036854775808", INT64_MIN },
		{ "0x7fffffffffffffff", INT64_MAX },
	};
	static const char *const bad[] = {
		"", "-", "+", "abc", "1.5", "1e3", " 1", "1 ", "08", "0x", "0b", "0o", "0b2", "0o8", "_1", "1_", "1__0",
		"0x1_", "0_", "--1", "0xg", "99999999999999999z", "_",
	};
	static const char *const far[] = {
		"9223372036854775808", "-9223372036854775809", "18446744073709551616", "0xffffffffffffffff",
		"99999999999999999999z",
	};
	struct err e = ERR_INIT;
	int64_t v = 0;

	for (size_t i = 0; i < COUNT(good); i++) {
		CHECK_OK(text_parse_int(good[i].s, &v, &e), &e);
		CHECK_INT(v, good[i].v);
	}
	for (size_t i = 0; i < COUNT(bad); i++) {
		CHECK_INT(text_parse_int(bad[i], &v, &e), -1);
		CHECK_INT(e.code, ERR_INVALID);
		CHECK_STR(e.text, "parse error");
	}
	for (size_t i = 0; i < COUNT(far); i++) {
		CHECK_INT(text_parse_int(far[i], &v, &e), -1);
		CHECK_INT(e.code, ERR_LIMIT);
		CHECK_STR(e.text, "value out of range");
	}
}

TEST(bools)
{
	static const char *const yes[] = { "1", "t", "T", "TRUE", "true", "True" };
	static const char *const no[] = { "0", "f", "F", "FALSE", "false", "False" };
	static const char *const bad[] = { "", "maybe", "yes", "tRUE", "trueX", "10", "FALSEX" };
	bool v;

	for (size_t i = 0; i < COUNT(yes); i++) {
		v = false;
		CHECK(text_parse_bool(yes[i], &v) && v);
		v = true;
		CHECK(text_parse_bool(no[i], &v) && !v);
	}
	for (size_t i = 0; i < COUNT(bad); i++)
		CHECK(!text_parse_bool(bad[i], &v));
}

TEST(quotes)
{
	char out[64], small[6];

	CHECK_STR(text_quote(out, sizeof(out), "plain"), "\"plain\"");
	CHECK_STR(text_quote(out, sizeof(out), ""), "\"\"");
	CHECK_STR(text_quote(out, sizeof(out), "\a\b\f\n\r\t\v\"\\"), "\"\\a\\b\\f\\n\\r\\t\\v\\\"\\\\\"");
	CHECK_STR(text_quote(out, sizeof(out), "\x01\x1b\x7f"), "\"\\x01\\x1b\\x7f\"");
	CHECK_STR(text_quote(out, sizeof(out), "\u00e9\u2026\u00a0\u200b\ufeff"),
		  "\"\u00e9\u2026\\u00a0\\u200b\\ufeff\"");
	CHECK_STR(text_quote(out, sizeof(out), "\U0001f600\U000e0001"), "\"\U0001f600\\U000e0001\"");
	CHECK_STR(text_quote(out, sizeof(out), "a\xff\xe2\x82"), "\"a\\xff\\xe2\\x82\"");
	CHECK_STR(text_quote(small, sizeof(small), "abc"), "\"abc\"");
	CHECK_STR(text_quote(small, sizeof(small), "abcd"), "\"abcd");
	CHECK_STR(text_quote(small, sizeof(small), "abc\u20ac"), "\"abc");
	CHECK_STR(text_quote(small, sizeof(small), "abc\n\n"), "\"abc");
	CHECK_STR(text_quote(small, 2, "abc"), "\"");
	CHECK_STR(text_quote(small, 1, "abc"), "");
}

TEST(paths_clean)
{
	static const char *const cases[][2] = {
		{ "", "." },          { ".", "." },           { "/", "/" },           { "//", "/" },
		{ "a", "a" },         { "a/", "a" },          { "/a//b/./c/", "/a/b/c" }, { "a/..", "." },
		{ "/..", "/" },       { "/../a", "/a" },      { "../a", "../a" },     { "../../a/../b", "../../b" },
		{ "a/../../b", "../b" }, { "a/b/../c", "a/c" }, { "./a", "a" },       { "a/./..", "." },
		{ "...", "..." },     { "/a/..b/.c", "/a/..b/.c" }, { "a/b/../../..", ".." }, { "/a/b/../..", "/" },
		{ "..", ".." },       { "file:///x.db", "file:/x.db" },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		char *got = text_path_clean(cases[i][0]), copy[64];

		CHECK(got != NULL);
		snprintf(copy, sizeof(copy), "%s", got);
		free(got);
		CHECK_STR(copy, cases[i][1]);
	}
}

TEST(paths_expand)
{
	static const char *const cases[][2] = {
		{ "sqlite3:///a/x.db", "/a/x.db" },
		{ "sqlite://rel/x.db", "/cwd/rel/x.db" },
		{ "sqlite://sqlite://x", "/cwd/sqlite:/x" },
		{ "~", "/home/me" },
		{ "~/x.db", "/home/me/x.db" },
		{ "~/", "/home/me" },
		{ "sqlite3://~/x.db", "/home/me/x.db" },
		{ "~nobody/x.db", "/cwd/~nobody/x.db" },
		{ "file:///x.db", "/cwd/file:/x.db" },
		{ "/data//app.db", "/data/app.db" },
		{ "../app.db", "/app.db" },
		{ "", "/cwd" },
	};
	struct err e = ERR_INIT;
	char *got = NULL;

	for (size_t i = 0; i < COUNT(cases); i++) {
		char copy[64];

		CHECK_OK(text_path_expand(cases[i][0], "/cwd", "/home/me/", &got, &e), &e);
		snprintf(copy, sizeof(copy), "%s", got);
		free(got);
		CHECK_STR(copy, cases[i][1]);
	}
	CHECK_INT(text_path_expand("~/x.db", "/cwd", NULL, &got, &e), -1);
	CHECK_STR(e.text, "cannot expand path ~/x.db, no home directory available");
	CHECK_INT(text_path_expand("~", "/cwd", "", &got, &e), -1);
	CHECK_INT(text_path_expand("x.db", NULL, "/h", &got, &e), -1);
	CHECK_STR(e.text, "cannot expand path x.db, no working directory available");
}

/* Takes the malloc'ed text away, so that the test need not free. */
static const char *hold(char *s)
{
	static char kept[64];

	snprintf(kept, sizeof(kept), "%s", s ? s : "(null)");
	free(s);
	return kept;
}

TEST(real_numbers)
{
	static const char *const good[] = {
		"0", "-0", "1", "+1.5", ".5", "5.", "1e3", "1E-3", "-2.50e+2", "0.1", "3.14159", "123456789012345", "9.75e22", "1e-22",
		"007.250", "0.000001", "1024.75", "0e999", "00000000000000000000000000000.5",
	};
	static const char *const bad[] = { "", ".", "-", "+.", "e5", ".e5", "1e", "1e+", "1.2.3", "1 ", " 1", "1_0", "0x1", "inf", "nan",
		                           "--1", "1,5", "1e5.0" };
	static const char *const near[] = { "1.7976931348623157e308", "2.2250738585072014e-308", "123456789012345678901234567890",
		                            "0.12345678901234567890123", "1e100", "6.02214076e23" };
	double v;

	for (size_t i = 0; i < COUNT(good); i++) {
		CHECK(text_parse_real(good[i], &v));
		CHECK(v == strtod(good[i], NULL));
	}
	for (size_t i = 0; i < COUNT(bad); i++)
		CHECK(!text_parse_real(bad[i], &v));
	for (size_t i = 0; i < COUNT(near); i++) {
		double exact = strtod(near[i], NULL);

		CHECK(text_parse_real(near[i], &v));
		CHECK(v >= exact * (1 - 1e-13) && v <= exact * (1 + 1e-13));
	}
	CHECK(text_parse_real("1e400", &v) && v > 1e308);
	CHECK(text_parse_real("1e-99999999999999999999", &v) && v == 0);
}

TEST(paths_in_parts)
{
	CHECK_STR(text_path_base("/a/b.db"), "b.db");
	CHECK_STR(text_path_base("b.db"), "b.db");
	CHECK_STR(text_path_base("/a/"), "");
	CHECK_STR(hold(text_path_dir("/a/b.db")), "/a");
	CHECK_STR(hold(text_path_dir("/b.db")), "/");
	CHECK_STR(hold(text_path_dir("b.db")), ".");
	CHECK_STR(hold(text_path_dir("a//b")), "a");
	CHECK_STR(hold(text_path_dir("//b")), "/");
	CHECK_STR(hold(text_path_join("a", "b")), "a/b");
	CHECK_STR(hold(text_path_join("a/", "/b")), "a/b");
	CHECK_STR(hold(text_path_join("/", "b")), "/b");
	CHECK_STR(hold(text_path_join("//", "//b/")), "/b/");
	CHECK_STR(hold(text_path_join("", "b")), "b");
	CHECK_STR(hold(text_path_join("a", "")), "a");
}

TEST_MAIN
