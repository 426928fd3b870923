"""What README and docs promise is there."""

import re
import shlex
import tomllib
from pathlib import Path

import click
import pytest

from specksim.cli import main as specksim
from specksim_train.cli import main as specksim_train

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
COMMANDS = {"specksim": specksim, "specksim-train": specksim_train}


def shell_lines(page: Path) -> list[str]:
    blocks = re.findall(r"```sh\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    return [line for block in blocks for line in block.splitlines()]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_relative_links_lead_somewhere(page):
    for link in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
        if not link.startswith("http"):
            assert (page.parent / link).is_file(), link


def test_the_readme_opens_with_the_two_commands():
    first, second = shell_lines(ROOT / "README.md")[:2]
    assert first == (
        "python3 -m venv .venv && .venv/bin/pip install -e . && "
        ".venv/bin/specksim generate --material nylon --n 150"
    )
    assert second.startswith("python3 -m venv .venv && .venv/bin/pip install -e '.[test")
    assert second.endswith("pytest")


def test_extras_of_the_readme_exist():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    used = {name for line in shell_lines(ROOT / "README.md") for name in re.findall(r"\[([\w,-]+)\]", line)}
    assert {extra for group in used for extra in group.split(",")} <= set(extras)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_in_the_docs_are_understood(page):
    for line in shell_lines(page):
        for command in line.split("&&"):
            words = shlex.split(command, comments=True)
            name = Path(words[0]).name if words else ""
            if name in COMMANDS:
                words = words[1 : words.index(">")] if ">" in words else words[1:]
                with click.Context(COMMANDS[name]) as context:
                    _, sub, rest = COMMANDS[name].resolve_command(context, words)
                    sub.make_context(sub.name, rest, parent=context)
