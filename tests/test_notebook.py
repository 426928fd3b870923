"""What notebooks show of a setup, a data set, a pair and a retrieval."""

import io
from html.parser import HTMLParser

import numpy as np
import pytest
from matplotlib import image, pyplot

from specksim import Setup, notebook, open_dataset, simulate
from specksim.retrieval import Retrieval


class Cells(HTMLParser):
    """Rows of a table as lists of text; refuses tags that are not closed in order."""

    def __init__(self, text):
        super().__init__()
        self.rows, self.open = [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] in ("td", "th"):
            self.rows[-1][-1] += data


def pixels(png):
    assert png.startswith(b"\x89PNG")
    return image.imread(io.BytesIO(png))


def test_a_setup_is_a_table_of_its_keys():
    rows = Cells(Setup.load("lab-2m")._repr_html_()).rows
    assert [row[0] for row in rows if len(row) == 1] == [
        "beam",
        "diffuser",
        "propagation",
        "detector",
        "numerics",
    ]
    assert ["pixel_size_um", "55.0"] in [row[:2] for row in rows]
    assert all(row[2] for row in rows if len(row) > 1)


def test_a_table_shows_what_looks_like_html():
    assert Cells(notebook.table("<t>", [("a<b", "<script>&")])).rows == [["a<b", "<script>&"]]


def test_a_data_set_says_what_it_holds(seven):
    with open_dataset(seven) as pairs:
        shown = dict(Cells(pairs._repr_html_()).rows)
        frame = pairs.request.setup.detector
        assert shown["pairs"] == f"7 of {pairs.request.steps} × {frame.rows} × {frame.columns} pixels"
        assert shown["request"] == pairs.request.describe()
        text = pairs._repr_html_()
    assert pairs._repr_html_() == text  # closed, as it may be when the cell is shown again


def test_a_pair_is_a_picture(small_setup):
    pair = simulate(small_setup.with_values(diffuser__sheets=1))
    seen = pixels(pair._repr_png_())
    assert seen.shape[1] > seen.shape[0] > 300
    assert seen[..., :3].std() > 0.1
    assert pyplot.get_fignums() == []


def test_a_retrieval_shows_displacement_about_zero():
    """Red and blue are as far from white for −1 and 1, though the map's mean is not 0."""
    dx = np.full((40, 40), 1.0, np.float32)
    dx[:, :10] = -1.0
    zero = np.zeros_like(dx)
    seen = pixels(Retrieval(dx, zero, zero + 1, method="any")._repr_png_())[..., :3]
    colours, counts = np.unique((seen.reshape(-1, 3) * 255).round().astype(int), axis=0, return_counts=True)
    common = {tuple(colour) for colour in colours[counts > 500].tolist()}
    assert {(103, 0, 31), (5, 48, 97)} <= common  # the ends of RdBu


@pytest.mark.parametrize("names", [["dx"], ["dx", "dy", "quality", "phase", "transmission"]])
def test_pictures_of_one_map_and_of_several(names):
    maps = {name: np.zeros((8, 8), np.float32) for name in names}
    assert pixels(notebook.picture("constant", maps)).ndim == 3
