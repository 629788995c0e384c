/* SPDX-License-Identifier: MIT */
/*
 * restore_job.h - one restore from a replica made by hand, and what came of it. The output is always the same file, which
 * each job removes before it begins.
 */
#ifndef TESTS_SUPPORT_RESTORE_JOB_H
#define TESTS_SUPPORT_RESTORE_JOB_H

#include "lib/restore/restore.h"
#include "tests/support/replica_kit.h"

/* Two arguments: these numbers, and how many they are. */
#define PAGES(...) (const uint32_t[]){ __VA_ARGS__ }, (int)(sizeof((uint32_t[]){ __VA_ARGS__ }) / sizeof(uint32_t))

/* What is restored, and the answer. */
struct job {
	struct replica *r;
	struct restore_options o;
	struct restore_result result;
	struct restore_plan plan;
	struct err e;
	int rc;
};

void job_over(struct job *j, struct replica *r); /* takes r over */
void job_init(struct job *j, const char *path);  /* over the file replica at path */
/* Plans and restores; txid 0 = the newest. The return value is also j->rc. */
int job_run(struct job *j, uint64_t txid);
/* The same by restore_make, which finds another way around damage. */
int job_make(struct job *j, uint64_t txid);
void job_end(struct job *j);

/* Neither the output nor its temporary file. */
bool job_left_nothing(const struct job *j);
/* Is the output what these seeds of pages 1.. say? 0: a page of zeros. */
bool job_output_is(const struct job *j, uint32_t page_size, const uint32_t *seeds, int count);
/* A replica: a base of 6 pages (TXID 3), a file that shrinks it to 4, one that makes it 5 again (TXID 5). */
bool job_make_three(const char *path);

#endif
