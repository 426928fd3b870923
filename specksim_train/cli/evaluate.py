"""specksim-train evaluate"""

import click

from specksim.cli.terminal import note, progress
from specksim_train.cli import require_backend


@click.command()
@click.argument("file", type=click.Path())
@click.option("--model", required=True, metavar="M", help="Run folder, .keras file, or shipped network.")
@click.option("--n", type=click.IntRange(min=1), help="How many pairs, from the first. Default: all.")
@click.option(
    "-o", "--out", type=click.Path(), help="Folder for results.json and results.csv. Default: evaluation-FILE"
)
def evaluate(file: str, model: str, n: int | None, out: str | None) -> None:
    """Measure a network's errors on a data set.

    Endpoint error, errors of each component, and R² against predicting no motion (0: nothing learned), in all
    pixels and in the valid ones, for all pairs, each geometry and each material; and what the network makes
    of pairs without motion.

    \b
    specksim-train evaluate evaluation.h5 --model run
    """
    require_backend()
    import warnings
    from pathlib import Path

    from specksim.dataset import open_dataset
    from specksim_train.evaluation import evaluate as measure
    from specksim_train.evaluation import format_table, write_results
    from specksim_train.inference import OutsideTraining, load

    with open_dataset(file) as dataset:
        count = min(n or len(dataset), len(dataset))
    network = load(model)
    with (
        warnings.catch_warnings(record=True) as caught,
        progress(total=count, unit="pair") as bar,
    ):
        warnings.simplefilter("always", OutsideTraining)
        results = measure(network.predict, file, n=n, progress=bar.update)
    outside = [str(item.message) for item in caught if item.category is OutsideTraining]
    if outside:
        click.echo(f"warning: {len(outside)} times outside of the training, e.g. {outside[0]}", err=True)
    results["model"] = model
    click.echo(format_table(results["rows"]))
    for path in write_results(Path(out) if out else Path(f"evaluation-{Path(file).stem}"), results):
        note(f"wrote {path}")
