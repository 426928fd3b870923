"""specksim_train: networks that read displacement off one pair of speckle images.

The names below are loaded when they are first used, so that importing the package stays light.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from specksim_train.architectures import (
        build_guided_unet,
        build_plain_unet,
        build_unet,
        receptive_radius_px,
    )
    from specksim_train.augmentation import Augmentation
    from specksim_train.inference import Network, load
    from specksim_train.settings import Settings
    from specksim_train.simulation import SimulatedPairs
    from specksim_train.training import fit

_HOMES = {
    "Augmentation": "augmentation",
    "Network": "inference",
    "Settings": "settings",
    "SimulatedPairs": "simulation",
    "build_guided_unet": "architectures",
    "build_plain_unet": "architectures",
    "build_unet": "architectures",
    "fit": "training",
    "load": "inference",
    "receptive_radius_px": "architectures",
}

__all__ = [
    "Augmentation",
    "Network",
    "Settings",
    "SimulatedPairs",
    "build_guided_unet",
    "build_plain_unet",
    "build_unet",
    "fit",
    "load",
    "receptive_radius_px",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"specksim_train.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'specksim_train' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
