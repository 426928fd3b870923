"""specksim check"""

import shutil

import h5py
import pytest


@pytest.fixture
def copy(tiny, tmp_path):
    return shutil.copy(tiny, tmp_path / "copy.h5")


def test_an_intact_file_passes(cli, tiny):
    done = cli("check", tiny)
    assert (done.status, done.err) == (0, "")
    assert str(tiny) in done.out
    assert "4 pairs" in done.out
    assert len(done.out.splitlines()) == 1


def test_a_corrupted_field_is_named_with_file_and_pair(cli, copy):
    with h5py.File(copy, "r+") as file:
        file["entry/data/phase"][2, 5, 5] = -1.0
    done = cli("check", copy)
    assert done.out == f"{copy}: pair 2, phase: the checksum does not match\n"
    assert str(copy) in done.error


def test_every_problem_has_a_line(cli, copy):
    with h5py.File(copy, "r+") as file:
        file["entry/data/dx"][0, 5, 5] = 0.5
        file["entry/data/valid"][0, 5, 5] = 7
        file["entry/data/sample"][3, 0, 5, 5] = 0
    done = cli("check", copy)
    assert done.status == 1
    lines = done.out.splitlines()
    assert [line.split(": ")[1] for line in lines] == ["pair 0, dx", "pair 0, valid", "pair 3, sample"]
    assert "problems found: 3" in done.error


def test_a_missing_field_is_one_line(cli, copy):
    with h5py.File(copy, "r+") as file:
        del file["entry/data/dy"]
    error = cli("check", copy).error
    assert str(copy) in error
    assert "/entry/data/dy is missing" in error


def test_a_wrong_content_hash_is_told(cli, copy):
    with h5py.File(copy, "r+") as file:
        del file["entry/setup/content_hash"]
        file["entry/setup/content_hash"] = "0" * 64
    done = cli("check", copy)
    assert done.status == 1
    assert "the content hash does not match" in done.out
