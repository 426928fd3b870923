"""Measured images: TIFF, HDF5 and NumPy files, a frame at a time, with dark and flat correction."""

import contextlib
import errno
import glob
import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import tifffile

from specksim.filling import from_nearest

_TIFF = (".tif", ".tiff")
_HDF5 = (".h5", ".hdf5", ".hdf", ".nxs", ".nx5")
_SEPARATOR = "::"
_MOST_NAMED = 8  # data sets, where a file holds several images
_PATTERN_SIGNS = "*?["


@dataclass(frozen=True)
class ImageStack(Sequence[np.ndarray]):
    """Frames of a file, read when they are asked for. Made by `open_images`.

    Attributes
    ----------
    source : str
        The file as it was named, for messages.
    shape : (int, int, int)
        Frames, rows, columns.
    """

    source: str
    shape: tuple[int, int, int]
    _read: Callable[[int], np.ndarray]

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: Any) -> Any:
        """Frame `index`, (H, W) float32, checked.

        Raises
        ------
        IndexError
            If there is no such frame.
        ValueError
            If the frame cannot be read, or holds NaN, infinite or negative values.
        """
        if not -len(self) <= index < len(self):
            raise IndexError(f"{self.source}: frame {index} of {len(self)}")
        index %= len(self)
        try:
            frame = np.asarray(self._read(index))
        except Exception as error:  # codecs raise whatever they please on damaged data
            raise ValueError(f"{self.source}: frame {index} cannot be read: {error}") from None
        if frame.shape != self.shape[1:]:
            raise ValueError(f"{self.source}: frame {index} must be {self.shape[1:]}, got {frame.shape}")
        _check_values(f"{self.source}: frame {index}", frame)
        return frame.astype(np.float32)


def _check_values(name: str, frame: np.ndarray) -> None:
    for rule, wrong in (("finite", ~np.isfinite(frame)), (">= 0", frame < 0)):
        if wrong.any():
            row, column = np.argwhere(wrong)[0]
            raise ValueError(
                f"{name} must be {rule}, got {frame[row, column]} at row {row}, column {column} "
                f"({wrong.sum()} such pixels)"
            )


@contextlib.contextmanager
def open_images(source: str | os.PathLike[str]) -> Iterator[ImageStack]:
    """Open an image or a stack of images.

    Parameters
    ----------
    source : path-like
        A TIFF file (each page a frame), `FILE.h5::/path/of/data`, or a NumPy file (.npy). Axes ahead of the
        last two, (row, column), count frames. With `*`, `?` or `[…]` in it, and no such file: all files of
        that pattern, one behind the other, see `source_files`.

    Yields
    ------
    ImageStack
        Frames as (H, W) float32, read one at a time.

    Raises
    ------
    ValueError
        If the file is no greyscale image in one of these formats, or holds no frame, or the files of a
        pattern differ in size; names the file.
    OSError
        If the file does not exist or may not be read, or no file is of the pattern.
    """
    name = os.fspath(source)
    files = source_files(name)
    if files != [name]:
        yield _open_files(name, files)
        return
    file, separator, inner = name.partition(_SEPARATOR)
    suffix = Path(file).suffix.lower()
    openers = {**dict.fromkeys(_TIFF, _open_tiff), **dict.fromkeys(_HDF5, _open_hdf5), ".npy": _open_numpy}
    if suffix not in openers:
        raise ValueError(
            f"{name}: must be TIFF (.tif), HDF5 (FILE.h5::/path) or NumPy (.npy), got {suffix!r}"
        )
    if separator and suffix not in _HDF5:
        raise ValueError(f"{name}: {_SEPARATOR} goes with HDF5 files only")
    with Path(file).open("rb") as handle:  # the system's own word where the file is missing
        if not handle.read(1):
            raise ValueError(f"{name}: the file is empty")
    with contextlib.ExitStack() as stack:
        shape, dtype, read = openers[suffix](name, file, inner, stack)
        if len(shape) < 2 or min(shape) == 0:
            raise ValueError(f"{name}: must hold images (…, rows, columns), got shape {shape}")
        if np.dtype(dtype).kind not in "uif":
            raise ValueError(f"{name}: pixels must be integers or floats, got {dtype}")
        rows, columns = shape[-2:]
        yield ImageStack(name, (int(np.prod(shape[:-2])), rows, columns), read)


def source_files(source: str | os.PathLike[str]) -> list[str]:
    """The files that a source of images stands for: itself, or those of its pattern.

    Parameters
    ----------
    source : path-like
        As `open_images`.

    Returns
    -------
    list of str
        Sources of one file each, numbers in their names by value: Y2 ahead of Y10.

    Raises
    ------
    FileNotFoundError
        If no file is of the pattern.
    """
    name = os.fspath(source)
    pattern, separator, inner = name.partition(_SEPARATOR)
    if not any(sign in pattern for sign in _PATTERN_SIGNS) or Path(pattern).exists():
        return [name]
    found = sorted(glob.glob(pattern), key=_numbers_by_value)  # noqa: PTH207  pathlib's drops what leads up
    if not found:
        raise FileNotFoundError(errno.ENOENT, "no file is of this pattern", pattern)
    return [f"{file}{separator}{inner}" for file in found]


def _numbers_by_value(name: str) -> list[tuple[int, str]]:
    parts = re.split(r"([0-9]+)", name)
    return [(int(part), "") if place % 2 else (-1, part) for place, part in enumerate(parts)]


def _open_files(name: str, files: list[str]) -> ImageStack:
    """Frames of several files, each opened when a frame of it is asked for: there may be many."""
    shapes = []
    for file in files:
        with open_images(file) as images:
            shapes.append(images.shape)
        if shapes[-1][1:] != shapes[0][1:]:
            raise ValueError(
                f"{name}: files must be of one size, got {shapes[0][1:]} in {files[0]} "
                f"and {shapes[-1][1:]} in {file}"
            )
    places = [(file, k) for file, shape in zip(files, shapes, strict=True) for k in range(shape[0])]

    def read(index: int) -> np.ndarray:
        file, frame = places[index]
        with open_images(file) as images:
            return np.asarray(images[frame])

    return ImageStack(name, (len(places), *shapes[0][1:]), read)


_Opened = tuple[tuple[int, ...], Any, Callable[[int], np.ndarray]]


def _open_tiff(name: str, file: str, _: str, stack: contextlib.ExitStack) -> _Opened:
    try:
        tiff = stack.enter_context(tifffile.TiffFile(file))
        parts = tiff.series  # pages written one by one are a series each
    except Exception as error:  # tifffile passes on what damaged tags make of struct, index and so on
        raise ValueError(f"{name}: not a TIFF file, or damaged: {error}") from None
    if not parts:
        raise ValueError(f"{name}: must hold images, got none")
    first = parts[0]
    if any(part.shape != first.shape or part.dtype != first.dtype for part in parts):
        raise ValueError(f"{name}: all pages must be of one shape and type, got {len(parts)} kinds")
    planes = first.axes == "SYX"  # how a stack of 3 or 4 frames is written unless one says otherwise
    if not first.axes.endswith("YX") or not (planes or first.keyframe.samplesperpixel == 1):
        raise ValueError(f"{name}: must be a greyscale image, got shape {first.shape} ({first.axes})")
    readers = [_tiff_reader(name, file, tiff.byteorder, part) for part in parts]
    frames = int(np.prod(first.shape[:-2]))
    shape = (len(parts) * frames, *first.shape[-2:])
    return shape, first.dtype, lambda index: readers[index // frames](index % frames)


def _tiff_reader(
    name: str, file: str, byteorder: str, series: tifffile.TiffPageSeries
) -> Callable[[int], np.ndarray]:
    frames = int(np.prod(series.shape[:-2]))
    if len(series.pages) == frames:

        def read_page(index: int) -> np.ndarray:
            page = series.pages[index]
            if page is None:
                raise ValueError("the page is missing")
            return page.asarray()

        return read_page
    # one page that holds many frames behind each other: how ImageJ and tifffile write stacks
    if series.dataoffset is None:
        raise ValueError(
            f"{name}: {frames} frames in {len(series.pages)} compressed pages cannot be streamed"
        )
    dtype = np.dtype(byteorder + series.dtype.char)
    mapped = np.memmap(file, dtype, "r", series.dataoffset, (frames, *series.shape[-2:]))
    return lambda index: mapped[index]


def _open_hdf5(name: str, file: str, inner: str, stack: contextlib.ExitStack) -> _Opened:
    import hdf5plugin  # noqa: F401  registers the filters of compressed detector files; takes its time

    try:
        opened = stack.enter_context(h5py.File(file, "r"))
    except OSError as error:
        raise ValueError(f"{name}: not an HDF5 file, or damaged: {error}") from None
    try:
        data = opened[inner] if inner.strip("/") else opened
    except (KeyError, OSError, RuntimeError) as error:
        raise ValueError(f"{name}: {inner} cannot be opened: {error}") from None
    if not isinstance(data, h5py.Dataset):
        there = ", ".join(_image_paths(opened)) or "none"
        raise ValueError(f"{name}: name the images as FILE{_SEPARATOR}/path; images in the file: {there}")
    frames = data.shape[:-2]
    return data.shape, data.dtype, lambda index: data[np.unravel_index(index, frames) if frames else ()]


def _image_paths(file: h5py.File) -> list[str]:
    found: list[str] = []

    def visit(path: str, node: Any) -> bool | None:
        if isinstance(node, h5py.Dataset) and node.ndim >= 2 and node.dtype.kind in "uif":
            found.append(f"/{path}")
        return True if len(found) == _MOST_NAMED else None

    file.visititems(visit)
    return found


def _open_numpy(name: str, file: str, _: str, __: contextlib.ExitStack) -> _Opened:
    try:
        values = np.load(file, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise ValueError(f"{name}: not a NumPy file, or damaged: {error}") from None
    frames = values.shape[:-2]
    return (
        values.shape,
        values.dtype,
        lambda index: values[np.unravel_index(index, frames) if frames else ()],
    )


def read_images(source: str | os.PathLike[str]) -> np.ndarray:
    """All frames of a file at once, (n, H, W) float32; see `open_images` for formats and errors."""
    with open_images(source) as images:
        return np.stack(list(images))


def read_image(source: str | os.PathLike[str]) -> np.ndarray:
    """The one image of a file.

    Returns
    -------
    (H, W) float32

    Raises
    ------
    ValueError, OSError
        As `open_images`; also if the file holds more than one frame.
    """
    with open_images(source) as images:
        if len(images) != 1:
            raise ValueError(f"{images.source}: must hold one image, got {len(images)}")
        frame: np.ndarray = images[0]
        return frame


def frame_pairs(reference: ImageStack, sample: ImageStack) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Reference and sample frames that belong together: one to one, or one reference for all.

    Raises
    ------
    ValueError
        If the frames differ in size or number; names both files. Raised by the call, not by the first frame.
    """
    if reference.shape[1:] != sample.shape[1:]:
        raise ValueError(
            f"{reference.source} and {sample.source}: frames must be of one size, "
            f"got {reference.shape[1:]} and {sample.shape[1:]}"
        )
    if len(reference) not in (1, len(sample)):
        raise ValueError(
            f"{reference.source}: must hold one frame or as many as {sample.source} ({len(sample)}), "
            f"got {len(reference)}"
        )

    def pairs() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        shared = reference[0] if len(reference) == 1 else None
        for index in range(len(sample)):
            yield reference[index] if shared is None else shared, sample[index]

    return pairs()


@dataclass(frozen=True)
class Correction:
    """Dark and flat correction that keeps the scale of the counts.

    Attributes
    ----------
    dark : (H, W) float32 or None
        Counts without beam, subtracted.
    flat : (H, W) float32 or None
        Counts of the beam without sandpaper and object, before the dark is taken off. Divided by, and
        multiplied by its mean again, so that counts stay about what they were.

    Raises
    ------
    ValueError
        If dark and flat are not 2-D and of one shape, or the flat nowhere exceeds the dark.
    """

    dark: np.ndarray | None = None
    flat: np.ndarray | None = None

    def __post_init__(self) -> None:
        shapes = {np.shape(image) for image in (self.dark, self.flat) if image is not None}
        if any(len(shape) != 2 for shape in shapes) or len(shapes) > 1:
            raise ValueError(f"dark and flat must be of one shape (H, W), got {sorted(shapes)}")
        if self.flat is not None and not (self.flat > (0.0 if self.dark is None else self.dark)).any():
            raise ValueError("flat must exceed dark somewhere, got none such pixel")

    @classmethod
    def read(
        cls, dark: str | os.PathLike[str] | None = None, flat: str | os.PathLike[str] | None = None
    ) -> "Correction":
        """Read the images; the mean over the frames where a file holds several.

        Raises
        ------
        ValueError, OSError
            As `open_images`, and as on construction, naming the files.
        """
        means = [None if source is None else mean_image(source) for source in (dark, flat)]
        try:
            return cls(*means)
        except ValueError as error:
            given = ", ".join(str(source) for source in (dark, flat) if source is not None)
            raise ValueError(f"{given}: {error}") from None

    def apply(self, image: np.ndarray) -> np.ndarray:
        """The corrected image, (H, W) float32, >= 0.

        Pixels without light in the flat are dead and take the value of the nearest live one; noise below
        the dark becomes 0.

        Raises
        ------
        ValueError
            If the image has another shape than dark and flat.
        """
        for name, own in (("dark", self.dark), ("flat", self.flat)):
            if own is not None and own.shape != image.shape:
                raise ValueError(f"{name} must have the shape {image.shape} of the images, got {own.shape}")
        corrected = image if self.dark is None else image - self.dark
        if self.flat is not None:
            light = self.flat if self.dark is None else self.flat - self.dark
            live = light > 0
            corrected = np.divide(corrected, light, out=np.zeros_like(light), where=live) * light[live].mean()
            corrected = from_nearest(corrected, live)
        return np.maximum(corrected, 0.0).astype(np.float32)


def mean_image(source: str | os.PathLike[str]) -> np.ndarray:
    """Mean over the frames of a file, (H, W) float32, read one at a time; errors as `open_images`."""
    with open_images(source) as images:
        total = np.zeros(images.shape[1:])
        for frame in images:
            total += frame
        return (total / len(images)).astype(np.float32)
