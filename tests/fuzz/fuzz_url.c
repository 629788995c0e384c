/* SPDX-License-Identifier: MIT */
/* URLs, and which proxy they go through: the second line of the input is NO_PROXY. */
#include <stdlib.h>
#include <string.h>

#include "http/proxy.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
	char *text = malloc(n + 1), *second;
	struct http_url url;

	memcpy(text, bytes, n);
	text[n] = '\0';
	second = strchr(text, '\n');
	if (second != NULL)
		*second++ = '\0';
	if (http_url_parse(text, &url, NULL) == 0) {
		const struct proxy *chosen;
		struct proxies p;

		if (url.path[0] != '/' || url.host[0] == '\0' || url.port < 0 || url.port > 65535)
			abort();
		if (proxies_set(&p, "proxy:1", text, second, NULL) == 0) {
			(void)proxies_choose(&p, &url, &chosen, NULL);
			proxies_free(&p);
		}
		http_url_free(&url);
	}
	free(text);
	return 0;
}
