/* SPDX-License-Identifier: MIT */
/*
 * tmpdir.h - one fresh folder for a test program, under $TMPDIR or /tmp; removed with all below it when the program
 * ends.
 */
#ifndef TESTS_TMPDIR_H
#define TESTS_TMPDIR_H

const char *tmpdir(void);
/* "TMPDIR/NAME" in one of eight buffers that take turns. */
const char *tmppath(const char *name);

#endif
