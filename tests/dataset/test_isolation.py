"""Checks in a process of their own: a crash or a hang of the HDF5 library is a word about the file."""

import multiprocessing
import os
import signal
import time

import pytest

from specksim.dataset import isolation


def crash(path, pipe):
    os.kill(os.getpid(), signal.SIGSEGV)


def leave(path, pipe):
    os._exit(7)


def hang(path, pipe):
    time.sleep(600)


def test_each_pair_and_then_the_file_is_told(tiny):
    assert list(isolation.check_file(tiny)) == [(5, [])] * 6


def test_errors_come_through(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none.h5"):
        list(isolation.check_file(tmp_path / "none.h5"))
    (tmp_path / "x.h5").write_text("text")
    with pytest.raises(ValueError, match=r"x.h5: not an HDF5 file"):
        list(isolation.check_file(tmp_path / "x.h5"))


@pytest.mark.parametrize(("end", "words"), [(crash, "signal 11"), (leave, "exit status 7")])
def test_a_crash_is_damage(end, words, tiny, monkeypatch):
    monkeypatch.setattr(isolation, "_check", end)
    with pytest.raises(ValueError, match=rf"tiny.h5: damaged: the HDF5 library crashes on it \({words}\)"):
        list(isolation.check_file(tiny))


def test_a_hang_is_damage(tiny, monkeypatch):
    monkeypatch.setattr(isolation, "_check", hang)
    monkeypatch.setattr(isolation, "_PATIENCE_SECONDS", 0.5)
    with pytest.raises(ValueError, match=r"tiny.h5: damaged: reading it does not end within 0.5 s"):
        list(isolation.check_file(tiny))


def test_whoever_stops_listening_ends_the_check(tiny):
    found = isolation.check_file(tiny)
    next(found)
    found.close()
    assert multiprocessing.active_children() == []
