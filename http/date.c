/* SPDX-License-Identifier: MIT */
/* The Date field of an answer (RFC 9110 §5.6.7). */
#include <string.h>

#include "http/date.h"
#include "lib/base/text.h"

/* Days since 1970 of a day in the Gregorian calendar. */
static int64_t days_since_1970(int64_t year, int month, int day)
{
	int64_t y = year - (month <= 2), era = y / 400, of_era = y - era * 400;
	int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;

	return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

/* count digits at *at, followed by `then`; moves behind both. -1 = not so. */
static int number(const char **at, int count, char then)
{
	int n = 0;

	for (; count > 0; count--, (*at)++) {
		if (**at < '0' || **at > '9')
			return -1;
		n = n * 10 + (**at - '0');
	}
	return *(*at)++ == then ? n : -1;
}

static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

static int month_of(const char **at)
{
	for (int i = 0; i < 12; i++)
		if (strncmp(*at, months + (size_t)i * 3, 3) == 0 && (*at)[3] == ' ') {
			*at += 4;
			return i + 1;
		}
	return -1;
}

int64_t http_date_parse(const char *text)
{
	int day, month, year, hour, minute, second;

	/* The names of the days are of no use. */
	text = strchr(text, ',');
	if (text == NULL || text[1] != ' ')
		return 0;
	text += 2;
	/* One after the other: each looks no further than where the one before was content. */
	if ((day = number(&text, 2, ' ')) < 1 || (month = month_of(&text)) < 0 ||
	    (year = number(&text, 4, ' ')) < 1970 ||
	    (hour = number(&text, 2, ':')) < 0 || (minute = number(&text, 2, ':')) < 0 ||
	    (second = number(&text, 2, ' ')) < 0 || strcmp(text, "GMT") != 0)
		return 0;
	if (day > 31 || hour > 23 || minute > 59 || second > 60)
		return 0;
	return ((days_since_1970(year, month, day) * 24 + hour) * 60 + minute) * 60000 + (int64_t)second * 1000;
}

char *http_date(char out[HTTP_DATE_SIZE], int64_t ms)
{
	static const char days[] = "ThuFriSatSunMonTueWed"; /* 1970 began on a Thursday */
	char t[TEXT_TIME_SIZE];                             /* 1994-11-06T08:49:37Z */
	int month;

	text_time_s(t, ms);
	month = (t[5] - '0') * 10 + (t[6] - '0');
	memcpy(out, "Thu, 01 Jan 1970 00:00:00 GMT", HTTP_DATE_SIZE);
	memcpy(out, days + ms / 86400000 % 7 * 3, 3);
	memcpy(out + 5, t + 8, 2);
	memcpy(out + 8, months + (month - 1) * 3, 3);
	memcpy(out + 12, t, 4);
	memcpy(out + 17, t + 11, 8);
	return out;
}
