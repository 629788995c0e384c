/* SPDX-License-Identifier: MIT */
/*
 * buffered.h - gathers the small writes of the encoder and spreads one large read over the small ones of the decoder.
 *
 * Both stand between the codec and a sink or source of the caller, and use a buffer of the caller's (64 to 256 KiB is a
 * good size; 4 KiB works). Pieces of a buffer's size and more go past it. One thread at a time.
 */
#ifndef RIVULET_LTX_BUFFERED_H
#define RIVULET_LTX_BUFFERED_H

#include "lib/ltx/ltx.h"

struct ltx_buffered {
	struct ltx_source source; /* where the bytes come from */
	uint8_t *buf;
	size_t cap;
	size_t pos, len; /* buf[pos..len) was read and not yet given out */
};
void ltx_buffered_init(struct ltx_buffered *b, struct ltx_source source, uint8_t *buf, size_t cap);
struct ltx_source ltx_buffered_source(struct ltx_buffered *b);

struct ltx_gather {
	struct ltx_sink sink; /* where the bytes go */
	uint8_t *buf;
	size_t cap;
	size_t len; /* buf[0..len) waits */
};
void ltx_gather_init(struct ltx_gather *g, struct ltx_sink sink, uint8_t *buf, size_t cap);
struct ltx_sink ltx_gather_sink(struct ltx_gather *g);
/* Sends what waits; to be called behind ltx_encoder_end. */
int ltx_gather_flush(struct ltx_gather *g, struct err *e);

#endif
