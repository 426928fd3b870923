"""Measured images: formats, frames that belong together, corrections, and what is refused."""

import h5py
import numpy as np
import pytest
import tifffile

from specksim.images import (
    Correction,
    frame_pairs,
    mean_image,
    open_images,
    read_image,
    read_images,
    source_files,
)

STACK = np.arange(3 * 5 * 7, dtype=np.uint16).reshape(3, 5, 7)


def write(path, values, **options):
    """Write an image in the format of the path's ending; returns what names it."""
    if path.suffix == ".npy":
        np.save(path, values)
    elif path.suffix == ".h5":
        with h5py.File(path, "w") as file:
            file.create_dataset("a/b", data=values, **options)
        return f"{path}::/a/b"
    else:
        tifffile.imwrite(path, values, **options)
    return str(path)


FORMATS = [
    ("i.npy", {}),
    ("i.h5", {"compression": "gzip"}),
    ("i.tif", {"photometric": "minisblack"}),
    ("i.TIFF", {"photometric": "minisblack", "metadata": None}),
    ("i.tif", {"photometric": "minisblack", "compression": "zlib"}),
    ("i.tif", {"imagej": True}),
    ("i.tif", {"photometric": "minisblack", "byteorder": ">"}),
]


@pytest.mark.parametrize(("name", "options"), FORMATS)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_every_format_gives_the_frames(tmp_path, name, options, dtype):
    source = write(tmp_path / name, STACK.astype(dtype), **options)
    with open_images(source) as images:
        assert images.shape == (3, 5, 7)
        assert len(images) == 3
        assert images[1].dtype == np.float32
        np.testing.assert_array_equal(images[1], STACK[1])
        np.testing.assert_array_equal(images[-1], STACK[2])
        with pytest.raises(IndexError):
            images[3]
    np.testing.assert_array_equal(read_images(source), STACK)
    np.testing.assert_array_equal(mean_image(source), STACK.mean(axis=0))


@pytest.mark.parametrize("name", ["i.npy", "i.h5", "i.tif"])
def test_one_image(tmp_path, name):
    np.testing.assert_array_equal(read_image(write(tmp_path / name, STACK[0])), STACK[0])


def test_leading_axes_count_frames(tmp_path):
    """The images of a data set: (pair, exposure, row, column)."""
    values = np.arange(2 * 3 * 4 * 5, dtype=np.float32).reshape(2, 3, 4, 5)
    for name in ("i.npy", "i.h5"):
        np.testing.assert_array_equal(read_images(write(tmp_path / name, values)), values.reshape(6, 4, 5))


@pytest.mark.parametrize("contiguous", [True, False])
def test_pages_are_read_one_at_a_time(tmp_path, contiguous):
    path = tmp_path / "i.tif"
    with tifffile.TiffWriter(path) as tiff:
        for k in range(4):
            values = np.full((4, 4), np.nan if k == 3 else k, np.float32)
            tiff.write(values, contiguous=contiguous)
    with open_images(path) as images:
        assert images.shape == (4, 4, 4)
        np.testing.assert_array_equal(images[2], 2)
        with pytest.raises(ValueError, match=r"frame 3 must be finite, got nan at row 0, column 0 \(16 such"):
            images[3]


def test_pages_of_several_sizes(tmp_path):
    with tifffile.TiffWriter(tmp_path / "i.tif") as tiff:
        tiff.write(STACK[0])
        tiff.write(STACK[0].T)
    with pytest.raises(ValueError, match="all pages must be of one shape"):
        read_images(tmp_path / "i.tif")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.full((4, 4), np.nan), "frame 0 must be finite, got nan"),
        (np.full((4, 4), np.inf), "frame 0 must be finite, got inf"),
        (np.full((4, 4), -2, np.int16), "frame 0 must be >= 0, got -2 at row 0, column 0"),
        (np.zeros(4), "must hold images"),
        (np.zeros((0, 4, 4)), "must hold images"),
        (np.zeros((4, 4), complex), "pixels must be integers or floats, got complex128"),
        (np.zeros((4, 4), bool), "pixels must be integers or floats, got bool"),
    ],
)
@pytest.mark.parametrize("name", ["i.npy", "i.h5"])
def test_values_that_are_no_counts(tmp_path, name, values, message):
    source = write(tmp_path / name, values)
    with pytest.raises(ValueError, match=message) as caught:
        read_image(source)
    assert str(caught.value).startswith(source)


@pytest.mark.parametrize("name", ["i.npy", "i.tif", "i.h5::/a"])
def test_files_that_are_no_images(tmp_path, name):
    path = tmp_path / name.partition("::")[0]
    source = str(tmp_path / name)
    with pytest.raises(FileNotFoundError):
        read_image(source)
    path.touch()
    with pytest.raises(ValueError, match="the file is empty"):
        read_image(source)
    path.write_bytes(b"this is no image, whatever its name says" * 10)
    with pytest.raises(ValueError, match=r"i\.\w+.*not a"):
        read_image(source)


def test_what_is_named_wrongly(tmp_path):
    source = write(tmp_path / "i.h5", STACK)
    with pytest.raises(ValueError, match="/x cannot be opened"):
        read_image(f"{tmp_path / 'i.h5'}::/x")
    for name in (tmp_path / "i.h5", f"{tmp_path / 'i.h5'}::/a"):
        with pytest.raises(ValueError, match="images in the file: /a/b"):
            read_image(name)
    with pytest.raises(ValueError, match="must hold one image, got 3"):
        read_image(source)
    with pytest.raises(ValueError, match=r"must be TIFF.*got '.png'"):
        read_image(tmp_path / "i.png")
    write(tmp_path / "i.npy", STACK)
    with pytest.raises(ValueError, match="HDF5 files only"):
        read_image(f"{tmp_path / 'i.npy'}::/a")


def test_coloured_tiff(tmp_path):
    source = write(tmp_path / "i.tif", np.zeros((8, 8, 3), np.uint8), photometric="rgb")
    with pytest.raises(ValueError, match="greyscale"):
        read_image(source)


@pytest.mark.parametrize("compression", [None, "lzw", "zlib"])
def test_stacks_and_compressed_images_of_other_programs(tmp_path, compression):
    images = np.random.default_rng(0).integers(0, 60_000, (3, 32, 48), np.uint16)
    stack, single = tmp_path / "stack.tif", tmp_path / "single.tif"
    tifffile.imwrite(
        stack, images, photometric="rgb", planarconfig="separate"
    )  # as of three frames by default
    tifffile.imwrite(single, images[0], compression=compression)
    with open_images(stack) as frames:
        assert frames.shape == (3, 32, 48)
        assert np.array_equal(np.stack([frames[k] for k in range(3)]), images)
    with open_images(single) as frames:
        assert np.array_equal(frames[0], images[0])


def test_truncated_tiff(tmp_path):
    path = tmp_path / "i.tif"
    write(path, STACK, photometric="minisblack", compression="zlib", metadata=None)
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(ValueError, match=r"i\.tif"):
        read_images(path)


def test_objects_in_a_numpy_file_are_not_executed(tmp_path):
    np.save(tmp_path / "i.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match="not a NumPy file"):
        read_image(tmp_path / "i.npy")


def test_frames_that_belong_together(tmp_path):
    one, three = write(tmp_path / "1.npy", STACK[:1]), write(tmp_path / "3.npy", STACK)
    with open_images(one) as reference, open_images(three) as sample:
        pairs = list(frame_pairs(reference, sample))
        assert len(pairs) == 3
        np.testing.assert_array_equal(pairs[2][0], STACK[0])
        np.testing.assert_array_equal(pairs[2][1], STACK[2])
        pairs = list(frame_pairs(sample, sample))
        np.testing.assert_array_equal(pairs[2][0], STACK[2])
        with pytest.raises(
            ValueError, match=r"3\.npy: must hold one frame or as many as .*1\.npy .1., got 3"
        ):
            frame_pairs(sample, reference)
    with (
        open_images(one) as reference,
        open_images(write(tmp_path / "t.npy", STACK[0].T)) as sample,
        pytest.raises(ValueError, match=r"1\.npy and .*t\.npy: frames must be of one size"),
    ):
        frame_pairs(reference, sample)


def test_correction_undoes_what_a_camera_does():
    rng = np.random.default_rng(1)
    truth = rng.uniform(50.0, 150.0, (6, 8)).astype(np.float32)
    beam, dark = rng.uniform(0.5, 1.5, (2, 6, 8)).astype(np.float32)
    beam /= beam.mean()
    flat = 100.0 * beam + 10.0 * dark
    corrected = Correction(10.0 * dark, flat).apply(truth * beam + 10.0 * dark)
    np.testing.assert_allclose(corrected, truth, rtol=1e-5)
    assert corrected.dtype == np.float32
    np.testing.assert_array_equal(Correction().apply(truth), truth)
    np.testing.assert_allclose(Correction(flat=beam).apply(truth * beam), truth, rtol=1e-5)
    np.testing.assert_array_equal(Correction(dark=truth + 1).apply(truth), 0.0)


def test_dead_pixels_take_their_neighbours_value():
    flat = np.full((5, 5), 10.0, np.float32)
    flat[2, 2] = 0.0
    image = np.full((5, 5), 7.0, np.float32)
    image[2, 2] = 0.0
    np.testing.assert_array_equal(Correction(flat=flat).apply(image), 7.0)


def test_wrong_corrections(tmp_path):
    flat = np.ones((4, 4), np.float32)
    with pytest.raises(ValueError, match="one shape"):
        Correction(np.ones((4, 5)), flat)
    with pytest.raises(ValueError, match="flat must exceed dark"):
        Correction(flat, flat)
    with pytest.raises(ValueError, match=r"flat must have the shape \(4, 5\) of the images"):
        Correction(flat=flat).apply(np.ones((4, 5)))
    source = write(tmp_path / "f.npy", flat)
    with pytest.raises(ValueError, match=r"f\.npy.*flat must exceed dark"):
        Correction.read(source, source)
    np.testing.assert_array_equal(Correction.read(flat=source).flat, flat)


def test_a_pattern_stands_for_its_files(tmp_path):
    frames = np.arange(12 * 4 * 5, dtype=np.uint16).reshape(12, 4, 5)
    for number, frame in enumerate(frames):
        write(tmp_path / f"Y{number}_T0.tif", frame)
    pattern = str(tmp_path / "Y*_T0.tif")
    np.testing.assert_array_equal(read_images(pattern), frames)  # Y2 ahead of Y10
    np.testing.assert_array_equal(mean_image(pattern), frames.mean(axis=0, dtype=np.float32))
    np.testing.assert_array_equal(read_image(str(tmp_path / "Y[1]_T?.tif")), frames[1])
    names = [name.rpartition("/")[2] for name in source_files(tmp_path / "Y1*.tif")]
    assert names == ["Y1_T0.tif", "Y10_T0.tif", "Y11_T0.tif"]
    for number in range(3):
        write(tmp_path / f"scan{number}.h5", frames[4 * number : 4 * number + 4])
    np.testing.assert_array_equal(read_images(f"{tmp_path}/scan*.h5::/a/b"), frames)


def test_patterns_that_stand_for_no_stack(tmp_path):
    with (
        pytest.raises(FileNotFoundError, match="no file is of this pattern"),
        open_images(tmp_path / "*.tif"),
    ):
        pass
    write(tmp_path / "a1.tif", STACK[0])
    write(tmp_path / "a2.tif", STACK[0][:, :-1])
    message = r"a\*.tif: files must be of one size, got \(5, 7\) in .*a1.tif and \(5, 6\) in .*a2.tif"
    with pytest.raises(ValueError, match=message), open_images(tmp_path / "a*.tif"):
        pass
    (tmp_path / "a2.tif").write_bytes(b"no picture")
    with pytest.raises(ValueError, match=r"a2.tif: not a TIFF file"), open_images(tmp_path / "a*.tif"):
        pass


def test_a_name_with_such_signs_is_a_name(tmp_path):
    source = write(tmp_path / "a[1].tif", STACK[0])
    write(tmp_path / "a1.tif", STACK[1])
    np.testing.assert_array_equal(read_image(source), STACK[0])
    assert source_files(source) == [source]
