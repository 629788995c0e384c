/* SPDX-License-Identifier: MIT */
/*
 * escape.h - text from outside, one character at a time, as JSON and as Go's quoted strings show it.
 *
 * Both functions take the character at *s, which must not be the closing NUL, move *s behind it, and write what stands
 * for it into out, without a NUL; they return the length. A byte that is not UTF-8 counts as a character of its own.
 * Pure; any thread.
 */
#ifndef RIVULET_BASE_ESCAPE_H
#define RIVULET_BASE_ESCAPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { ESCAPE_SIZE = 12, ESCAPE_INVALID = 0xfffd };

/* Go's encoding/json: \" \\ \b \f \n \r \t \u00XX, `<` `>` `&` U+2028 U+2029 as \uXXXX, an invalid byte as \ufffd. */
size_t escape_json(const char **s, char out[static ESCAPE_SIZE]);

/* Go's strconv.Quote: \" \\ \a \b \f \n \r \t \v \xNN \uNNNN \UNNNNNNNN. */
size_t escape_go(const char **s, char out[static ESCAPE_SIZE]);

/* The character at s; its length in *len. ESCAPE_INVALID with a length of 1 for a byte that is not UTF-8. */
uint32_t escape_rune(const char *s, size_t *len);

/* Letters, marks, numbers, punctuation, symbols and the ASCII blank. Code points that no Unicode version has assigned
 * yet count as printable: the table that knows them all would cost more than it is worth. */
bool escape_printable(uint32_t rune);

#endif
