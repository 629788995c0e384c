/* SPDX-License-Identifier: MIT */
/* The grammar of control.md §3.2: what is parsed, what is left over, and every message. */
#include <stdbool.h>
#include <stdint.h>

#include "applets/flags.h"
#include "applets/output.h"
#include "applets/progress.h"
#include "tests/check.h"

enum { WORDS_MAX = 8 };

static struct values {
	bool json;
	const char *socket;
	int64_t timeout;
	int64_t interval;
	uint64_t txid;
	int level;
} v;

static int set_level(void *value, const char *text, struct err *e)
{
	if (text[0] < '0' || text[0] > '9' || text[1] != '\0')
		return err_set(e, ERR_INVALID, "not a level");
	*(int *)value = text[0] - '0';
	return 0;
}

static const struct flag flags[] = {
	{ "json", FLAG_BOOL, &v.json, NULL },
	{ "socket", FLAG_TEXT, &v.socket, NULL },
	{ "timeout", FLAG_INT, &v.timeout, NULL },
	{ "follow-interval", FLAG_DURATION, &v.interval, NULL },
	{ "txid", FLAG_TXID, &v.txid, NULL },
	{ "level", FLAG_OTHER, &v.level, set_level },
	{ .type = FLAG_END },
};

static struct err e;
static int first;

static enum flags_result parse(const char *const *words)
{
	static char text[WORDS_MAX][300];
	static char *argv[WORDS_MAX + 2];
	int argc = 1;

	argv[0] = text[0];
	for (int i = 0; words[i] != NULL; i++) {
		strcpy(text[i], words[i]);
		argv[argc++] = text[i];
	}
	argv[argc] = NULL;
	v = (struct values){ .socket = "default", .timeout = 30 };
	err_clear(&e);
	first = -1;
	return flags_parse(flags, argc, argv, &first, &e);
}

#define PARSE(...) parse((const char *const[]){ __VA_ARGS__ __VA_OPT__(,) NULL })

TEST(nothing_given)
{
	CHECK_INT(PARSE(), FLAGS_OK);
	CHECK_INT(first, 1);
	CHECK_INT(v.json, false);
	CHECK_STR(v.socket, "default");
	CHECK_INT(v.timeout, 30);
}

TEST(both_dashes_and_both_forms_of_values)
{
	CHECK_INT(PARSE("-timeout", "5", "--socket=/s", "-json", "x"), FLAGS_OK);
	CHECK_INT(first, 5);
	CHECK_INT(v.timeout, 5);
	CHECK_STR(v.socket, "/s");
	CHECK_INT(v.json, true);
	CHECK_INT(PARSE("--timeout=5", "-socket", "a=b"), FLAGS_OK);
	CHECK_INT(v.timeout, 5);
	CHECK_STR(v.socket, "a=b");
	CHECK_INT(PARSE("-socket=a=b"), FLAGS_OK);
	CHECK_STR(v.socket, "a=b");
}

TEST(a_value_may_look_like_a_flag_or_be_empty)
{
	CHECK_INT(PARSE("-socket", "-json"), FLAGS_OK);
	CHECK_STR(v.socket, "-json");
	CHECK_INT(v.json, false);
	CHECK_INT(PARSE("-socket", "--", "x"), FLAGS_OK);
	CHECK_STR(v.socket, "--");
	CHECK_INT(first, 3);
	CHECK_INT(PARSE("-socket", ""), FLAGS_OK);
	CHECK_STR(v.socket, "");
	CHECK_INT(PARSE("-socket=", "x"), FLAGS_OK);
	CHECK_STR(v.socket, "");
	CHECK_INT(first, 2);
	CHECK_INT(PARSE("-timeout", "-5"), FLAGS_OK);
	CHECK_INT(v.timeout, -5);
}

TEST(a_bool_takes_no_separate_word)
{
	CHECK_INT(PARSE("-json", "false", "x"), FLAGS_OK);
	CHECK_INT(v.json, true);
	CHECK_INT(first, 2);
	CHECK_INT(PARSE("-json=false"), FLAGS_OK);
	CHECK_INT(v.json, false);
	CHECK_INT(PARSE("-json=T"), FLAGS_OK);
	CHECK_INT(v.json, true);
}

TEST(flags_end_at_the_first_other_word)
{
	CHECK_INT(PARSE("x", "-json"), FLAGS_OK);
	CHECK_INT(first, 1);
	CHECK_INT(v.json, false);
	CHECK_INT(PARSE("-json", "-", "-timeout"), FLAGS_OK);
	CHECK_INT(first, 2);
	CHECK_INT(PARSE("-json", "--", "-timeout"), FLAGS_OK);
	CHECK_INT(first, 3);
	CHECK_INT(PARSE("-json", "", "-timeout"), FLAGS_OK);
	CHECK_INT(first, 2);
}

TEST(the_last_of_a_repeated_flag_wins)
{
	CHECK_INT(PARSE("-timeout", "1", "-timeout=2", "-json", "-json=0"), FLAGS_OK);
	CHECK_INT(v.timeout, 2);
	CHECK_INT(v.json, false);
}

TEST(integers_durations_txids)
{
	CHECK_INT(PARSE("-timeout", "0x1F"), FLAGS_OK);
	CHECK_INT(v.timeout, 31);
	CHECK_INT(PARSE("-timeout", "1_000"), FLAGS_OK);
	CHECK_INT(v.timeout, 1000);
	CHECK_INT(PARSE("-follow-interval", "500ms"), FLAGS_OK);
	CHECK_INT(v.interval, 500000000);
	CHECK_INT(PARSE("-txid", "00000000000000Ff"), FLAGS_OK);
	CHECK_INT(v.txid, 255);
	CHECK_INT(PARSE("-level=7"), FLAGS_OK);
	CHECK_INT(v.level, 7);
}

TEST(help_in_any_spelling)
{
	static const char *const spellings[] = { "-h", "--h", "-help", "--help", "-h=1", "-help=1", "--help=" };

	for (size_t i = 0; i < sizeof(spellings) / sizeof(spellings[0]); i++)
		CHECK_INT(PARSE("-json", spellings[i], "x"), FLAGS_HELP);
	CHECK_INT(PARSE("x", "-h"), FLAGS_OK);
	CHECK_INT(PARSE("-hel"), FLAGS_WRONG);
	CHECK_INT(PARSE("-helpx"), FLAGS_WRONG);
}

TEST(messages)
{
	static const struct {
		const char *words[3];
		const char *text;
	} cases[] = {
		{ { "-x" }, "flag provided but not defined: -x" },
		{ { "--xyz=1" }, "flag provided but not defined: -xyz" },
		{ { "-jso" }, "flag provided but not defined: -jso" },
		{ { "-jsonx" }, "flag provided but not defined: -jsonx" },
		{ { "---x" }, "bad flag syntax: ---x" },
		{ { "---" }, "bad flag syntax: ---" },
		{ { "-=v" }, "bad flag syntax: -=v" },
		{ { "--=v" }, "bad flag syntax: --=v" },
		{ { "-timeout" }, "flag needs an argument: -timeout" },
		{ { "-json", "--socket" }, "flag needs an argument: -socket" },
		{ { "-timeout", "abc" }, "invalid value \"abc\" for flag -timeout: parse error" },
		{ { "-timeout=" }, "invalid value \"\" for flag -timeout: parse error" },
		{ { "-timeout", "9223372036854775808" },
		  "invalid value \"9223372036854775808\" for flag -timeout: value out of range" },
		{ { "-json=maybe" }, "invalid boolean value \"maybe\" for -json: parse error" },
		{ { "-json=" }, "invalid boolean value \"\" for -json: parse error" },
		{ { "-follow-interval", "1" }, "invalid value \"1\" for flag -follow-interval: parse error" },
		{ { "-follow-interval=1d" }, "invalid value \"1d\" for flag -follow-interval: parse error" },
		{ { "-txid", "ff" }, "invalid value \"ff\" for flag -txid: invalid txid format" },
		{ { "-txid", "00000000000000001" }, "invalid value \"00000000000000001\" for flag -txid: invalid txid format" },
		{ { "-txid", "000000000000000g" }, "invalid value \"000000000000000g\" for flag -txid: invalid txid format" },
		{ { "-level", "a\"\n" }, "invalid value \"a\\\"\\n\" for flag -level: not a level" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		CHECK_INT(PARSE(cases[i].words[0], cases[i].words[1]), FLAGS_WRONG);
		CHECK_STR(e.text, cases[i].text);
	}
}

TEST(long_words_are_cut_not_overrun)
{
	char word[290];

	memset(word, 'a', sizeof(word));
	word[0] = '-';
	word[sizeof(word) - 1] = '\0';
	CHECK_INT(PARSE(word), FLAGS_WRONG);
	CHECK_INT(PARSE("-level", word), FLAGS_WRONG);
	CHECK_INT(PARSE("-txid", word), FLAGS_WRONG);
	CHECK(strlen(e.text) < ERR_TEXT_SIZE - 1);
}

TEST(progress_says_what_is_known)
{
	char line[PROGRESS_TEXT_SIZE];

	CHECK_STR(progress_text(line, "restoring", 45000000, 120000000, 3750000), "restoring: 45 MB of 120 MB, 37%, 12 MB/s, 6s left");
	CHECK_STR(progress_text(line, "restoring", 0, 120000000, 2000000), "restoring: 0 B of 120 MB, 0%, 0 B/s");
	CHECK_STR(progress_text(line, "restoring", 2000, 0, 2000000), "restoring: 2.0 kB, 1.0 kB/s");
	CHECK_STR(progress_text(line, "restoring", 2000, 1000, 2000000), "restoring: 2.0 kB, 1.0 kB/s");
	CHECK_STR(progress_text(line, "restoring", 1, INT64_MAX, 2000000), "restoring: 1 B of 9.2 EB, 0%, 0 B/s");
	CHECK_STR(progress_text(line, "restoring", INT64_MAX, INT64_MAX, 1),
	          "restoring: 9.2 EB of 9.2 EB, 100%, 9.2 EB/s, 0s left");
}

TEST_MAIN
