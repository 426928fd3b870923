"""specksim suite"""

import json
import signal
import subprocess
import time

import pytest

from tests.cli.conftest import SETS

SMALL = ["--n-scale", "0.001", "--workers", "1", *SETS]


def hashes(folder):
    return [entry["content_hash"] for entry in json.loads((folder / "manifest.json").read_text())["files"]]


@pytest.fixture(scope="module")
def small(tmp_path_factory, process):
    folder = tmp_path_factory.mktemp("suite") / "data"
    done = process("suite", folder, *SMALL)
    assert done.status == 0, done.err
    assert done.out == f"{folder}: 5 files, 5 pairs, manifest.json, README.md\n"
    return folder


def test_the_card_tells_the_command(small):
    card = (small / "README.md").read_text()
    assert "specksim suite DIR --set detector.rows=32 --set" in card
    assert "--n-scale 0.001\n" in card
    assert "--workers" not in card


def test_a_finished_suite_is_not_touched_without_a_word(small, cli):
    error = cli("suite", small, *SMALL).error
    assert f"{small / 'training.h5'} exists: --resume goes on, --overwrite starts anew" in error
    before = hashes(small)
    assert cli("suite", small, *SMALL, "--resume").status == 0
    assert hashes(small) == before


@pytest.mark.slow
def test_overwriting_changes_what_the_seed_changes(small, cli, tmp_path):
    words = ["suite", tmp_path, *SMALL, "--seed", "1"]
    assert cli(*words).status == 0
    assert cli(*words, "--overwrite").status == 0
    assert not set(hashes(tmp_path)) & set(hashes(small))


@pytest.mark.slow
def test_an_interrupted_suite_goes_on(command, cli, tmp_path):
    folder = tmp_path / "data"
    words = ["--n-scale", "0.02", "--workers", "1", *SETS]
    with subprocess.Popen(
        [*command, "suite", str(folder), *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as running:
        limit = time.monotonic() + 180
        while not (folder / "training.h5").exists() and time.monotonic() < limit:
            time.sleep(0.01)
        running.send_signal(signal.SIGINT)
        _, err = running.communicate()
    assert running.returncode == 1
    assert "Traceback" not in err
    assert "Error: interrupted" in err
    assert not list(folder.glob("*.part"))
    assert not (folder / "manifest.json").exists()
    assert cli("suite", folder, *words, "--resume").status == 0
    whole = tmp_path / "whole"
    assert cli("suite", whole, *words).status == 0
    assert hashes(folder) == hashes(whole)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--resume", "--overwrite"], "exclude each other"),
        (["--n-scale", "0"], "--n-scale"),
        (["--seed", "-1"], "--seed"),
    ],
)
def test_wrong_usage(words, message, cli, tmp_path):
    done = cli("suite", tmp_path, *words)
    assert done.status == 2
    assert message in done.err


def test_a_file_is_no_folder(cli, tmp_path):
    (tmp_path / "data").write_text("")
    done = cli("suite", tmp_path / "data", *SMALL)
    assert done.status == 2
    assert "is a file" in done.err


def test_a_folder_within_none_is_named(cli, tmp_path):
    assert (
        f"{tmp_path / 'none' / 'data'}: No such file"
        in cli("suite", tmp_path / "none" / "data", *SMALL).error
    )


def test_notes_of_the_users_own_are_left_alone(cli, tmp_path):
    (tmp_path / "README.md").write_text("my notes")
    assert "is not a card of specksim" in cli("suite", tmp_path, *SMALL).error
    assert (tmp_path / "README.md").read_text() == "my notes"
    assert [path.name for path in tmp_path.iterdir()] == ["README.md"]
