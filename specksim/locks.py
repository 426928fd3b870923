"""Runs that write one file are kept apart."""

import contextlib
import errno
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

_NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS)


@contextlib.contextmanager
def lock(target: Path, *, shared: bool = False) -> Iterator[None]:
    """Keep other runs away from a target, or only those that do not share it.

    The lock is `TARGET.lock`; the system lifts it when a process dies. One that is to be shared is waited for
    a moment: who shared it last holds it alone while removing the file.

    Raises
    ------
    OSError
        If another run holds it, or the folder may not be written.
    """
    path = target.with_name(f"{target.name}.lock")
    mode = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    with contextlib.ExitStack() as stack:
        handle = stack.enter_context(path.open("a+"))
        while _taken(target, handle, mode, patience=20 if shared else 0) and not _is_still(path, handle):
            handle = stack.enter_context(path.open("a+"))  # it was removed by its last holder meanwhile
        try:
            yield
        finally:
            with contextlib.suppress(BlockingIOError):  # others that share the target are still at work
                _taken(target, handle, fcntl.LOCK_EX, patience=0)
                path.unlink(missing_ok=True)


def _taken(target: Path, handle: IO[str], mode: int, patience: int) -> bool:
    """Take a lock; False on a file system without locks, where it is the user who keeps runs apart."""
    try:
        fcntl.flock(handle, mode | fcntl.LOCK_NB)
    except BlockingIOError:
        if patience:
            time.sleep(0.1)
            return _taken(target, handle, mode, patience - 1)
        raise BlockingIOError(f"another run is writing {target}") from None
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        return False
    return True


def _is_still(path: Path, handle: IO[str]) -> bool:
    try:
        return path.stat().st_ino == os.fstat(handle.fileno()).st_ino
    except FileNotFoundError:
        return False
