"""specksim: simulation of X-ray speckle-based imaging with exact ground truth.

- `Setup`: a beamline.
- `simulate`: one labelled pair of images, a `SpecklePair`; `generate`: a file of them.
- `open_dataset`: such a file as a sequence, a `SpeckleDataset`.
- `refractive_index`: δ and β of a material.
- `optics`, `retrieval`: refraction and propagation; trackers, and the phase from displacement.

The names below are loaded when they are first used, so that importing the package stays light.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from specksim import optics as optics
    from specksim import retrieval as retrieval
    from specksim.dataset import SpeckleDataset, open_dataset
    from specksim.forward import SpecklePair, simulate
    from specksim.generation import generate
    from specksim.materials import refractive_index
    from specksim.setups import Setup

__version__ = "0.1.0"

_HOMES = {
    "Setup": "specksim.setups",
    "SpeckleDataset": "specksim.dataset",
    "SpecklePair": "specksim.forward",
    "generate": "specksim.generation",
    "open_dataset": "specksim.dataset",
    "refractive_index": "specksim.materials",
    "simulate": "specksim.forward",
}

__all__ = [
    "Setup",
    "SpeckleDataset",
    "SpecklePair",
    "generate",
    "open_dataset",
    "optics",
    "refractive_index",
    "retrieval",
    "simulate",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    if name in ("optics", "retrieval"):
        return import_module(f"specksim.{name}")
    raise AttributeError(f"module 'specksim' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
