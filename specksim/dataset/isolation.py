"""Checks in a process of their own: the HDF5 library may crash, or never end, on a damaged file."""

import multiprocessing
import signal
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from specksim.dataset.checks import find_problems, find_problems_of_all
from specksim.dataset.reader import open_dataset

_PATIENCE_SECONDS = 300


def check_file(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Check a file in a process of its own.

    Parameters
    ----------
    path : Path

    Yields
    ------
    pairs : int
        Number of pairs, the same each time.
    problems : list of str
        Of each pair in turn, see `checks.find_problems`; then of the file, `checks.find_problems_of_all`.

    Raises
    ------
    ValueError
        If the file is not a data set or so damaged that reading it fails, crashes, or does not end: the check
        of one pair may take five minutes.
    OSError
        If the file does not exist or may not be read.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_check, args=(path, theirs), daemon=True)
    process.start()
    theirs.close()
    try:
        while (message := _receive(path, ours, process)) is not None:
            if isinstance(message, Exception):
                raise message
            yield message
    finally:
        process.kill()
        process.join()


def _receive(path: Path, pipe: Connection, process: Any) -> Any:
    if not pipe.poll(_PATIENCE_SECONDS):
        raise ValueError(f"{path}: damaged: reading it does not end within {_PATIENCE_SECONDS} s")
    try:
        return pipe.recv()
    except EOFError:
        process.join()
        ending = process.exitcode
        how = f"signal {-ending}" if ending < 0 else f"exit status {ending}"
        raise ValueError(f"{path}: damaged: the HDF5 library crashes on it ({how})") from None


def _check(path: Path, pipe: Connection) -> None:
    """In the child: send the number of pairs, all problems, and None; or the error that ends the check."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends us
    try:
        with open_dataset(path) as dataset:
            pairs = len(dataset)
            for row in range(pairs):
                pipe.send((pairs, [f"pair {row}, {problem}" for problem in find_problems(dataset, row)]))
            pipe.send((pairs, list(find_problems_of_all(dataset))))
        pipe.send(None)
    except BrokenPipeError:  # the parent is gone
        pass
    except (ValueError, OSError) as error:
        pipe.send(error)
