/* SPDX-License-Identifier: MIT */
/*
 * proto.c - a set of stacks as profile.proto (https://github.com/google/pprof/tree/main/proto).
 *
 * Locations are the distinct addresses in order, so that those of one function stand together and a function is written
 * when its first address comes. Field numbers are those of control.md §8.2.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/gzip.h"
#include "lib/prof/internal.h"

/* ---- what each kind measures ---- */

static const struct kind {
	int values;
	const char *type[PROF_VALUES_MAX], *unit[PROF_VALUES_MAX];
	const char *period_type, *period_unit;
	int64_t period;
	const char *default_type;
} kinds[PROF_KINDS] = {
#define MEMORY 4, { "alloc_objects", "alloc_space", "inuse_objects", "inuse_space" }, \
	       { "count", "bytes", "count", "bytes" }, "space", "bytes", 524288
#define WAITS 2, { "contentions", "delay" }, { "count", "nanoseconds" }, "contentions", "count", 1, NULL
	[PROF_ALLOCS] = { MEMORY, "alloc_space" },
	[PROF_HEAP] = { MEMORY, NULL },
	[PROF_BLOCK] = { WAITS },
	[PROF_MUTEX] = { WAITS },
	[PROF_GOROUTINE] = { 1, { "goroutine" }, { "count" }, "goroutine", "count", 1, NULL },
	[PROF_THREADCREATE] = { 1, { "threadcreate" }, { "count" }, "threadcreate", "count", 1, NULL },
	[PROF_CPU] = { 2, { "samples", "cpu" }, { "count", "nanoseconds" }, "cpu", "nanoseconds",
	               1000000000 / PROF_CPU_HZ, NULL },
};

/* ---- protobuf ---- */

static void varint(struct buf *b, uint64_t x)
{
	for (; x >= 0x80; x >>= 7)
		buf_char(b, (char)(x | 0x80));
	buf_char(b, (char)x);
}

static void number(struct buf *b, int field, uint64_t x)
{
	if (x) {
		varint(b, (uint64_t)field << 3);
		varint(b, x);
	}
}

static void bytes(struct buf *b, int field, const void *data, size_t n)
{
	varint(b, (uint64_t)field << 3 | 2);
	varint(b, n);
	buf_append(b, data, n);
}

/* part becomes a field of b and is empty again. */
static void message(struct buf *b, int field, struct buf *part)
{
	bytes(b, field, part->data, part->len);
	b->failed |= part->failed;
	buf_reset(part);
}

/* ---- the profile ---- */

struct writer {
	struct buf out, part, inner;
	struct prof_names names;
	const struct prof_set *set;
	enum prof_kind kind;
	uintptr_t *addresses; /* distinct and sorted: location i + 1 */
	int address_count;
	const char **strings;
	int string_count, string_cap;
	bool failed;
};

/* Index of a string; those of functions are given out once each and not looked for. */
static uint64_t add_string(struct writer *w, const char *s)
{
	if (w->string_count == w->string_cap) {
		int cap = w->string_cap ? w->string_cap * 2 : 64;
		const char **strings = realloc(w->strings, (size_t)cap * sizeof(*strings));

		if (!strings) {
			w->failed = true;
			return 0;
		}
		w->strings = strings;
		w->string_cap = cap;
	}
	w->strings[w->string_count] = s;
	return (uint64_t)w->string_count++;
}

static uint64_t string(struct writer *w, const char *s)
{
	for (int i = 0; i < w->string_count; i++)
		if (!strcmp(w->strings[i], s))
			return (uint64_t)i;
	return add_string(w, s);
}

static int compare_addresses(const void *a, const void *b)
{
	uintptr_t x = *(const uintptr_t *)a, y = *(const uintptr_t *)b;

	return (x > y) - (x < y);
}

static void collect_addresses(struct writer *w)
{
	size_t n = 0;
	int kept = 0;

	for (int i = 0; i < w->set->count; i++)
		n += (size_t)w->set->items[i].stack.depth;
	w->addresses = malloc(n * sizeof(w->addresses[0]) + 1);
	if (!w->addresses) {
		w->failed = true;
		return;
	}
	n = 0;
	for (int i = 0; i < w->set->count; i++)
		for (int k = 0; k < w->set->items[i].stack.depth; k++)
			w->addresses[n++] = prof_address(w->kind, &w->set->items[i].stack, k);
	qsort(w->addresses, n, sizeof(w->addresses[0]), compare_addresses);
	for (size_t i = 0; i < n; i++)
		if (!i || w->addresses[i] != w->addresses[kept - 1])
			w->addresses[kept++] = w->addresses[i];
	w->address_count = kept;
}

static uint64_t location_of(const struct writer *w, uintptr_t address)
{
	const uintptr_t *at = bsearch(&address, w->addresses, (size_t)w->address_count, sizeof(address),
	                              compare_addresses);

	assert(at);
	return (uint64_t)(at - w->addresses) + 1;
}

static void write_type(struct writer *w, int field, const char *type, const char *unit)
{
	number(&w->part, 1, string(w, type));
	number(&w->part, 2, string(w, unit));
	message(&w->out, field, &w->part);
}

static void write_sample(struct writer *w, const struct prof_item *x)
{
	for (int i = 0; i < x->stack.depth; i++)
		varint(&w->inner, location_of(w, prof_address(w->kind, &x->stack, i)));
	message(&w->part, 1, &w->inner);
	for (int v = 0; v < kinds[w->kind].values; v++)
		varint(&w->inner, (uint64_t)x->value[v]);
	message(&w->part, 2, &w->inner);
	if (x->label[0]) {
		number(&w->inner, 1, string(w, "thread"));
		number(&w->inner, 2, string(w, x->label));
		message(&w->part, 3, &w->inner);
	}
	message(&w->out, 2, &w->part);
}

/* A sample without meaning says nothing: a delta's stacks to which nothing came. */
static bool has_value(const struct writer *w, const struct prof_item *x)
{
	for (int v = 0; v < kinds[w->kind].values; v++)
		if (x->value[v])
			return x->stack.depth > 0;
	return false;
}

static void write_mapping(struct writer *w)
{
	const struct os_text *t = &w->names.code;

	number(&w->part, 1, 1);
	number(&w->part, 2, t->from & ~(uintptr_t)4095);
	number(&w->part, 3, (t->to + 4095) & ~(uintptr_t)4095);
	number(&w->part, 4, t->file_offset & ~(uint64_t)4095);
	number(&w->part, 5, string(w, w->names.program ? w->names.program : "rivulet"));
	number(&w->part, 6, string(w, w->names.build_id));
	number(&w->part, 7, w->names.count > 0);
	message(&w->out, 3, &w->part);
}

static void write_locations(struct writer *w)
{
	int last = -1, functions = 0;

	for (int i = 0; i < w->address_count; i++) {
		uintptr_t address = w->addresses[i];
		int f = prof_names_find(&w->names, address);

		if (f >= 0 && f != last) {
			uint64_t name = add_string(w, w->names.functions[f].name);

			number(&w->part, 1, (uint64_t)++functions);
			number(&w->part, 2, name);
			number(&w->part, 3, name);
			message(&w->out, 5, &w->part);
			last = f;
		}
		number(&w->part, 1, (uint64_t)i + 1);
		number(&w->part, 2, address >= w->names.code.from && address < w->names.code.to);
		number(&w->part, 3, address);
		if (f >= 0) {
			number(&w->inner, 1, (uint64_t)functions);
			message(&w->part, 4, &w->inner);
		}
		message(&w->out, 4, &w->part);
	}
}

static void write_rest(struct writer *w, struct prof_span span)
{
	const struct kind *k = &kinds[w->kind];
	uint64_t lost = 0, default_type = k->default_type ? string(w, k->default_type) : 0;
	char text[64];

	write_type(w, 11, k->period_type, k->period_unit);
	if (w->set->lost) {
		snprintf(text, sizeof(text), "%lld samples were lost", (long long)w->set->lost);
		lost = add_string(w, text);
	}
	for (int i = 0; i < w->string_count; i++)
		bytes(&w->out, 6, w->strings[i], strlen(w->strings[i]));
	number(&w->out, 9, (uint64_t)span.time_ns);
	number(&w->out, 10, (uint64_t)span.duration_ns);
	number(&w->out, 12, (uint64_t)k->period);
	number(&w->out, 13, lost);
	number(&w->out, 14, default_type);
}

void prof_write(struct buf *out, enum prof_kind kind, const struct prof_set *s, struct prof_span span)
{
	struct writer w = { .set = s, .kind = kind };

	add_string(&w, "");
	collect_addresses(&w);
	prof_names_load(&w.names);
	if (!w.failed) {
		for (int v = 0; v < kinds[kind].values; v++)
			write_type(&w, 1, kinds[kind].type[v], kinds[kind].unit[v]);
		for (int i = 0; i < s->count; i++)
			if (has_value(&w, &s->items[i]))
				write_sample(&w, &s->items[i]);
		write_mapping(&w);
		write_locations(&w);
		write_rest(&w, span);
	}
	if (w.failed || !buf_ok(&w.out))
		out->failed = true;
	else
		gzip_store(out, w.out.data, w.out.len);
	prof_names_free(&w.names);
	free(w.addresses);
	free(w.strings);
	buf_free(&w.out);
	buf_free(&w.part);
	buf_free(&w.inner);
}
