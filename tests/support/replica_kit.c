/* SPDX-License-Identifier: MIT */
#include "tests/support/replica_kit.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/os/clock.h"
#include "tests/support/tmpdir.h"

/* ---- files ---- */

const char *rk_path(const char *name)
{
	static char paths[128][320];
	static int count;

	const char *path = tmppath(name);

	for (int i = 0; i < count; i++) {
		if (strcmp(paths[i], path) == 0)
			return paths[i];
	}
	if (count == 128)
		abort();
	snprintf(paths[count], sizeof(paths[0]), "%s", path);
	return paths[count++];
}

bool rk_exists(const char *path)
{
	return access(path, F_OK) == 0;
}

bool rk_write(const char *path, const void *bytes, size_t n)
{
	FILE *f = fopen(path, "wb");

	if (!f)
		return false;
	bool ok = fwrite(bytes, 1, n, f) == n;
	return fclose(f) == 0 && ok;
}

bool rk_copy(const char *from, const char *to)
{
	struct mem m = { .data = NULL };
	bool ok = kit_load(&m, from) && rk_write(to, m.data, m.len);

	mem_free(&m);
	return ok;
}

bool rk_same(const char *a, const char *b)
{
	struct mem ma = { .data = NULL }, mb = { .data = NULL };
	bool same = kit_load(&ma, a) && kit_load(&mb, b) && ma.len == mb.len && memcmp(ma.data, mb.data, ma.len) == 0;

	mem_free(&ma);
	mem_free(&mb);
	return same;
}

bool rk_flip(const char *path, long offset, int mask)
{
	FILE *f = fopen(path, "r+b");
	int c;

	if (!f)
		return false;
	bool ok = fseek(f, offset, offset < 0 ? SEEK_END : SEEK_SET) == 0 && (c = getc(f)) != EOF &&
	          fseek(f, -1, SEEK_CUR) == 0 && putc(c ^ mask, f) != EOF;
	return fclose(f) == 0 && ok;
}

/* ---- objects ---- */

const char *rk_file(const char *path, int level, uint64_t min, uint64_t max)
{
	struct replica_item item = { .level = level, .min_txid = min, .max_txid = max };
	char name[REPLICA_NAME_SIZE], joined[1000];

	snprintf(joined, sizeof(joined), "%s/%s", path + strlen(tmpdir()) + 1, replica_item_name(name, &item));
	return tmppath(joined);
}

bool rk_store(const char *path, int level, uint64_t min, uint64_t max, const void *bytes, size_t n, int64_t mtime_ms)
{
	const char *file = rk_file(path, level, min, max);
	char folder[1024];
	struct timespec t[2] = { { .tv_sec = mtime_ms / 1000, .tv_nsec = mtime_ms % 1000 * 1000000 } };

	t[1] = t[0];
	mkdir(path, 0700);
	snprintf(folder, sizeof(folder), "%s/ltx", path);
	mkdir(folder, 0700);
	snprintf(folder, sizeof(folder), "%s/ltx/%d", path, level);
	mkdir(folder, 0700);
	return rk_write(file, bytes, n) && (mtime_ms == 0 || utimensat(AT_FDCWD, file, t, 0) == 0);
}

bool rk_pages(const char *path, int level, uint64_t min, uint64_t max, uint32_t page_size, uint32_t commit,
              const uint32_t *pgnos, int count, uint32_t seed)
{
	struct ltx_header h = kit_header(page_size, min, max, commit);
	struct mem m = { .data = NULL };
	struct err e = ERR_INIT;

	bool ok = kit_encode(&m, &h, pgnos, count, seed, &e) == 0 && rk_store(path, level, min, max, m.data, m.len, 0);
	if (!ok)
		printf("rk_pages: %s\n", e.text);
	mem_free(&m);
	return ok;
}

bool rk_full(const char *path, int level, uint64_t min, uint64_t max, uint32_t page_size, uint32_t commit,
             uint32_t seed)
{
	uint32_t *pgnos = calloc(commit + 1, sizeof(*pgnos));
	int count = 0;

	for (uint32_t i = 1; i <= commit; i++) {
		if (i != ltx_lock_pgno(page_size))
			pgnos[count++] = i;
	}
	bool ok = rk_pages(path, level, min, max, page_size, commit, pgnos, count, seed);
	free(pgnos);
	return ok;
}

bool rk_diff(const char *path, int level, uint64_t min, uint64_t max, const char *before, const char *now)
{
	struct mem a = { .data = NULL }, b = { .data = NULL };
	struct kit k = { .crc = 0 };
	bool ok = (!before || kit_load(&a, before)) && kit_load(&b, now);

	if (ok) {
		uint32_t size = (uint32_t)b.data[16] << 8 | b.data[17];
		struct ltx_header h = kit_header(size == 1 ? 65536 : size, min, max, 0);

		size = h.page_size;
		h.commit = (uint32_t)(b.len / size);
		kit_begin(&k, &h);
		for (uint32_t i = 0; i < h.commit; i++) {
			size_t at = (size_t)i * size;

			if (a.len < at + size || memcmp(a.data + at, b.data + at, size) != 0)
				kit_page(&k, i + 1, b.data + at);
		}
		kit_end(&k);
		ok = rk_store(path, level, min, max, k.out.data, k.out.len, 0);
		kit_free(&k);
	}
	mem_free(&a);
	mem_free(&b);
	return ok;
}

/* ---- bad luck ---- */

struct flaky_reader {
	struct replica_reader reader, *inner;
	struct flaky *flaky;
	int64_t left; /* until it breaks; -1: never */
};

static int flaky_read(struct replica_reader *reader, void *bytes, size_t n, size_t *got, struct err *e)
{
	struct flaky_reader *f = (struct flaky_reader *)reader;

	*got = 0;
	if (f->left == 0)
		return f->flaky->quietly ? 0 : err_set(e, f->flaky->code, "connection reset by peer");
	if (f->flaky->read_max > 0 && n > f->flaky->read_max)
		n = f->flaky->read_max;
	if (f->left > 0 && (int64_t)n > f->left)
		n = (size_t)f->left;
	if (f->inner->read(f->inner, bytes, n, got, e) != 0)
		return -1;
	if (f->left > 0)
		f->left -= (int64_t)*got;
	return 0;
}

static void flaky_close(struct replica_reader *reader)
{
	struct flaky_reader *f = (struct flaky_reader *)reader;

	atomic_fetch_sub(&f->flaky->open_now, 1);
	f->inner->close(f->inner);
	free(f);
}

/* Is it the turn of this call to fail? */
static bool unlucky(struct flaky *s)
{
	return atomic_fetch_add(&s->ops, 1) + 1 == s->fail_op;
}

static int strike(struct flaky *s, struct err *e)
{
	return err_set(e, s->code, "dial tcp: connection refused");
}

static int flaky_open(struct replica *r, const struct replica_item *item, int64_t offset, int64_t length,
                      struct replica_reader **reader, struct err *e)
{
	struct flaky *s = (struct flaky *)r;
	struct replica_reader *inner;
	struct flaky_reader *f;
	int opens = atomic_fetch_add(&s->opens, 1), now;

	if (s->delay_ms)
		os_sleep_ms(s->delay_ms);
	if (s->cancel_at_open)
		atomic_store(s->cancel_at_open, true);
	if (unlucky(s) || opens < s->fail_opens)
		return strike(s, e);
	if (s->inner->ops->open(s->inner, item, offset, length, &inner, e) != 0)
		return -1;
	f = calloc(1, sizeof(*f));
	f->reader.read = flaky_read;
	f->reader.close = flaky_close;
	f->inner = inner;
	f->flaky = s;
	f->left = -1;
	if (atomic_fetch_sub(&s->breaks, 1) > 0)
		f->left = s->break_after;
	now = atomic_fetch_add(&s->open_now, 1) + 1;
	if (now > atomic_load(&s->open_most))
		atomic_store(&s->open_most, now);
	*reader = &f->reader;
	return 0;
}

static int flaky_list(struct replica *r, int level, uint64_t seek, bool exact_times, struct replica_list *out,
                      struct err *e)
{
	struct flaky *s = (struct flaky *)r;

	atomic_fetch_add(&s->lists, 1);
	if (unlucky(s))
		return strike(s, e);
	return s->inner->ops->list(s->inner, level, seek, exact_times, out, e);
}

static int flaky_list_all(struct replica *r, bool exact_times, struct replica_list *out, struct err *e)
{
	struct flaky *s = (struct flaky *)r;

	atomic_fetch_add(&s->lists, 1);
	if (unlucky(s))
		return strike(s, e);
	return s->inner->ops->list_all(s->inner, exact_times, out, e);
}

static int flaky_put(struct replica *r, const struct replica_item *item, const char *staged, struct err *e)
{
	struct flaky *s = (struct flaky *)r;
	bool fails = unlucky(s);

	atomic_fetch_add(&s->puts, 1);
	if ((!fails || s->lose_answer) && s->inner->ops->put(s->inner, item, staged, e))
		return -1;
	return fails ? strike(s, e) : 0;
}

static int flaky_remove(struct replica *r, const struct replica_item *items, int count, struct err *e)
{
	struct flaky *s = (struct flaky *)r;
	bool fails = unlucky(s);

	atomic_fetch_add(&s->removes, 1);
	atomic_fetch_add(&s->removed, count);
	if ((!fails || s->lose_answer) && s->inner->ops->remove(s->inner, items, fails ? count / 2 + 1 : count, e))
		return -1;
	return fails ? strike(s, e) : 0;
}

struct flaky_writer {
	struct replica_writer writer, *inner;
	struct flaky *flaky;
};

static int flaky_write(struct replica_writer *writer, const void *bytes, size_t n, struct err *e)
{
	struct flaky_writer *w = (struct flaky_writer *)writer;

	return unlucky(w->flaky) ? strike(w->flaky, e) : w->inner->write(w->inner, bytes, n, e);
}

static void flaky_abort(struct replica_writer *writer)
{
	struct flaky_writer *w = (struct flaky_writer *)writer;

	w->inner->abort(w->inner);
	free(w);
}

static int flaky_finish(struct replica_writer *writer, const struct replica_item *item, struct err *e)
{
	struct flaky_writer *w = (struct flaky_writer *)writer;
	struct flaky *s = w->flaky;
	bool fails = unlucky(s);
	int rc = 0;

	if (!fails || s->lose_answer)
		rc = w->inner->finish(w->inner, item, e);
	else
		w->inner->abort(w->inner);
	free(w);
	return rc == 0 && fails ? strike(s, e) : rc;
}

static int flaky_create_object(struct replica *r, const struct replica_item *item, struct replica_writer **writer,
                               struct err *e)
{
	struct flaky *s = (struct flaky *)r;
	struct replica_writer *inner;
	struct flaky_writer *w;

	atomic_fetch_add(&s->creates, 1);
	if (unlucky(s))
		return strike(s, e);
	if (s->inner->ops->create(s->inner, item, &inner, e))
		return -1;
	w = calloc(1, sizeof(*w));
	w->writer = (struct replica_writer){ flaky_write, flaky_finish, flaky_abort };
	w->inner = inner;
	w->flaky = s;
	*writer = &w->writer;
	return 0;
}

static void flaky_free(struct replica *r)
{
	struct flaky *s = (struct flaky *)r;

	replica_free(s->inner);
	free(s);
}

static const struct replica_ops flaky_ops = {
	.type = "flaky",
	.list = flaky_list,
	.list_all = flaky_list_all,
	.open = flaky_open,
	.put = flaky_put,
	.create = flaky_create_object,
	.remove = flaky_remove,
	.free = flaky_free,
};

struct flaky *flaky_create(struct replica *inner)
{
	struct flaky *s = calloc(1, sizeof(*s));

	replica_init(&s->base, &flaky_ops, "flaky://", NULL, NULL);
	s->inner = inner;
	s->code = ERR_SYSTEM;
	return s;
}
