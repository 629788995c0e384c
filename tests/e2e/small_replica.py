# SPDX-License-Identifier: MIT
"""A replica of two files, made without a daemon, and what came out of it."""
import shutil

import lib

T0 = 1_700_000_000  # 2023-11-14T22:13:20Z


def url(path):
    return "file://" + path


def replica(t):
    """A replica with L9 1..3 at T0 and L0 4 at T0 + 10; the database at 3 and at 4."""
    db = t.database("source.db", rows=50)
    shutil.copy(db, t.path("at3.db"))
    before, _ = lib.database_pages(db)
    lib.put_snapshot(t.path("rep"), db, 9, 3, T0)
    t.insert(db, 20)
    shutil.copy(db, t.path("at4.db"))
    lib.put_change(t.path("rep"), before, db, 0, 4, 4, T0 + 10)
    return t.path("rep")


def same_content(t, restored, source):
    lib.equal(lib.dump(t.path(restored)), lib.dump(t.path(source)), restored)
