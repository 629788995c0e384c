/* SPDX-License-Identifier: MIT */
/* Blocks that double up to 256 KiB; large ones go back to the kernel when they are freed. */
#include <stdlib.h>
#include <string.h>

#include "lib/config/internal.h"

enum { BLOCK_FIRST = 8 << 10, BLOCK_MAX = 256 << 10 };

struct block {
	struct block *next;
	size_t used, size;
	_Alignas(max_align_t) unsigned char bytes[];
};

struct config_memory {
	struct block *newest;
	size_t next_size;
};

struct config_memory *config_memory_new(void)
{
	struct config_memory *m = calloc(1, sizeof(*m));

	if (m)
		m->next_size = BLOCK_FIRST;
	return m;
}

void config_memory_free(struct config_memory *m)
{
	struct block *b = m ? m->newest : NULL;

	while (b) {
		struct block *next = b->next;

		free(b);
		b = next;
	}
	free(m);
}

void *config_memory_get(struct config_memory *m, size_t n)
{
	struct block *b = m->newest;
	void *p;

	n = (n + 15) & ~(size_t)15;
	if (!b || b->size - b->used < n) {
		size_t size = n > m->next_size ? n : m->next_size;

		b = calloc(1, sizeof(*b) + size);
		if (!b)
			return NULL;
		b->size = size;
		b->next = m->newest;
		m->newest = b;
		if (m->next_size < BLOCK_MAX)
			m->next_size *= 2;
	}
	p = b->bytes + b->used;
	b->used += n;
	return p;
}

char *config_memory_text(struct config_memory *m, const char *text, size_t n)
{
	char *p = config_memory_get(m, n + 1);

	if (p)
		memcpy(p, text, n);
	return p;
}
