/* SPDX-License-Identifier: MIT */
/* text.c - profiles as text, in the layouts of Go's runtime/pprof (control.md §8.4). */
#include <stdlib.h>

#include "lib/prof/internal.h"

static void address(struct buf *out, uintptr_t pc)
{
	buf_fmt(out, "%#llx", (unsigned long long)pc);
}

static void frames(struct buf *out, const struct prof_names *n, enum prof_kind kind, const struct os_stack *s)
{
	for (int i = 0; i < s->depth; i++) {
		uintptr_t pc = prof_address(kind, s, i);
		int f = prof_names_find(n, pc);

		buf_str(out, "#\t");
		address(out, pc);
		if (f >= 0)
			buf_fmt(out, "\t%s+%#llx", n->functions[f].name,
			        (unsigned long long)(pc - n->functions[f].address));
		buf_char(out, '\n');
	}
	buf_char(out, '\n');
}

static void stack(struct buf *out, const struct os_stack *s)
{
	buf_str(out, " @");
	for (int i = 0; i < s->depth; i++) {
		buf_char(out, ' ');
		address(out, s->pc[i]);
	}
	buf_char(out, '\n');
}

static void memory(struct buf *out, const int64_t v[PROF_VALUES_MAX])
{
	buf_fmt(out, "%lld: %lld [%lld: %lld]", (long long)v[2], (long long)v[3], (long long)v[0], (long long)v[1]);
}

static void head(struct buf *out, enum prof_kind kind, const struct prof_set *s)
{
	int64_t sum[PROF_VALUES_MAX] = { 0 };

	for (int i = 0; i < s->count; i++)
		for (int v = 0; v < PROF_VALUES_MAX; v++)
			sum[v] += s->items[i].value[v];
	switch (kind) {
	case PROF_HEAP:
	case PROF_ALLOCS:
		buf_str(out, "heap profile: ");
		memory(out, sum);
		buf_str(out, " @ heap/1048576\n"); /* twice the mean distance, by custom */
		break;
	case PROF_BLOCK:
		buf_str(out, "--- contention:\ncycles/second=1000000000\n");
		break;
	case PROF_MUTEX:
		buf_str(out, "--- mutex:\ncycles/second=1000000000\nsampling period=0\n");
		break;
	default:
		buf_fmt(out, "%s profile: total %lld\n", prof_name(kind), (long long)sum[0]);
	}
}

void prof_write_text(struct buf *out, enum prof_kind kind, const struct prof_set *s)
{
	bool heap = kind == PROF_HEAP || kind == PROF_ALLOCS;
	struct prof_names n;

	prof_names_load(&n);
	head(out, kind, s);
	for (int i = 0; i < s->count; i++) {
		const struct prof_item *x = &s->items[i];

		if (heap)
			memory(out, x->value);
		else
			buf_fmt(out, "%lld", (long long)x->value[0]);
		stack(out, &x->stack);
		if (x->label[0])
			buf_fmt(out, "# labels: {\"thread\":\"%s\"}\n", x->label);
		frames(out, &n, kind, &x->stack);
	}
	if (s->lost)
		buf_fmt(out, "# lost = %lld\n", (long long)s->lost);
	prof_names_free(&n);
}

static const char *state_word(char state)
{
	switch (state) {
	case 'R': return "running";
	case 'D': return "syscall";
	case 'T': case 't': return "stopped";
	default: return "sleep";
	}
}

enum { THREADS_MAX = 256 };

/* Where Go has file and line there is the address in the program's file, for addr2line. */
void prof_write_threads(struct buf *out)
{
	struct os_thread_state *t = malloc(THREADS_MAX * sizeof(*t));
	int count = t ? os_thread_states(t, THREADS_MAX) : 0;
	struct prof_names n;

	prof_names_load(&n);
	for (int i = 0; i < count; i++) {
		const struct os_stack *s = &t[i].stack;

		buf_fmt(out, "%sgoroutine %d [%s, %s]:\n", i ? "\n" : "", t[i].tid, state_word(t[i].state), t[i].name);
		for (int k = 0; k < s->depth; k++) {
			uintptr_t pc = prof_address(PROF_GOROUTINE, s, k);
			int f = prof_names_find(&n, pc);

			buf_fmt(out, "%s(...)\n\t%s:%#llx", f >= 0 ? n.functions[f].name : "?",
			        n.program ? n.program : "rivulet",
			        (unsigned long long)(pc - n.code.bias));
			if (f >= 0)
				buf_fmt(out, " +%#llx", (unsigned long long)(pc - n.functions[f].address));
			buf_char(out, '\n');
		}
	}
	if (!t)
		out->failed = true;
	prof_names_free(&n);
	free(t);
}
