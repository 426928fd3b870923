"""Files that appear in one piece: the old one, or the new one."""

import os
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

DAMAGED_NPZ = (ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error)
"""What NumPy raises for an .npz file that is none, or is not whole."""


def write_atomically(path: Path, write: Callable[[Path], Any]) -> None:
    """Have `write` fill a file beside `path`, with the same ending, then put it in its place."""
    part = path.with_name(f".part-{path.name}")
    try:
        write(part)
        with part.open("rb") as file:
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file, in one piece."""
    write_atomically(path, lambda part: part.write_text(text, encoding="utf-8"))
