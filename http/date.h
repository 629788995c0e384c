/* SPDX-License-Identifier: MIT */
/*
 * date.h - times as HTTP writes them: "Sun, 06 Nov 1994 08:49:37 GMT". Only that form; the two old ones are dead. Pure.
 */
#ifndef RIVULET_HTTP_DATE_H
#define RIVULET_HTTP_DATE_H

#include <stdint.h>

/* Milliseconds since 1970; 0 = not such a date. */
int64_t http_date_parse(const char *text);
enum { HTTP_DATE_SIZE = 30 };
/* Of a time from 1970 to 9999. */
char *http_date(char out[HTTP_DATE_SIZE], int64_t ms);

#endif
