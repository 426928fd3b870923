"""Names, types and attributes of everything in a file."""

import hashlib
import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from specksim.detector import count_dtype
from specksim.setups import Setup

VERSION = 1
PROGRAM = "specksim"
DATA = "/entry/data"
PARAMETERS = "/entry/parameters"
SETUP = "/entry/setup"
SIGNAL = "sample"
AUXILIARY = ("reference",)
PARAMETER_CHECKSUM = "parameters"
COMPRESSIONS = ("none", "bitshuffle", "gzip")


@dataclass(frozen=True)
class Field:
    """One data set of images in /entry/data, a row a pair."""

    name: str
    dtype: Any
    units: str
    long_name: str
    exposures: bool = False  # one image for each position of the sandpaper: (n, k, H, W), else (n, H, W)


def fields(setup: Setup) -> tuple[Field, ...]:
    """The fields of a data set with this setup."""
    counts = count_dtype(setup)
    units = "relative" if counts is np.float32 else "counts"
    return (
        Field("reference", counts, units, "reference image", exposures=True),
        Field("sample", counts, units, "sample image", exposures=True),
        Field("dx", np.float32, "pixel", "displacement along columns, reference to sample"),
        Field("dy", np.float32, "pixel", "displacement along rows, reference to sample"),
        Field("phase", np.float32, "radian", "phase shift of the object"),
        Field("transmission", np.float32, "", "intensity transmission of the object"),
        Field("valid", np.uint8, "", "1 where ray optics holds, 0 around rims"),
    )


def row_shape(field: Field, setup: Setup, steps: int) -> tuple[int, ...]:
    """Shape of one pair's row of a field."""
    frame = setup.detector.shape
    return (steps, *frame) if field.exposures else frame


def pair_bytes(setup: Setup, steps: int) -> int:
    """Bytes of one pair without compression."""
    return sum(
        int(np.prod(row_shape(field, setup, steps))) * np.dtype(field.dtype).itemsize
        for field in fields(setup)
    )


def checksummed(setup: Setup) -> tuple[str, ...]:
    """What has a checksum in each row: every field, and the parameters together."""
    return (*(field.name for field in fields(setup)), PARAMETER_CHECKSUM)


def checksum_name(field: str) -> str:
    """Column of /entry/parameters that holds the CRC-32 of each row of a field."""
    return f"crc32_{field}"


def is_checksum(column: str) -> bool:
    """Whether a column of /entry/parameters holds checksums."""
    return column.startswith("crc32_")


def checksum(values: np.ndarray) -> int:
    """CRC-32 of an array's bytes, in C order."""
    return zlib.crc32(np.ascontiguousarray(values).data)


def parameter_checksum(columns: Mapping[str, Any]) -> int:
    """CRC-32 of a pair's parameters: geometry, material, scene (as text), index, step_offset."""
    text = json.dumps([columns["geometry"], columns["material"], columns["scene"], int(columns["index"])])
    offsets = np.ascontiguousarray(columns["step_offset"], dtype="<f8").tobytes()
    return zlib.crc32(offsets, zlib.crc32(text.encode()))


def content_hash(request: bytes, checksums: Mapping[str, np.ndarray]) -> str:
    """SHA-256 over a request and all checksums: equal for equal data."""
    digest = hashlib.sha256(request)
    for name in sorted(checksums):
        digest.update(checksums[name].astype("<u4").tobytes())
    return digest.hexdigest()
