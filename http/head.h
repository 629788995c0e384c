/* SPDX-License-Identifier: MIT */
/*
 * head.h - start line and fields of a message that has been collected; for this room only.
 */
#ifndef RIVULET_HTTP_HEAD_H
#define RIVULET_HTTP_HEAD_H

#include "http/message.h"

/* p->head holds whole lines up to the blank one. Fills the results of p and cuts the head into texts. 0, or the status
 * that a server answers, with e filled. */
int http_head_parse(struct http_parser *p, struct err *e);

bool http_token_byte(uint8_t c); /* may stand in a method or a field's name */
bool http_value_byte(uint8_t c); /* may stand in a field's value */

#endif
