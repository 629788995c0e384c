/* SPDX-License-Identifier: MIT */
#include "lib/control/page.h"

/* The assembler takes the file as it is; the Makefile knows that this object depends on it. */
__asm__(".pushsection .rodata.page_html, \"a\"\n"
        ".hidden page_html_begin\n"
        ".hidden page_html_end\n"
        ".global page_html_begin\n"
        ".global page_html_end\n"
        "page_html_begin:\n"
        ".incbin \"lib/control/page.html\"\n"
        "page_html_end:\n"
        ".byte 0\n"
        ".popsection\n");
extern const char page_html_begin[] __attribute__((visibility("hidden")));
extern const char page_html_end[] __attribute__((visibility("hidden")));

const char *page_html(size_t *n)
{
	*n = (size_t)(page_html_end - page_html_begin);
	return page_html_begin;
}

/* After a change of page.html test_control_page says what the hashes must be. */
const char *page_fields(void)
{
	return "Content-Type: text/html; charset=utf-8\r\n"
	       "Content-Security-Policy: default-src 'none'; "
	       "script-src 'sha256-xLzs8EFIun/vclHDjHkXBN4y62GxS9FYYBwNP7JKxh4='; "
	       "style-src 'sha256-l1pHfmVQ++9rgUlhu7Q7flfG3XMU5/n5G+iuFf5IGTg='; "
	       "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'\r\n"
	       "X-Content-Type-Options: nosniff\r\n"
	       "Referrer-Policy: no-referrer\r\n"
	       "Cache-Control: no-cache\r\n";
}
