"""specksim-train reproduce"""

import click

from specksim.cli.generate import run as generate
from specksim.cli.options import cores
from specksim.cli.terminal import note
from specksim_train.cli import require_backend


@click.command()
@click.argument("recipe", type=click.Path(), metavar="RECIPE.toml")
@click.option("--out", required=True, type=click.Path(), help="The run folder; the data go to OUT/data.")
@click.option("--workers", type=click.IntRange(min=1), help="Processes that simulate. Default: all cores.")
@click.option("--resume", is_flag=True, help="Go on with an interrupted reproduction.")
def reproduce(recipe: str, out: str, workers: int | None, resume: bool) -> None:
    """Make a network from nothing: simulate the data of a recipe, and train on them.

    The recipes of the shipped networks are in the folder recipes/ of the repository.

    \b
    specksim-train reproduce recipes/imbl-28kev-guided.toml --out imbl-28kev-guided
    """
    require_backend()
    from pathlib import Path

    from specksim_train import training
    from specksim_train.recipe import read_recipe
    from specksim_train.runs import CONFIG

    wanted, run = read_recipe(recipe), Path(out)
    folder = run / "data"
    folder.mkdir(parents=True, exist_ok=True)
    plans = [ingredient.plan(folder) for ingredient in (*wanted.data, wanted.validation)]
    for plan in plans:
        note(f"{plan.target}: {plan.n} pairs of {plan.request.describe()}")
        generate(plan, workers or cores(), resume, overwrite=False)
    *training_files, validation = [plan.target for plan in plans]
    training.fit(
        training_files,
        run,
        validation=validation,
        settings=wanted.settings,
        resume=resume and (run / CONFIG).exists(),
        progress=note,
    )
    click.echo(str(run))
