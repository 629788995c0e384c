/* SPDX-License-Identifier: MIT */
/*
 * token.h - the words of a JSON text: strings, numbers, literals; for this room only.
 */
#ifndef RIVULET_JSON_TOKEN_H
#define RIVULET_JSON_TOKEN_H

#include "json/json.h"

struct json_input {
	const char *bytes;
	size_t n, at;
	struct err *e;
};

/* The next byte that is not a blank, which is not taken; -1 at the end. */
int json_peek(struct json_input *in);
/* The byte at in->at may not stand there: "invalid character 'x' CONTEXT", or "unexpected EOF". -1. */
int json_refuse(struct json_input *in, const char *context);
/* Each takes one token that begins at in->at; its decoded text is appended to `text` with a NUL, at *offset. */
int json_take_string(struct json_input *in, struct buf *text, uint32_t *offset, uint32_t *len);
int json_take_number(struct json_input *in, struct buf *text, uint32_t *offset, uint32_t *len);
int json_take_word(struct json_input *in, const char *word);

#endif
