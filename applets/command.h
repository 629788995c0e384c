/* SPDX-License-Identifier: MIT */
/*
 * command.h - a command line in one word, split as a shell would, without expanding anything (control.md §5.5).
 *
 * Blanks and newlines separate; '…', "…" and \x quote; $ and ` are literal; an unquoted ; & | < > ends the command;
 * an unquoted parenthesis or an open quote is an error.
 */
#ifndef RIVULET_APPLETS_COMMAND_H
#define RIVULET_APPLETS_COMMAND_H

#include "lib/base/err.h"

/* *argv ends with NULL; one block, to be freed by the caller. No word at all is an error too. */
int command_split(const char *text, char ***argv, struct err *e);

#endif
