/* SPDX-License-Identifier: MIT */
/*
 * page.h - the status page, GET / (control.md §2.7): one HTML file (page.html) that fetches nothing but /events, /list
 * and /info of the daemon that serves it. Constants; any thread.
 */
#ifndef RIVULET_CONTROL_PAGE_H
#define RIVULET_CONTROL_PAGE_H

#include "lib/base/buf.h"
#include "lib/base/err.h"

/* Its bytes, unpacked. -1 only without memory. */
int page_html(struct buf *out, struct err *e);
/*
 * Field lines of its reply ("Name: value\r\n"). The policy allows its own script and style, by their hashes, and
 * requests to where it came from: whatever a database or an error is called, no other script runs.
 */
const char *page_fields(void);

#endif
