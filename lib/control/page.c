/* SPDX-License-Identifier: MIT */
#include "lib/control/page.h"

#include "lib/base/embed.h"
#include "lib/base/gzip.h"

EMBED(page_gz, PAGE_GZ);

int page_html(struct buf *out, struct err *e)
{
	return gzip_expand(page_gz_begin, (size_t)(page_gz_end - page_gz_begin), out, e);
}

/* After a change of page.html test_control_page says what the hashes must be. */
const char *page_fields(void)
{
	return "Content-Type: text/html; charset=utf-8\r\n"
	       "Content-Security-Policy: default-src 'none'; "
	       "script-src 'sha256-zGoWTJBQ0EdjZLYy//qyYNepB0Om7mdw1xnFKS5FzS8='; "
	       "style-src 'sha256-l1pHfmVQ++9rgUlhu7Q7flfG3XMU5/n5G+iuFf5IGTg='; "
	       "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'\r\n"
	       "X-Content-Type-Options: nosniff\r\n"
	       "Referrer-Policy: no-referrer\r\n"
	       "Cache-Control: no-cache\r\n";
}
