/* SPDX-License-Identifier: MIT */
/*
 * table.h - every applet, one row each: APPLET(name, summary). `applet_NAME` runs it. A row without a summary works but
 * is not listed. In the order in which they are shown. No include guard: it is included once per use.
 */
APPLET(databases, "list the databases of the configuration file")
APPLET(help, "explain a command: help NAME")
APPLET(info, "show what a running daemon is")
APPLET(list, "list the databases of a running daemon")
APPLET(ltx, "list the LTX files of a replica")
APPLET(register, "a running daemon takes a database in")
APPLET(replicate, "follow a database and keep a replica of it")
APPLET(reset, "forget the local state of a database")
APPLET(restore, "bring a database back from a replica")
APPLET(start, "a running daemon begins to replicate a database")
APPLET(status, "show the local state of the configured databases")
APPLET(stop, "a running daemon stops replicating a database")
APPLET(sync, "a running daemon syncs a database now")
APPLET(unregister, "a running daemon lets a database go")
APPLET(version, "print the version")
APPLET(wait, "wait until a database is replicated")
APPLET(wal, NULL)
