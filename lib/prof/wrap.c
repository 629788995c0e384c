/* SPDX-License-Identifier: MIT */
/*
 * wrap.c - the allocator as the shipped program calls it (linked with --wrap): heap.c learns of each block.
 *
 * Everything is in front of the C library's own functions; its inner calls (calloc's of malloc, strdup's) come by here
 * too.
 */
#include <stdlib.h>

#include "lib/prof/prof.h"

void *__real_malloc(size_t size);
void *__real_realloc(void *block, size_t size);
void __real_free(void *block);
void *__wrap_malloc(size_t size);
void *__wrap_realloc(void *block, size_t size);
void __wrap_free(void *block);

void *__wrap_malloc(size_t size)
{
	void *block = __real_malloc(size);

	prof_heap_alloc(block, size, __builtin_frame_address(0));
	return block;
}

/* A block that could not be made larger is no sample any more. */
void *__wrap_realloc(void *block, size_t size)
{
	prof_heap_free(block);
	block = __real_realloc(block, size);
	prof_heap_alloc(block, size, __builtin_frame_address(0));
	return block;
}

void __wrap_free(void *block)
{
	prof_heap_free(block);
	__real_free(block);
}
