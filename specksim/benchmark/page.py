"""A page that stands alone: tables that sort, pictures within, nothing fetched; and tables as Markdown."""

import base64
import html
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from specksim.benchmark.tables import Cell, Table


@dataclass(frozen=True)
class Section:
    """A part of the page: a heading with an anchor, and HTML."""

    anchor: str
    title: str
    body: str


def escaped(text: object) -> str:
    """Text for HTML: markup escaped, in one line; the blank before a % sign does not break."""
    return html.escape(" ".join(str(text).split()).replace(" %", "\u00a0%"))


def paragraph(text: str) -> str:
    """A paragraph of plain text."""
    return f"<p>{escaped(text)}</p>"


def preformatted(text: str) -> str:
    """Text whose lines are kept."""
    return f'<pre tabindex="0">{html.escape(text)}</pre>'


def details(summary: str, body: str) -> str:
    """Something to be opened by the reader."""
    return f"<details><summary>{escaped(summary)}</summary>\n{body}\n</details>"


def definitions(pairs: Iterable[tuple[str, object]]) -> str:
    """A list of names and values."""
    items = "".join(f"<dt>{escaped(name)}</dt><dd>{escaped(value)}</dd>" for name, value in pairs)
    return f"<dl>{items}</dl>"


def table_html(table: Table) -> str:
    """A table in a box of its own that scrolls sideways; sorted by a click on a head where scripts run."""
    head = "".join(f'<th scope="col">{escaped(name)}</th>' for name in table.head)
    body = "\n".join(f"<tr>{''.join(_cell(cell) for cell in row)}</tr>" for row in table.rows)
    return (
        f'<p class="caption">{escaped(table.caption)}</p>\n'
        f'<div class="scroll" role="region" tabindex="0" aria-label="{escaped(table.caption)}">'
        f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody></table></div>"
    )


def _cell(cell: Cell) -> str:
    if cell.key is None:
        return f"<td>{escaped(cell.text)}</td>"
    shown = f"<strong>{escaped(cell.text)}\u00a0★</strong>" if cell.best else escaped(cell.text)
    return f'<td class="number{" best" * cell.best}" data-key="{cell.key!r}">{shown}</td>'


def figure_html(svg: bytes, caption: str, alt: str) -> str:
    """A picture within the page."""
    data = base64.b64encode(svg).decode("ascii")
    return (
        f'<figure><img src="data:image/svg+xml;base64,{data}" alt="{escaped(alt)}">'
        f"<figcaption>{escaped(caption)}</figcaption></figure>"
    )


def figures_html(figures: Sequence[str]) -> str:
    """Pictures side by side where there is room."""
    return f'<div class="figures">{"".join(figures)}</div>' if figures else ""


def page(title: str, introduction: str, sections: Sequence[Section]) -> str:
    """The whole page."""
    contents = "".join(f'<li><a href="#{part.anchor}">{escaped(part.title)}</a></li>' for part in sections)
    body = "\n".join(
        f'<section id="{part.anchor}">\n<h2>{escaped(part.title)}</h2>\n{part.body}\n</section>'
        for part in sections
    )
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'">
<link rel="icon" href="data:,">
<title>{escaped(title)}</title>
<style>{_STYLE}</style>
</head>
<body>
<header>
<h1>{escaped(title)}</h1>
{introduction}
</header>
<nav aria-label="Contents"><ul>{contents}</ul></nav>
<main>
{body}
</main>
<script>{_SCRIPT}</script>
</body>
</html>
"""


def table_markdown(table: Table) -> str:
    """A table as Markdown, the best in bold."""

    def line(cells: Iterable[str]) -> str:
        return f"| {' | '.join(cells)} |"

    def shown(cell: Cell) -> str:
        text = markdown_text(cell.text) if cell.key is None else cell.text
        return f"**{text}**" if cell.best else text

    ruler = ["---" if row.key is None else "---:" for row in table.rows[0]] if table.rows else []
    rows = [line(shown(cell) for cell in row) for row in table.rows]
    return "\n".join([line(markdown_text(name) for name in table.head), line(ruler), *rows])


def markdown_text(text: str) -> str:
    """Text for a line of Markdown: signs of markup escaped, line breaks made blanks."""
    return re.sub(r"([\\|*_`<>\[\]])", r"\\\1", " ".join(text.split()))


_STYLE = """
:root { color-scheme: light; }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1rem; max-width: 76rem; background: #fff; color: #1b1b1b;
  font: 1rem/1.5 system-ui, -apple-system, "Segoe UI", "Liberation Sans", Arial, sans-serif;
  overflow-wrap: anywhere; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: .5rem 0; }
h2 { font-size: 1.3rem; margin: 2.2rem 0 .6rem; padding-top: .6rem; border-top: 2px solid #d0d0d0; }
h3 { font-size: 1.05rem; margin: 1.5rem 0 .4rem; }
p, figcaption { max-width: 46rem; }
a { color: #00528a; }
nav ul { display: flex; flex-wrap: wrap; gap: .3rem 1.1rem; padding: 0; margin: 1rem 0; list-style: none; }
.scroll { overflow-x: auto; width: fit-content; max-width: 100%; margin: 0 0 1.4rem;
  border: 1px solid #d0d0d0; }
table { border-collapse: collapse; font-size: .88rem; overflow-wrap: normal; }
.caption { font-size: .9rem; color: #333; margin: 1rem 0 .4rem; }
th, td { padding: .35rem .6rem; border-top: 1px solid #e2e2e2; text-align: left; vertical-align: top; }
td { max-width: 30rem; }
th:first-child, td:first-child { position: sticky; left: 0; background: #fff;
  min-width: 6rem; max-width: 11rem; overflow-wrap: break-word; }
td:last-child:not(.number) { min-width: 14rem; overflow-wrap: anywhere; }
td.number { font-variant-numeric: tabular-nums; white-space: nowrap; }
td.best { background: #e3f0fa; }
thead th, thead th:first-child { background: #f3f3f3; vertical-align: bottom; min-width: 4.5rem; }
th button { font: inherit; font-weight: inherit; color: inherit; text-align: left; padding: 0; border: 0;
  background: none; cursor: pointer; text-decoration: underline dotted #888; text-underline-offset: .2em; }
th[aria-sort=ascending] button::after { content: " \\25B2"; }
th[aria-sort=descending] button::after { content: " \\25BC"; }
tbody tr:hover td, tbody tr:hover td:first-child { background: #f6f6f6; }
tbody tr:hover td.best { background: #d5e8f7; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 24rem), 1fr));
  gap: 1.5rem; margin: 1rem 0; align-items: start; }
figure { margin: 0; min-width: 0; }
img { display: block; width: 100%; max-width: 36rem; height: auto; }
figcaption { font-size: .9rem; color: #333; margin-top: .3rem; }
.note { font-size: .9rem; color: #444; }
.finding { border-left: 4px solid #0072B2; padding: .1rem 0 .1rem .8rem; margin: .6rem 0; max-width: 46rem; }
details { margin: .6rem 0; }
summary { cursor: pointer; padding: .3rem 0; color: #00528a; }
pre { overflow-x: auto; background: #f6f6f6; padding: .7rem; font-size: .82rem; line-height: 1.4; }
dl { display: grid; grid-template-columns: minmax(6rem, max-content) 1fr; gap: .15rem 1rem; margin: .6rem 0; }
dt { color: #444; } dd { margin: 0; }
@media (max-width: 40rem) { dl { grid-template-columns: 1fr; } dd { margin: 0 0 .4rem 1rem; } }
@media print { .scroll { overflow: visible; } nav { display: none; } }
"""

_SCRIPT = """
"use strict";
for (const table of document.querySelectorAll("table")) {
  const body = table.tBodies[0], heads = [...table.tHead.rows[0].cells];
  const value = (row, column) => {
    const cell = row.cells[column];
    return cell.dataset.key === undefined ? cell.textContent.trim() : Number(cell.dataset.key);
  };
  const none = (found) => found === "–" || found === "";
  const compare = (a, b) => typeof a === "number" && typeof b === "number" ? a - b
    : String(a).localeCompare(String(b), "en", {numeric: true});
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const sign = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", sign > 0 ? "ascending" : "descending");
      const rows = [...body.rows].map((row) => [row, value(row, column)]);
      rows.sort(([, a], [, b]) => none(a) || none(b) ? none(a) - none(b) : sign * compare(a, b));
      body.append(...rows.map(([row]) => row));
    });
  });
}
"""
