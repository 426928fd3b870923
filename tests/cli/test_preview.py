"""specksim preview"""

import shutil

import pytest
from matplotlib import image


def test_preview_draws_a_picture_beside_the_file(cli, tiny, tmp_path):
    copy = shutil.copy(tiny, tmp_path / "copy.h5")
    done = cli("preview", copy)
    assert (done.status, done.err) == (0, "")
    assert done.out == f"{tmp_path / 'copy.png'}\n"
    height, width = image.imread(tmp_path / "copy.png").shape[:2]
    assert 1000 < width < 3000
    assert 500 < height < width


def test_pairs_are_counted_from_the_end_too(cli, tiny, tmp_path):
    assert cli("preview", tiny, "--pair", 3, "-o", tmp_path / "a.png").status == 0
    assert cli("preview", tiny, "--pair", -1, "-o", tmp_path / "b.png").status == 0
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


@pytest.mark.parametrize("row", [4, -5, 1000])
def test_a_pair_that_is_not_there(row, cli, tiny, tmp_path):
    done = cli("preview", tiny, "--pair", row, "-o", tmp_path / "p.png")
    assert done.status == 2
    assert f"-4..3, got {row}" in done.err
    assert not (tmp_path / "p.png").exists()


def test_a_folder_that_is_not_there(cli, tiny, tmp_path):
    error = cli("preview", tiny, "-o", tmp_path / "none" / "p.png").error
    assert str(tmp_path / "none" / "p.png") in error


def test_a_data_set_is_not_overwritten_by_its_picture(cli, tiny):
    before = tiny.read_bytes()
    assert "must end in .png" in cli("preview", tiny, "-o", tiny).error
    renamed = tiny.with_suffix(".png")
    renamed.write_bytes(before)
    assert "is no PNG" in cli("preview", tiny, "-o", renamed).error
    assert renamed.read_bytes() == before
    renamed.unlink()
    assert tiny.read_bytes() == before
