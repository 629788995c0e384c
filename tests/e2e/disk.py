# SPDX-License-Identifier: MIT
"""File systems of a test's own. They are mounted in a name space of the test's process and vanish with it."""
import ctypes
import os
import subprocess

import lib

CLONE_NEWNS = 0x20000
_entered = False


def _enter():
    """From here on this process and what it starts have mounts that nobody else sees."""
    global _entered
    if _entered:
        return
    if os.geteuid() != 0:
        lib.skip("needs root for a mount")
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNS) != 0:
        lib.skip("a name space for mounts is not permitted: " + os.strerror(ctypes.get_errno()))
    _mount("--make-rprivate", "/")
    _entered = True


def _mount(*args):
    r = subprocess.run(["mount", *args], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if r.returncode:
        lib.skip("mount %s: %s" % (" ".join(args), r.stdout.decode().strip()))


def small(path, kilobytes):
    """A file system of its own at path, which is made."""
    _enter()
    os.makedirs(path, exist_ok=True)
    _mount("-t", "tmpfs", "-o", "size=%dk,mode=0755" % kilobytes, "none", path)
    return path


def grow(path, kilobytes):
    _mount("-o", "remount,size=%dk" % kilobytes, path)


def read_only(path):
    _enter()
    _mount("--bind", path, path)
    _mount("-o", "remount,ro,bind", path)


def writable(path):
    _mount("-o", "remount,rw,bind", path)
