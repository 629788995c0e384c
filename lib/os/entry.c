/* SPDX-License-Identifier: MIT */
/*
 * The first instructions of the shipped program: relative relocations in their packed form (DT_RELR).
 *
 * A static-pie moves some 1,700 pointers of its tables at every start, and the plain form says each with 24 bytes: 42
 * KB of the file. The packed form needs 500 bytes, but musl before 1.2.4 does not know it. So the linker's entry point
 * is ours: it does that work and goes on to musl's _start. DT_RELRSZ is then set to 0, so that a newer musl does not do
 * it again.
 *
 * Nothing is ready here: no thread pointer (hence no stack protector), no pointer of any table. Only the Makefile that
 * asks the linker for the packed form defines RIVULET_RELR.
 */
typedef int os_entry_not_empty; /* without the packed form there is nothing here, and C wants something */

#ifdef RIVULET_RELR
#include <elf.h>
#include <stddef.h>
#include <stdint.h>

extern const char os_image[] __asm__("__ehdr_start") __attribute__((visibility("hidden"))); /* the linker's */
extern Elf64_Dyn os_dynamic[] __asm__("_DYNAMIC") __attribute__((visibility("hidden")));

void os_relocate(void);

/* An even word is an address; an odd one is a bitmap of the 63 words behind the last. */
__attribute__((no_stack_protector)) void os_relocate(void)
{
	uintptr_t base = (uintptr_t)os_image, *where = NULL;
	const uint64_t *word = NULL;
	size_t size = 0;

	for (Elf64_Dyn *d = os_dynamic; d->d_tag != DT_NULL; d++) {
		if (d->d_tag == 36) /* DT_RELR, which older headers lack */
			word = (const uint64_t *)(base + d->d_un.d_ptr);
		if (d->d_tag == 35) { /* DT_RELRSZ */
			size = d->d_un.d_val;
			d->d_un.d_val = 0;
		}
	}
	for (; size >= sizeof(*word); size -= sizeof(*word), word++) {
		if (!(*word & 1)) {
			where = (uintptr_t *)(base + *word);
			*where++ += base;
			continue;
		}
		for (int i = 0; i < 63; i++) {
			if (*word >> (i + 1) & 1)
				where[i] += base;
		}
		where += 63;
	}
}

#if defined(__x86_64__)
__asm__(".text\n.globl os_entry\n.type os_entry, @function\n"
        "os_entry:\n\tcall os_relocate\n\tjmp _start\n"
        ".size os_entry, .-os_entry\n");
#elif defined(__aarch64__)
__asm__(".text\n.globl os_entry\n.type os_entry, %function\n"
        "os_entry:\n\tbl os_relocate\n\tmov x29, #0\n\tmov x30, #0\n\tb _start\n"
        ".size os_entry, .-os_entry\n");
#else
#error "the packed form of relocations is prepared for x86-64 and AArch64; build with RELR="
#endif
#endif
