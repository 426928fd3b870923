"""Results of a benchmark that has not been run: what report and charts are tested on."""

import hashlib
import json
import math
from pathlib import Path
from typing import Any

from specksim.setups import Setup

NETWORK = "guided-unet:runs/<best> & last"
EXPOSURES = (1, 2, 4, 10, 20)
LABELS = ("umpa", "lcs", NETWORK, "unet")
_AT_ONE = {"umpa": 0.0210, "lcs": 0.0225, NETWORK: 0.0076, "unet": 0.0155}
_SINGLE = (NETWORK, "unet")


class _Made:
    """Collects what goes into results.json."""

    def __init__(self) -> None:
        self.data: list[dict[str, Any]] = []
        self.figures: list[dict[str, Any]] = []

    def add_data(self, name: str, title: str, steps: int = 1, **more: Any) -> None:
        self.data.append(
            {
                "name": name, "file": f"data/{name}.h5",
                "content_hash": hashlib.sha256(name.encode()).hexdigest(),
                "pairs": 20, "steps": steps, "setup_toml": Setup().to_toml(), "axis": "", "value": None,
                "unit": "", "title": title, "bound_px": 0.0095, **more,
            }
        )  # fmt: skip

    def add(
        self, data: str, method: str, exposures: int, metric: str, value: float | None, **more: Any
    ) -> None:
        spread = None if value is None else 0.06 * abs(value)
        self.figures.append(
            {
                "data": data, "method": method, "exposures": exposures, "group": "all", "pixels": "",
                "metric": metric, "value": value, "low": None if value is None else value - spread,
                "high": None if value is None else value + 1.2 * spread, "pairs": 20, **more,
            }
        )  # fmt: skip

    def add_errors(self, data: str, method: str, exposures: int, error: float, group: str = "all") -> None:
        for pixels, factor in (("valid", 1.0), ("all", 2.3)):
            mean = error * factor
            values = {
                "epe_mean": mean, "epe_median": 0.72 * mean, "epe_p95": 2.6 * mean, "epe_p99": 5.1 * mean,
                "rmse_dx": 0.95 * mean, "rmse_dy": 0.91 * mean, "bias_dx": -0.004 * mean,
                "bias_dy": 0.002 * mean,
                "r2": None if group == "|d| = 0" else 1 - mean,
            }  # fmt: skip
            for metric, value in values.items():
                self.add(data, method, exposures, metric, value, group=group, pixels=pixels)


def _error(method: str, exposures: int, factor: float = 1.0) -> float:
    return factor * _AT_ONE[method] * exposures**-0.35


def _evaluation(made: _Made, name: str, title: str, factor: float) -> None:
    made.add_data(name, title, steps=20)
    for method in LABELS:
        for exposures in (1,) if method in _SINGLE else EXPOSURES:
            error = _error(method, exposures, factor)
            made.add_errors(name, method, exposures, error)
            for group, share in (("|d| = 0", 0.6), ("|d| < 0.1 px", 0.7), ("0.1–1 px", 1.4), ("> 1 px", 4.0)):
                made.add_errors(name, method, exposures, error * share, group)
            for group in ("zero motion, identical", "zero motion, two exposures"):
                value = 0.0 if "identical" in group else 0.5 * error
                made.add(name, method, exposures, "epe_mean", value, group=group, pixels="all")
            for group in ("geometry flower", "geometry sphere", "material nylon", "material pmma"):
                made.add_errors(name, method, exposures, error * (1.1 if "flower" in group else 0.9), group)
            made.add(name, method, exposures, "phase_rmse", 30 * error)
            made.add(name, method, exposures, "seconds", 0.3 * exposures**0.5)
            made.add(name, method, exposures, "peak_mb", 410.0 + exposures)


def _curves(made: _Made) -> None:
    axes = {
        "photons": ("photons per pixel", (100.0, 300.0, 1000.0, 3000.0, 10000.0, 30000.0), -0.5),
        "visibility": ("", (0.05, 0.1, 0.2, 0.4), -0.9),
        "speckle size": ("px", (1.5, 2.0, 3.0, 5.0, 8.0), 0.4),
    }
    for axis, (unit, values, power) in axes.items():
        for value in values:
            name = f"{axis.replace(' ', '-')}-{value:g}"
            factor = 2 * (value / values[0]) ** power
            words = {"axis": axis, "value": value, "unit": unit, "bound_px": 0.008 * factor}
            made.add_data(name, f"{axis} {value:g}", **words)
            for method in LABELS:
                made.add_errors(name, method, 1, _error(method, 1, factor) + 0.002)


def _special(made: _Made) -> None:
    for name, title, axis in (
        ("star", "star", "resolution"), ("edge", "thickness edge", "resolution"),
        ("spheres", "nylon spheres", ""),
    ):  # fmt: skip
        made.add_data(name, title, axis=axis)
    for order, method in enumerate(LABELS):
        for exposures in (1,) if method in _SINGLE else (1, 10):
            period, noise = 40.0 - 6 * order, 0.004 + 0.001 * order
            star = {"period_90_px": period, "noise_px": noise, "indicator": period * noise}
            for metric, value in star.items():
                group = "wedge" if metric == "noise_px" else "star"
                made.add("star", method, exposures, metric, value if order else None, group=group)
            made.add("edge", method, exposures, "edge_width_px", 8.0 - order, group="edge")
            for group in ("sphere", "fiber"):
                made.add("spheres", method, exposures, "diameter_error", 1.2 + order, group=group)
                made.add("spheres", method, exposures, "delta_error", 3.4 - order / 2, group=group)
    for name, title, factor in (
        ("grains-60", "sandpaper of 60 µm grains", 1.6), ("waves", "waves instead of rays", 1.2),
        ("beam-drift", "a beam that drifted between reference and sample", 3.0),
    ):  # fmt: skip
        made.add_data(name, title, axis="robustness", value=0.0)
        for method in LABELS:
            made.add_errors(name, method, 1, _error(method, 1, factor * (2 if method == "unet" else 1)))


def made_up_results(whole: bool = True) -> dict[str, Any]:
    """What results.json holds after a benchmark of two trackers and two networks, of much or of one file."""
    made = _Made()
    _evaluation(made, "evaluation-flower", "flowers of nylon", 1.0)
    if whole:
        _evaluation(made, "evaluation-nylon-fiber", "nylon fibres", 0.8)
        _curves(made)
        _special(made)
    methods = [
        {"name": label.partition(":")[0], "label": label, "summary": f"what {label} does",
         "options": {"iterations": 3} if label == NETWORK else {}, "single_pair": label in _SINGLE,
         "model_sha256": "0" * 64 if label in _SINGLE else ""}
        for label in LABELS
    ]  # fmt: skip
    comparisons = [
        {"data": "evaluation-flower", "a": NETWORK, "exposures_a": 1, "b": "umpa", "exposures_b": 20,
         "metric": "epe_mean", "pixels": "valid", "different": False},
        {"data": "evaluation-flower", "a": NETWORK, "exposures_a": 1, "b": "umpa", "exposures_b": 10,
         "metric": "epe_mean", "pixels": "valid", "different": True},
    ]  # fmt: skip
    settings = [
        {"data": "evaluation-flower", "method": "umpa", "exposures": exposures, "warnings": [],
         "options": {"window": 21 - exposures}, "valid_options": {"window": 9},
         "chosen_on": "validation, 8 pairs",
         "tried": {"window 9": {"all": 0.041, "valid": 0.021}, "window 17": {"all": None, "valid": None}}}
        for exposures in (1, 10)
    ]  # fmt: skip
    failures = [
        {"data": "evaluation-flower", "method": "lcs", "exposures": 4, "pair": pair,
         "message": "window must not exceed <b>the frame</b> & so on\nin two lines"}
        for pair in (3, 11)
    ]  # fmt: skip
    return {
        "program": "specksim", "version": "0.1.0", "format": 1, "seed": 0,
        "created": "2025-01-31T12:00:00+00:00", "arguments": {}, "complete": True,
        "command": "specksim benchmark data/*.h5 --method umpa --method 'unet' -o out",
        "versions": {"specksim": "0.1.0", "python": "3.11.9", "numpy": "2.1.0"},
        "hardware": {"processor": "a processor", "cores": 2, "memory_gb": 24.0, "system": "Linux"},
        "methods": methods, "data": made.data, "settings": settings, "figures": made.figures,
        "comparisons": comparisons, "failures": failures,
    }  # fmt: skip


def write_results(folder: Path, results: dict[str, Any]) -> Path:
    """The folder, with results.json in it."""
    folder.mkdir(exist_ok=True)
    text = json.dumps(results, allow_nan=False)
    (folder / "results.json").write_text(text, encoding="utf-8")
    return folder


def umpa_s_exposures(error: float, factor: float = 1.0) -> float:
    """At how many exposures UMPA has an error here, in closed form."""
    return math.pow(_AT_ONE["umpa"] * factor / error, 1 / 0.35)
