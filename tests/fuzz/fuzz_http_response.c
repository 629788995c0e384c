/* SPDX-License-Identifier: MIT */
/* Any bytes as the HTTP responses of one connection, and the same bytes cut into pieces. */
#include "tests/support/http_fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	http_fuzz(HTTP_RESPONSE, data, size);
	return 0;
}
