"""The published data set: files to train on, to validate with, and to compare methods on."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from specksim import figures
from specksim.assessment import displacement_bound_px
from specksim.dataset import open_dataset
from specksim.dataset.reader import SpeckleDataset
from specksim.dataset.summary import measure, reference_photons
from specksim.files import write_text
from specksim.phantoms import TRAINING
from specksim.plan import Plan, make_plan
from specksim.request import MIXED, Request
from specksim.setups import Setup

MANIFEST, CARD = "manifest.json", "README.md"
_TITLE = "# A specksim data set"
_MASK_POSITIONS = 15
_PICTURED = 6
_WINDOW = 13


@dataclass(frozen=True)
class Member:
    """One file of the suite: what `specksim generate` is asked for.

    Attributes
    ----------
    name : str
        Of the file, without its ending.
    pairs : int
    material : str
    geometries : tuple of str
    split : {"training", "validation", "evaluation"}
    steps : int
        Positions of the sandpaper.
    purpose : str
        In words, for the card.
    """

    name: str
    pairs: int
    material: str
    geometries: tuple[str, ...]
    split: str
    steps: int
    purpose: str


def _evaluation(name: str, geometry: str) -> Member:
    purpose = f"to compare methods on, from 1 to {_MASK_POSITIONS} positions of the sandpaper"
    return Member(f"evaluation-{name}", 20, "nylon", (geometry,), "evaluation", _MASK_POSITIONS, purpose)


MEMBERS = (
    Member("training", 600, MIXED, TRAINING, "training", 1, "to train a network"),
    Member("validation", 120, MIXED, TRAINING, "validation", 1, "to choose between epochs and settings"),
    _evaluation("nylon-fiber", "fiber"),
    _evaluation("nylon-sphere", "sphere"),
    _evaluation("flower", "flower"),
)


def plan_suite(
    folder: Path, setup: Setup, *, scale: float = 1.0, seed: int = 0, compression: str = "none"
) -> tuple[Plan, ...]:
    """What each file of the suite will hold; the folder is made.

    Parameters
    ----------
    folder : Path
    setup : Setup
    scale : float
        Factor on the number of pairs of each file; at least one pair is left.
    seed : int
    compression : {"none", "bitshuffle", "gzip"}

    Returns
    -------
    tuple of Plan
        In the order of `MEMBERS`; to be run with `generation.run_plan`, each by itself.

    Raises
    ------
    ValueError
        If the scale is not > 0 and finite, or the folder holds a README.md or manifest.json of other origin.
    OSError
        If the folder cannot be made or has not enough room.
    """
    if not 0 < scale < float("inf"):
        raise ValueError(f"scale must be > 0 and finite, got {scale}")
    requests = [
        Request.create(
            setup,
            material=member.material,
            geometries=member.geometries,
            split=member.split,
            seed=seed,
            steps=member.steps,
        )
        for member in MEMBERS
    ]
    folder.mkdir(exist_ok=True)
    _require_own(folder)
    return tuple(
        make_plan(request, max(1, round(scale * member.pairs)), folder / f"{member.name}.h5", compression)
        for member, request in zip(MEMBERS, requests, strict=True)
    )


def describe_suite(folder: Path, plans: Sequence[Plan], command: str) -> None:
    """Write manifest, pictures and data set card of a suite.

    Parameters
    ----------
    folder : Path
    plans : sequence of Plan
        Of `plan_suite`, all carried out.
    command : str
        What makes the same data again, for the card.

    Raises
    ------
    ValueError
        If a file is damaged, or the folder holds a README.md or manifest.json of other origin.
    OSError
        If a file cannot be read or written.
    """
    _require_own(folder)
    entries, rows, sections = [], [], []
    for member, plan in zip(MEMBERS, plans, strict=True):
        with open_dataset(plan.target) as dataset:
            stride = len(plan.request.geometries) + 1  # from geometry to geometry and material to material
            pictured = {stride * k % len(dataset) for k in range(_PICTURED)}
            pairs = [dataset[row] for row in sorted(pictured)]
            figures.contact_sheet(pairs, plan.request.setup, folder / f"{member.name}.png")
            entries.append(_entry(plan, dataset))
            rows.append(_row(plan, dataset))
            sections.append(_section(member, plan))
    setup = plans[0].request.setup
    manifest = {"program": "specksim", "version": version("specksim"), "command": command, "files": entries}
    write_text(folder / MANIFEST, json.dumps(manifest, indent=2) + "\n")
    write_text(folder / CARD, _card(setup, command, rows, sections))


def _require_own(folder: Path) -> None:
    """Refuse a folder in which a file of another origin stands where the card or the manifest goes."""
    card, manifest = folder / CARD, folder / MANIFEST
    if card.exists() and not card.read_bytes().startswith(_TITLE.encode()):
        raise ValueError(f"{card} exists and is not a card of specksim: it is left as it is")
    if manifest.exists() and b'"program": "specksim"' not in manifest.read_bytes()[:100]:
        raise ValueError(f"{manifest} exists and is not a manifest of specksim: it is left as it is")


def _entry(plan: Plan, dataset: SpeckleDataset) -> dict[str, Any]:
    """What the manifest says of a file."""
    request = plan.request
    with plan.target.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {
        "file": plan.target.name,
        "bytes": plan.target.stat().st_size,
        "sha256": digest,
        "content_hash": dataset.provenance()["content_hash"],
        "pairs": len(dataset),
        "materials": request.materials,
        "geometries": request.geometries,
        "split": request.split,
        "steps": request.steps,
        "seed": request.seed,
    }


_COLUMNS = (
    "file", "pairs", "positions", "mean", "visibility", "speckle (px)", "median, p95 of \\|d\\| (px)",
    "displaced", "valid", f"bound, {_WINDOW} px (px)",
)  # fmt: skip


def _row(plan: Plan, dataset: SpeckleDataset) -> tuple[str, ...]:
    """A file's row in the card's table, see `_COLUMNS`."""
    found = measure(dataset)
    reference, noise = reference_photons(dataset, 0)
    bound = max(displacement_bound_px(reference, _WINDOW, noise))
    return (
        f"`{plan.target.name}`",
        f"{len(dataset)}",
        f"{plan.request.steps}",
        f"{found.mean:.4g}",
        f"{found.visibility:.3f}",
        f"{found.width_y:.2f} × {found.width_x:.2f}",
        f"{found.median_px:.3g}, {found.p95_px:.3g}",
        f"{100 * found.moved:.0f} %",
        f"{100 * found.valid:.0f} %",
        f"{bound:.2g}",
    )


def _section(member: Member, plan: Plan) -> str:
    request = plan.request
    return (
        f"## {plan.target.name}\n\n{member.purpose[0].upper()}{member.purpose[1:]}: "
        f"{', '.join(request.geometries)}; {', '.join(request.materials)}.\n\n"
        f"![Samples, displacements and phases of {plan.target.name}]({member.name}.png)\n"
    )


def _card(setup: Setup, command: str, rows: list[tuple[str, ...]], sections: list[str]) -> str:
    table = "\n".join(f"| {' | '.join(cells)} |" for cells in (_COLUMNS, ("---",) * len(_COLUMNS), *rows))
    return f"""{_TITLE}

Simulated pairs of X-ray speckle images with their exact displacement, phase and transmission, written by
specksim {version("specksim")}:

```sh
{command}
```

{table}

Speckle and displacement are measured on up to 32 pairs of each file: mean and visibility (standard deviation
over mean) of the references, FWHM of the speckle's autocorrelation along y and x, |d| where there is an
object, the share of displaced and of valid pixels; the bound is the least standard deviation (Cramér–Rao) of
an unbiased estimate in windows of {_WINDOW} × {_WINDOW} pixels of one pair.

`dx` is the displacement along columns, `dy` along rows, in detector pixels, from reference to sample: what is
at x in the reference is found at x + d(x) in the sample. `phase` is in radian and negative in matter. `valid`
is 0 where ray optics fails, around rims. Training, validation and evaluation files share no sandpaper.
`{MANIFEST}` holds a SHA-256 of every file, and a `content_hash` that is the same for the same data;
`specksim check FILE` verifies a file.

{chr(10).join(sections)}
## Setup

```toml
{setup.to_toml().rstrip()}
```
"""
