/* SPDX-License-Identifier: MIT */
/* The Date field of an answer (RFC 9110 §5.6.7). */
#include <stdio.h>
#include <string.h>

#include "http/date.h"

/* Days since 1970 of a day in the Gregorian calendar. */
static int64_t days_since_1970(int64_t year, int month, int day)
{
	int64_t y = year - (month <= 2), era = y / 400, of_era = y - era * 400;
	int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;

	return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

int64_t http_date_parse(const char *text)
{
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	int day, year, hour, minute, second, end = 0;
	char month[4];
	const char *m;

	/* The names of the days are of no use. */
	text = strchr(text, ',');
	if (text == NULL ||
	    sscanf(text, ", %2d %3s %4d %2d:%2d:%2d GMT%n", &day, month, &year, &hour, &minute, &second, &end) != 6 ||
	    end == 0 || text[end] != '\0')
		return 0;
	m = strstr(months, month);
	if (m == NULL || (m - months) % 3 != 0 || strlen(month) != 3)
		return 0;
	if (day < 1 || day > 31 || year < 1970 || hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 ||
	    second > 60)
		return 0;
	return ((days_since_1970(year, (int)(m - months) / 3 + 1, day) * 24 + hour) * 60 + minute) * 60000 +
	       (int64_t)second * 1000;
}
