/* SPDX-License-Identifier: MIT */
/*
 * progress.h - a line that tells a person at a terminal how far a long piece of work is.
 *
 *   restoring: 45 MB of 120 MB, 37%, 12 MB/s, 6s left
 *
 * It is on standard error, only when that is a terminal, only after the first second, rewritten at most ten times a
 * second, and wiped out at the end. For scripts and log files nothing of it exists. One thread at a time.
 */
#ifndef RIVULET_APPLETS_PROGRESS_H
#define RIVULET_APPLETS_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct progress {
	const char *what;
	bool terminal;
	bool shown; /* a line stands on the terminal */
	int64_t start_us, last_us;
};

void progress_begin(struct progress *p, const char *what);
/* total <= 0: not known. */
void progress_update(struct progress *p, int64_t done_bytes, int64_t total_bytes);
/* Wipes the line; before anything else is printed. May be followed by further updates. */
void progress_end(struct progress *p);

/* The text of the line; what progress_update prints. */
enum { PROGRESS_TEXT_SIZE = 160 };
char *progress_text(char out[PROGRESS_TEXT_SIZE], const char *what, int64_t done, int64_t total, int64_t elapsed_us);

#endif
