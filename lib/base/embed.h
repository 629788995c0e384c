/* SPDX-License-Identifier: MIT */
/*
 * embed.h - a file's bytes inside the program. EMBED(name, "path") once in a .c file: NAME_begin and NAME_end. The
 * assembler takes the file as it is; the Makefile knows that the object depends on it.
 */
#ifndef RIVULET_BASE_EMBED_H
#define RIVULET_BASE_EMBED_H

#include <stdint.h>

#define EMBED(name, path)                                                                                              \
	__asm__(".pushsection .rodata." #name ", \"a\"\n"                                                              \
	        ".hidden " #name "_begin\n.hidden " #name "_end\n"                                                     \
	        ".global " #name "_begin\n.global " #name "_end\n"                                                     \
	        #name "_begin:\n.incbin \"" path "\"\n" #name "_end:\n.byte 0\n.popsection\n");                        \
	extern const uint8_t name##_begin[] __attribute__((visibility("hidden")));                                     \
	extern const uint8_t name##_end[] __attribute__((visibility("hidden")))

#endif
