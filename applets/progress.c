/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>

#include "applets/progress.h"
#include "lib/base/text.h"
#include "lib/os/clock.h"
#include "lib/os/program.h"

enum { FIRST_US = 1000000, EVERY_US = 100000 };

/* a * b / c, at most INT64_MAX; all >= 0, c > 0. */
static int64_t scale(int64_t a, int64_t b, int64_t c)
{
	__int128 value = (__int128)a * b / c;

	return value > INT64_MAX ? INT64_MAX : (int64_t)value;
}

char *progress_text(char out[PROGRESS_TEXT_SIZE], const char *what, int64_t done, int64_t total, int64_t elapsed_us)
{
	char size[TEXT_SIZE_SIZE], whole[TEXT_SIZE_SIZE], rate[TEXT_SIZE_SIZE], left[TEXT_DURATION_SIZE];
	int64_t per_second;
	size_t n;

	if (done < 0)
		done = 0;
	per_second = elapsed_us > 0 ? scale(done, 1000000, elapsed_us) : 0;
	text_size(size, (uint64_t)done);
	text_size(rate, (uint64_t)per_second);
	if (total <= 0 || total < done) {
		snprintf(out, PROGRESS_TEXT_SIZE, "%.32s: %s, %s/s", what, size, rate);
		return out;
	}
	text_size(whole, (uint64_t)total);
	snprintf(out, PROGRESS_TEXT_SIZE, "%.32s: %s of %s, %d%%, %s/s", what, size, whole,
	         (int)scale(done, 100, total),
	         rate);
	n = strlen(out);
	/* Beyond 100 hours it is a guess that helps nobody. */
	if (per_second > 0 && (total - done) / per_second < 360000)
		snprintf(out + n, PROGRESS_TEXT_SIZE - n, ", %s left",
		         text_duration(left, (total - done) / per_second * 1000000000));
	return out;
}

void progress_begin(struct progress *p, const char *what)
{
	*p = (struct progress){ .what = what, .terminal = os_std_is_terminal(2) };
	if (p->terminal)
		p->start_us = os_mono_us();
}

void progress_update(struct progress *p, int64_t done_bytes, int64_t total_bytes)
{
	char line[PROGRESS_TEXT_SIZE], out[PROGRESS_TEXT_SIZE + 8];
	int64_t now;

	if (!p->terminal)
		return;
	now = os_mono_us();
	if (now - p->start_us < FIRST_US || (p->shown && now - p->last_us < EVERY_US))
		return;
	progress_text(line, p->what, done_bytes, total_bytes, now - p->start_us);
	snprintf(out, sizeof(out), "\r%s\033[K", line);
	(void)os_std_write(2, out, strlen(out), NULL);
	p->shown = true;
	p->last_us = now;
}

void progress_end(struct progress *p)
{
	if (p->shown)
		(void)os_std_write(2, "\r\033[K", 4, NULL);
	p->shown = false;
}
