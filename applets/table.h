/* SPDX-License-Identifier: MIT */
/*
 * table.h - every applet, one row each: APPLET(name, summary). `applet_NAME` runs it. A row without a summary works but
 * is not listed. In the order in which they are shown. No include guard: it is included once per use.
 */
APPLET(databases, "list the databases of the configuration file")
APPLET(help, "explain a command: help NAME")
APPLET(ltx, "list the LTX files of a replica")
APPLET(replicate, "follow a database and keep a replica of it")
APPLET(reset, "forget the local state of a database")
APPLET(restore, "bring a database back from a replica")
APPLET(status, "show the local state of the configured databases")
APPLET(version, "print the version")
APPLET(wal, NULL)
