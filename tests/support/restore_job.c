/* SPDX-License-Identifier: MIT */
#include "tests/support/restore_job.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/os/fault.h"

void job_over(struct job *j, struct replica *r)
{
	static const char *output;

	if (!output)
		output = rk_path("out.db");
	unlink(output);
	os_fault_clock(1000, 1000); /* sleeping only moves the clock */
	*j = (struct job){ .r = r, .o = { .output = output } };
}

void job_init(struct job *j, const char *path)
{
	struct replica *r = NULL;

	if (replica_file_create(path, &r, NULL) != 0)
		abort();
	job_over(j, r);
}

int job_run(struct job *j, uint64_t txid)
{
	struct restore_target target = { .txid = txid };

	err_clear(&j->e);
	j->rc = restore_plan_make(j->r, &target, false, &j->plan, &j->e);
	if (j->rc == 0)
		j->rc = restore_run(j->r, &j->plan, &j->o, &j->result, &j->e);
	return j->rc;
}

int job_make(struct job *j, uint64_t txid)
{
	struct restore_target target = { .txid = txid };

	err_clear(&j->e);
	j->rc = restore_make(j->r, &target, false, &j->o, &j->plan, &j->result, &j->e);
	return j->rc;
}

void job_end(struct job *j)
{
	restore_plan_free(&j->plan);
	replica_free(j->r);
}

bool job_left_nothing(const struct job *j)
{
	char tmp[1200];

	snprintf(tmp, sizeof(tmp), "%s.tmp", j->o.output);
	return !rk_exists(j->o.output) && !rk_exists(tmp);
}

bool job_output_is(const struct job *j, uint32_t page_size, const uint32_t *seeds, int count)
{
	struct mem m = { .data = NULL };
	uint8_t page[65536];
	bool same = kit_load(&m, j->o.output) && m.len == (size_t)count * page_size;

	for (int i = 0; i < count && same; i++) {
		if (seeds[i])
			kit_fill(page, page_size, seeds[i] + (uint32_t)i + 1);
		else
			memset(page, 0, page_size);
		same = memcmp(m.data + (size_t)i * page_size, page, page_size) == 0;
	}
	mem_free(&m);
	return same;
}

bool job_make_three(const char *path)
{
	return rk_full(path, 9, 1, 3, 512, 6, 1000) && rk_pages(path, 0, 4, 4, 512, 4, PAGES(1, 3), 2000) &&
	       rk_pages(path, 0, 5, 5, 512, 5, PAGES(3, 5), 3000);
}
