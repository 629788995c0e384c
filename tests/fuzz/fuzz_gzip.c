/* SPDX-License-Identifier: MIT */
/* Any bytes as a gzip file, with a limit; what expands is stored and expanded again. */
#include <stdlib.h>
#include <string.h>

#include "lib/base/gzip.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf out = { .limit = 1 << 20 }, again = { .limit = 2 << 20 }, back = { .limit = 2 << 20 };

	if (!gzip_expand(data, size, &out, NULL)) {
		gzip_store(&again, out.data, out.len);
		if (gzip_expand(again.data, again.len, &back, NULL) || back.len != out.len ||
		    (out.len && memcmp(back.data, out.data, out.len)))
			abort();
	}
	buf_free(&out);
	buf_free(&again);
	buf_free(&back);
	return 0;
}
