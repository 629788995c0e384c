/* SPDX-License-Identifier: MIT */
/* Durations and times. */
#include "lib/base/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static const struct unit {
	char name[4];
	uint64_t ns;
} units[] = {
	{ "ns", 1 }, { "us", 1000 }, { "\u00b5s", 1000 }, { "\u03bcs", 1000 }, { "ms", 1000000 },
	{ "s", 1000000000 }, { "m", UINT64_C(60000000000) }, { "h", UINT64_C(3600000000000) },
};

/* The unit that begins at *s, which must end at a digit, a point or the end; NULL if there is none such. */
static const struct unit *parse_unit(const char **s)
{
	size_t n = strcspn(*s, ".0123456789");

	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (strlen(units[i].name) == n && memcmp(units[i].name, *s, n) == 0) {
			*s += n;
			return &units[i];
		}
	}
	return NULL;
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static int malformed(struct err *e)
{
	return err_set(e, ERR_INVALID, "parse error");
}

static int too_long(struct err *e)
{
	return err_set(e, ERR_LIMIT, "parse error");
}

/* One "N[.N]unit" at *s, added to *sum. */
static int parse_part(const char **s, uint64_t *sum, struct err *e)
{
	const char *p = *s;
	uint64_t whole = 0, part = 0;
	double scale = 1;
	bool any = false, overflow = false;
	const struct unit *unit;

	for (; is_digit(*p); p++, any = true)
		overflow |= __builtin_mul_overflow(whole, 10, &whole) ||
			    __builtin_add_overflow(whole, (uint64_t)(*p - '0'), &whole);
	if (*p == '.') {
		/* Digits beyond the 19th cannot matter and are read over, as Go does. */
		for (p++; is_digit(*p); p++, any = true) {
			if (part <= INT64_MAX / 10) {
				part = part * 10 + (uint64_t)(*p - '0');
				scale *= 10;
			}
		}
	}
	if (!any)
		return malformed(e);
	unit = parse_unit(&p);
	if (!unit)
		return malformed(e);
	*s = p;
	/* Go takes the fraction in floating point; the same operations give the same last nanosecond. */
	part = (uint64_t)((double)part * ((double)unit->ns / scale));
	if (overflow || __builtin_mul_overflow(whole, unit->ns, &whole) ||
	    __builtin_add_overflow(whole, part, &whole) || __builtin_add_overflow(*sum, whole, sum) ||
	    *sum > UINT64_C(1) << 63)
		return too_long(e);
	return 0;
}

int text_parse_duration(const char *s, int64_t *ns, struct err *e)
{
	bool negative = *s == '-';
	uint64_t sum = 0;

	if (*s == '-' || *s == '+')
		s++;
	if (strcmp(s, "0") == 0) {
		*ns = 0;
		return 0;
	}
	if (!*s)
		return malformed(e);
	while (*s)
		if (parse_part(&s, &sum, e))
			return -1;
	if (sum > (uint64_t)INT64_MAX + negative)
		return too_long(e);
	*ns = negative ? (int64_t)(0 - sum) : (int64_t)sum;
	return 0;
}

/* value / 10^digits without trailing zeros, as "12" or "12.05"; returns the end. */
static char *put_decimal(char *out, uint64_t value, int digits)
{
	char rest[10];
	int n = 0;

	for (; digits > 0; digits--, value /= 10)
		if (n > 0 || value % 10)
			rest[n++] = (char)('0' + value % 10);
	out += sprintf(out, "%" PRIu64, value);
	if (n > 0)
		*out++ = '.';
	while (n > 0)
		*out++ = rest[--n];
	*out = 0;
	return out;
}

char *text_duration(char out[TEXT_DURATION_SIZE], int64_t ns)
{
	uint64_t u = ns < 0 ? 0 - (uint64_t)ns : (uint64_t)ns;
	uint64_t seconds = u / 1000000000;
	char *p = out;

	if (ns < 0)
		*p++ = '-';
	if (seconds == 0 && u > 0) {
		if (u < 1000)
			(void)strcpy(put_decimal(p, u, 0), "ns");
		else if (u < 1000000)
			(void)strcpy(put_decimal(p, u, 3), "\u00b5s");
		else
			(void)strcpy(put_decimal(p, u, 6), "ms");
		return out;
	}
	if (seconds >= 3600)
		p += sprintf(p, "%" PRIu64 "h", seconds / 3600);
	if (seconds >= 60)
		p += sprintf(p, "%dm", (int)(seconds / 60 % 60));
	(void)strcpy(put_decimal(p, u - seconds / 60 * UINT64_C(60000000000), 9), "s");
	return out;
}

/* Days since 1970-01-01 of a day of the Gregorian calendar. Years begin in March here, so the leap day comes last. */
static int64_t days_of(int64_t year, int month, int day)
{
	int64_t y = month <= 2 ? year - 1 : year;
	int64_t era = (y >= 0 ? y : y - 399) / 400;
	int64_t of_era = y - era * 400;
	int64_t of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;

	return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

enum fraction { FRACTION_NONE, FRACTION_MS, FRACTION_TRIM };

/* sprintf() would take a third of the time of a list of a thousand databases. */
static char *put_digits(char *p, int value, int n)
{
	for (int i = n - 1; i >= 0; i--, value /= 10)
		p[i] = (char)('0' + value % 10);
	return p + n;
}

/* ms + offset as wall clock, with the offset named. */
static char *put_time(char *out, int64_t ms, int offset_s, enum fraction fraction)
{
	int64_t seconds = ms / 1000 - (ms % 1000 < 0);
	int milli = (int)((ms % 1000 + 1000) % 1000);

	seconds += offset_s;

	int64_t days = seconds / 86400 - (seconds % 86400 < 0);
	int of_day = (int)(seconds - days * 86400);
	/* The inverse of days_of(): eras of 400 years, then the year within, then the month. */
	int64_t z = days + 719468, era = (z >= 0 ? z : z - 146096) / 146097;
	int doe = (int)(z - era * 146097);
	int yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	int doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
	int mp = (5 * doy + 2) / 153;
	int month = mp < 10 ? mp + 3 : mp - 9;
	int64_t year = era * 400 + yoe + (month <= 2);
	char *p = out;

	if (year >= 0 && year <= 9999)
		p = put_digits(p, (int)year, 4);
	else
		p += sprintf(p, "%s%04" PRIu64, year < 0 ? "-" : "", (uint64_t)(year < 0 ? -year : year));
	*p++ = '-';
	p = put_digits(p, month, 2);
	*p++ = '-';
	p = put_digits(p, doy - (153 * mp + 2) / 5 + 1, 2);
	*p++ = 'T';
	p = put_digits(p, of_day / 3600, 2);
	*p++ = ':';
	p = put_digits(p, of_day / 60 % 60, 2);
	*p++ = ':';
	p = put_digits(p, of_day % 60, 2);
	if (fraction == FRACTION_MS || (fraction == FRACTION_TRIM && milli)) {
		*p++ = '.';
		p = put_digits(p, milli, 3);
	}
	while (fraction == FRACTION_TRIM && milli && p[-1] == '0')
		p--;
	if (offset_s / 60 == 0) {
		(void)strcpy(p, "Z");
	} else {
		int minutes = offset_s / 60 < 0 ? -(offset_s / 60) : offset_s / 60;

		(void)sprintf(p, "%c%02d:%02d", offset_s < 0 ? '-' : '+', minutes / 60, minutes % 60);
	}
	return out;
}

char *text_time_ms(char out[TEXT_TIME_SIZE], int64_t ms)
{
	return put_time(out, ms, 0, FRACTION_MS);
}

char *text_time_s(char out[TEXT_TIME_SIZE], int64_t ms)
{
	return put_time(out, ms, 0, FRACTION_NONE);
}

char *text_time_trim(char out[TEXT_TIME_SIZE], int64_t ms)
{
	return put_time(out, ms, 0, FRACTION_TRIM);
}

char *text_time_local(char out[TEXT_TIME_SIZE], int64_t ms)
{
	time_t seconds = (time_t)(ms / 1000 - (ms % 1000 < 0));
	struct tm tm;
	int offset = localtime_r(&seconds, &tm) ? (int)tm.tm_gmtoff : 0;

	return put_time(out, ms, offset, FRACTION_MS);
}

/* Exactly n digits at *s, between least and most. */
static bool take_number(const char **s, int n, int least, int most, int *value)
{
	int v = 0;

	for (int i = 0; i < n; i++, (*s)++) {
		if (!is_digit(**s))
			return false;
		v = v * 10 + (**s - '0');
	}
	*value = v;
	return v >= least && v <= most;
}

static bool take_char(const char **s, char c)
{
	if (**s != c)
		return false;
	(*s)++;
	return true;
}

static int month_length(int year, int month)
{
	if (month == 2)
		return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) ? 29 : 28;
	return 30 + (month + (month > 7)) % 2;
}

/* "Z" or "+HH:MM" up to the end of the text, in seconds. */
static bool take_offset(const char *s, int *offset_s)
{
	int sign = *s == '-' ? -1 : 1, hours, minutes;

	*offset_s = 0;
	if (strcmp(s, "Z") == 0)
		return true;
	if (*s != '+' && *s != '-')
		return false;
	s++;
	if (!take_number(&s, 2, 0, 23, &hours) || !take_char(&s, ':') || !take_number(&s, 2, 0, 59, &minutes) || *s)
		return false;
	*offset_s = sign * (hours * 3600 + minutes * 60);
	return true;
}

int text_parse_time(const char *s, int64_t *ns_since_1970, struct err *e)
{
	int year, month, day, hour, minute, second, offset, scale = 100000000;
	int64_t seconds, ns = 0;

	if (!take_number(&s, 4, 0, 9999, &year) || !take_char(&s, '-') || !take_number(&s, 2, 1, 12, &month) ||
	    !take_char(&s, '-') || !take_number(&s, 2, 1, month_length(year, month), &day) || !take_char(&s, 'T') ||
	    !take_number(&s, 2, 0, 23, &hour) || !take_char(&s, ':') || !take_number(&s, 2, 0, 59, &minute) ||
	    !take_char(&s, ':') || !take_number(&s, 2, 0, 59, &second))
		goto malformed;
	if (*s == '.') {
		s++;
		if (!is_digit(*s))
			goto malformed;
		for (; is_digit(*s); s++, scale /= 10)
			ns += (*s - '0') * scale;
	}
	if (!take_offset(s, &offset))
		goto malformed;
	seconds = days_of(year, month, day) * 86400 + hour * 3600 + minute * 60 + second - offset;
	if (__builtin_mul_overflow(seconds, INT64_C(1000000000), ns_since_1970) ||
	    __builtin_add_overflow(*ns_since_1970, ns, ns_since_1970))
		*ns_since_1970 = seconds < 0 ? INT64_MIN : INT64_MAX;
	return 0;

malformed:
	return err_set(e, ERR_INVALID, "not an RFC 3339 time such as 2000-01-01T00:00:00Z");
}
