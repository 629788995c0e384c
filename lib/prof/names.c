/* SPDX-License-Identifier: MIT */
/*
 * names.c - names of functions in a stripped program.
 *
 * The build puts a section behind the file that nothing loads (scripts/names): gzip around lines "DELTA NAME\n",
 * sorted by address, DELTA being the hexadecimal distance of the link address to the one of the line before. It costs
 * some 17 KB of the file, and memory only while a profile is written. What it says is checked like any file's content.
 */
#include <elf.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/gzip.h"
#include "lib/os/file.h"
#include "lib/os/program.h"
#include "lib/prof/internal.h"

enum { SECTIONS_MAX = 256, SECTION_MAX = 1 << 20, TEXT_MAX = 4 << 20, FUNCTIONS_MAX = 1 << 16 };
#if UINTPTR_MAX > UINT32_MAX
typedef Elf64_Ehdr file_header;
typedef Elf64_Shdr section_header;
typedef Elf64_Nhdr note_header;
#else
typedef Elf32_Ehdr file_header;
typedef Elf32_Shdr section_header;
typedef Elf32_Nhdr note_header;
#endif

/* n bytes at an offset; NULL when they are not there. */
static uint8_t *read_piece(struct os_file *f, uint64_t offset, uint64_t n)
{
	uint8_t *bytes = n && n <= SECTION_MAX && offset < INT64_MAX ? malloc(n) : NULL;
	size_t got;

	if (bytes && (os_file_read(f, bytes, n, (int64_t)offset, &got, NULL) || got < n)) {
		free(bytes);
		bytes = NULL;
	}
	return bytes;
}

static void read_build_id(struct prof_names *n, const uint8_t *note, uint64_t size)
{
	const note_header *h = (const note_header *)(const void *)note;
	size_t at = sizeof(*h) + 4;

	if (size < at || h->n_namesz != 4 || h->n_type != NT_GNU_BUILD_ID || h->n_descsz > PROF_BUILD_ID_MAX ||
	    size - at < h->n_descsz)
		return;
	for (size_t i = 0; i < h->n_descsz; i++) {
		n->build_id[2 * i] = "0123456789abcdef"[note[at + i] >> 4];
		n->build_id[2 * i + 1] = "0123456789abcdef"[note[at + i] & 15];
	}
}

static bool next_line(char **at, uintptr_t *address, char **name)
{
	char *end, *stop;

	if (!**at)
		return false;
	*address += strtoul(*at, &end, 16);
	stop = strchr(end, '\n');
	if (*end != ' ' || !stop)
		return false;
	*stop = '\0';
	*name = end + 1;
	*at = stop + 1;
	return true;
}

static void read_table(struct prof_names *n, const uint8_t *gzip, uint64_t size)
{
	uintptr_t address = n->code.bias;
	char *at, *name;
	int cap = 0;

	n->text.limit = TEXT_MAX;
	if (gzip_expand(gzip, size, &n->text, NULL))
		return;
	at = (char *)n->text.data;
	for (char *p = at; p && *p; p++)
		cap += *p == '\n';
	n->functions = cap && cap <= FUNCTIONS_MAX ? malloc((size_t)cap * sizeof(n->functions[0])) : NULL;
	while (n->functions && n->count < cap && next_line(&at, &address, &name))
		n->functions[n->count++] = (struct prof_function){ address, name };
}

static void read_sections(struct prof_names *n, struct os_file *f)
{
	file_header *h = (file_header *)(void *)read_piece(f, 0, sizeof(*h));
	section_header *s = NULL;
	char *names = NULL;
	uint64_t names_size;

	if (!h || memcmp(h->e_ident, ELFMAG, SELFMAG) || h->e_shentsize != sizeof(*s) || h->e_shnum > SECTIONS_MAX ||
	    h->e_shstrndx >= h->e_shnum)
		goto out;
	s = (section_header *)(void *)read_piece(f, h->e_shoff, (uint64_t)h->e_shnum * sizeof(*s));
	names_size = s ? s[h->e_shstrndx].sh_size : 0;
	names = s ? (char *)read_piece(f, s[h->e_shstrndx].sh_offset, names_size) : NULL;
	if (!names || names[names_size - 1])
		goto out;
	for (int i = 0; i < h->e_shnum; i++) {
		const char *name = s[i].sh_name < names_size ? names + s[i].sh_name : "";
		bool table = !strcmp(name, ".rivulet.names"), id = !strcmp(name, ".note.gnu.build-id");
		uint8_t *bytes = table || id ? read_piece(f, s[i].sh_offset, s[i].sh_size) : NULL;

		if (bytes && table && !n->count)
			read_table(n, bytes, s[i].sh_size);
		else if (bytes)
			read_build_id(n, bytes, s[i].sh_size);
		free(bytes);
	}
out:
	free(names);
	free(s);
	free(h);
}

void prof_names_load(struct prof_names *n)
{
	struct os_file f = OS_FILE_NONE;

	*n = (struct prof_names){ .code = os_text() };
	if (os_self_path(&n->program, NULL))
		n->program = NULL;
	/* By the link, which leads to the file that runs, even when another one has its name by now. */
	if (os_file_open(&f, "/proc/self/exe", O_RDONLY, 0, NULL) == 0) {
		read_sections(n, &f);
		os_file_close(&f);
	}
}

void prof_names_free(struct prof_names *n)
{
	buf_free(&n->text);
	free(n->functions);
	free(n->program);
	*n = (struct prof_names){ .count = 0 };
}

int prof_names_find(const struct prof_names *n, uintptr_t pc)
{
	int low = 0, high = n->count;

	if (pc < n->code.from || pc >= n->code.to)
		return -1;
	while (low < high) {
		int middle = (low + high) / 2;

		if (n->functions[middle].address <= pc)
			low = middle + 1;
		else
			high = middle;
	}
	return low - 1;
}
