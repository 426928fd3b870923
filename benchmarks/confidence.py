"""How often do the standard errors of a network hold?

    python benchmarks/confidence.py held-out.h5 imbl-28kev-guided imbl-28kev-unet [--exposures 1]

Printed for each network and number of exposures: the share of the errors of dx and dy within one standard
error and within 1.96 of them, by kinds of pixels; right would be 68 and 95 %. Needs the extra [train-cpu].
"""

import argparse
import warnings

import numpy as np

from specksim import open_dataset


def kinds(pair) -> dict[str, np.ndarray]:
    """Pixels by what happens in them."""
    length, valid = np.hypot(pair.dx, pair.dy), pair.valid == 1
    return {
        "all": np.ones_like(valid),
        "motionless": length == 0,
        "moving, valid": (length > 0) & valid,
        "outside of `valid`": ~valid,
        "d over 1 px": length > 1,
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("file")
    parser.add_argument("networks", nargs="+")
    parser.add_argument("--exposures", default="1", help="Numbers, separated by commas.")
    options = parser.parse_args()
    from specksim_train import load

    warnings.simplefilter("ignore")
    print("| network, exposures | all | motionless | moving, valid | outside of `valid` | d over 1 px |")
    print("|---|---|---|---|---|---|")
    for name in options.networks:
        network = load(name)
        for count in map(int, options.exposures.split(",")):
            within: dict[str, list[np.ndarray]] = {}
            with open_dataset(options.file) as pairs:
                for pair in pairs:
                    found = network.predict(pair.reference[:count], pair.sample[:count])
                    errors = np.stack([found.dx - pair.dx, found.dy - pair.dy])
                    ratio = np.abs(errors) / np.stack([found.dx_error, found.dy_error])
                    for kind, where in kinds(pair).items():
                        within.setdefault(kind, []).append(ratio[:, where].ravel())
            cells = []
            for ratios in within.values():
                ratio = np.concatenate(ratios)
                cells.append(f"{100 * np.mean(ratio <= 1):.0f}, {100 * np.mean(ratio <= 1.96):.0f} %")
            print(f"| `{name}`, {count} |", " | ".join(cells), "|", flush=True)


if __name__ == "__main__":
    main()
