"""What must hold for every pair: damage is located, and wrong physics is found."""

import dataclasses
import json
import zlib

import numpy as np
import pytest

from specksim.dataset import open_dataset
from specksim.dataset.checks import find_problems, wrong_physics

STRONG = 2  # the pair of Al2O3, whose displacement is large


def problems(path) -> dict[int, list[str]]:
    """Problems of each pair that has any."""
    with open_dataset(path) as dataset:
        found = {row: list(find_problems(dataset, row)) for row in range(len(dataset))}
    return {row: lines for row, lines in found.items() if lines}


def doctor(file, name, row, change):
    """Change one field of one pair and give it the checksum that fits."""
    stored = file["entry/data"][name]
    values = np.ascontiguousarray(change(stored[row]), dtype=stored.dtype)
    stored[row] = values
    file["entry/parameters"][f"crc32_{name}"][row] = zlib.crc32(values.tobytes())


def one_pixel(value):
    def change(values):
        values[..., 7, 9] = value
        return values

    return change


def test_an_intact_file_has_no_problems(tiny):
    assert problems(tiny) == {}


@pytest.mark.parametrize("name", ["reference", "sample", "dx", "dy", "phase", "transmission", "valid"])
def test_a_corrupted_field_is_named_with_its_pair(name, copy, opened):
    values = opened["entry/data"][name][3]
    values[..., 0, 0] += 1
    opened["entry/data"][name][3] = values
    opened.close()
    assert problems(copy) == {3: [f"{name}: the checksum does not match"]}


def test_each_corrupted_field_is_told(copy, opened):
    for name, row in (("dx", 1), ("phase", 1), ("sample", 4)):
        opened["entry/data"][name][row] = 0
    opened.close()
    assert problems(copy) == {
        1: ["dx: the checksum does not match", "phase: the checksum does not match"],
        4: ["sample: the checksum does not match"],
    }


def test_a_wrong_checksum_counts_as_corruption(copy, opened):
    opened["entry/parameters/crc32_dy"][0] += 1
    opened.close()
    assert problems(copy) == {0: ["dy: the checksum does not match"]}


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("dx", np.negative, "dx: strays from"),
        ("phase", np.negative, "phase: "),
        ("phase", lambda phase: 0.5 * phase, "transmission: "),
        ("transmission", lambda t: t + 0.5, "transmission: outside of (0, 1]"),
        ("transmission", np.zeros_like, "transmission: outside of (0, 1]"),
        ("transmission", np.sqrt, "transmission: ln t"),
        ("valid", lambda valid: 3 * valid, "valid: values other than 0 and 1"),
        ("reference", lambda counts: counts // 10, "reference: mean"),
        ("dx", one_pixel(np.nan), "dx: not finite"),
        ("dy", one_pixel(np.inf), "dy: not finite"),
        ("phase", one_pixel(-np.inf), "phase: not finite"),
        ("transmission", one_pixel(np.nan), "transmission: not finite"),
    ],
)
def test_wrong_physics_behind_right_checksums_is_found(name, change, words, copy, opened):
    doctor(opened, name, STRONG, change)
    opened.close()
    found = problems(copy)
    assert list(found) == [STRONG]
    assert any(line.startswith(words) for line in found[STRONG])


@pytest.mark.parametrize("name", ["geometry", "material"])
def test_a_column_that_contradicts_the_scene_is_found(name, copy, opened):
    opened["entry/parameters"][name][1] = "other"
    opened.close()
    assert list(problems(copy)) == [1]
    assert problems(copy)[1][0].startswith(f"{name}: 'other'")


def test_a_scene_that_is_no_json_is_told(copy, opened):
    opened["entry/parameters/scene"][1] = "{"
    opened.close()
    found = problems(copy)
    assert list(found) == [1]
    assert "copy.h5" in found[1][0]


def test_physics_can_be_checked_without_a_file(tiny):
    with open_dataset(tiny) as dataset:
        pair, request = dataset[STRONG], dataset.request
    assert list(wrong_physics(pair, request)) == []
    worse = dataclasses.replace(pair, phase=-pair.phase, valid=2 * pair.valid)
    assert {line.split(":")[0] for line in wrong_physics(worse, request)} >= {"phase", "valid"}


def test_scenes_are_plain_json(tiny):
    with open_dataset(tiny) as dataset:
        for pair in dataset:
            assert json.loads(json.dumps(pair.scene)) == pair.scene
