/* SPDX-License-Identifier: MIT */
/* PEM bundles, and the names in a certificate (input that begins as DER does). */
#include <stdlib.h>
#include <string.h>

#include "http/trust.h"
#include "http/verify.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
	static const uint8_t ip[4] = { 127, 0, 0, 1 };
	struct trust *t;
	uint8_t *copy;

	if (n > 0 && bytes[0] == 0x30) {
		copy = malloc(n); /* so that a byte too far is seen */
		memcpy(copy, bytes, n);
		(void)verify_has_address(copy, n, ip, sizeof(ip), "127.0.0.1");
		free(copy);
		return 0;
	}
	t = calloc(1, sizeof(*t));
	(void)trust_add_pem(t, bytes, n, NULL);
	for (size_t i = 0; i < t->count; i++)
		if (t->anchors[i].dn.len == 0 || t->anchors[i].pkey.key_type == 0)
			abort();
	trust_free(t);
	return 0;
}
