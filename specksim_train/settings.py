"""What a training depends on, but for its data."""

import math
from dataclasses import dataclass, field

from specksim_train import architectures
from specksim_train.augmentation import Augmentation

SCHEDULES = ("cosine", "plateau", "constant")
PRECISIONS = ("auto", "float32", "mixed")


@dataclass(frozen=True)
class Settings:
    """What a run depends on, but for its data.

    Attributes
    ----------
    architecture : {"guided-unet", "unet"}
    base_filters : int
    epochs, batch_size : int
    learning_rate : float
        At the beginning, see `schedule`.
    schedule : {"cosine", "plateau", "constant"}
        Fall to 1 % along a cosine over all epochs; halve after `patience` epochs without improvement.
    patience : int
    stop_after : int or None
        Stop when so many epochs have brought no improvement.
    seed : int
        Of weights, order and augmentation.
    crop : int or None
        Train on windows of this many pixels, a multiple of 16.
    precision : {"auto", "float32", "mixed"}
        auto: mixed on accelerators. mixed: bfloat16, which pays where there are instructions for it: on
        accelerators since 2020 and on some CPUs.
    devices : int
        That share each batch, a divisor of `batch_size`: accelerators, where there are any.
    deterministic : bool
        Deterministic operations: the same weights bit for bit on one machine.
    augmentation : Augmentation
    """

    architecture: str = "guided-unet"
    base_filters: int = 64
    epochs: int = 100
    batch_size: int = 8
    learning_rate: float = 1e-3
    schedule: str = "cosine"
    patience: int = 10
    stop_after: int | None = None
    seed: int = 0
    crop: int | None = None
    precision: str = "auto"
    devices: int = 1
    deterministic: bool = True
    augmentation: Augmentation = field(default_factory=Augmentation)

    def __post_init__(self) -> None:
        for name, allowed in (
            ("architecture", architectures.ARCHITECTURES),
            ("schedule", SCHEDULES),
            ("precision", PRECISIONS),
        ):
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} must be one of {', '.join(allowed)}, got {getattr(self, name)!r}")
        for name in ("base_filters", "epochs", "batch_size", "patience", "devices"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be >= 1, got {getattr(self, name)}")
        if self.batch_size % self.devices:
            raise ValueError(
                f"batch_size must be a multiple of devices, got {self.batch_size} and {self.devices}"
            )
        if not 0 < self.learning_rate < math.inf:
            raise ValueError(f"learning_rate must be > 0 and finite, got {self.learning_rate}")
        if self.stop_after is not None and self.stop_after < 1:
            raise ValueError(f"stop_after must be >= 1, got {self.stop_after}")
        if self.seed < 0:
            raise ValueError(f"seed must be >= 0, got {self.seed}")
