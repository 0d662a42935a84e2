"""Markdown of recorded measurements, including those that jlstm loses: a section for each run."""

import re

from jlstm.bench.record_fields import Record
from jlstm.bench.report import headings, measured
from jlstm.bench.report.escaping import address, code, text
from jlstm.bench.tables import TITLES

Run = dict[str, dict[str, list[Record]]]  # by case and mode: what was measured together


def write(records: list[Record], pictures: dict[str, str], source: str, folder: str) -> str:
    """The whole report: a table of its sections, pictures, then runs with a heading for each case.

    Args:
      records: the result of `records.read`.
      pictures: file name -> caption.
      source: name of the records' file.
      folder: folder of the pictures, relative to the report.
    """
    runs = _runs(records)
    titles = [f"Measurements in {source}"] + ["Pictures"] * bool(pictures)
    for run in runs:
        titles += [_title(run), *run]
    names = iter(headings.anchors(titles)[len(titles) - sum(1 + len(run) for run in runs) :])

    sections, contents, everything = [], [], []
    for run in runs:
        compared = {
            (case, mode): found
            for case, modes in run.items()
            for mode, group in modes.items()
            if (found := measured.compare(group))
        }
        by_mode = [(mode, found) for (_, mode), found in compared.items()]
        everything += by_mode
        means = measured.geometric_means(by_mode)
        link = headings.link(text(_title(run)), next(names))
        shown = ", ".join(f"{TITLES[mode]} {mean}" for mode, mean in means.items())
        contents.append(f"| {link} | {len(run)} | {shown} |")
        links = {case: headings.link(text(case), next(names)) for case in run}
        rows = [measured.row(links[case], mode, own) for (case, mode), own in compared.items()]
        sections += [f"## {text(_title(run))}", "", _machine(_first(run)), ""]
        sections += [*measured.HEAD, *rows, ""] if rows else []
        for case, modes in run.items():
            sections += [f"### {text(case)}", ""]
            sections += [line for group in modes.values() for line in measured.table(group)]

    lines = [f"# Measurements in {text(source)}", ""]
    lines += ["| run | cases | geometric means |", "|---|---|---|", *contents, ""]
    if everything:
        means = measured.geometric_means(everything)
        shown = ", ".join(f"{TITLES[mode]} {mean}" for mode, mean in means.items())
        lines += [
            "A mean is one of jlstm's times divided by those of the best peer: below 1, jlstm is "
            f"faster. Geometric means of all cases: {shown}.",
            "",
        ]
    for versions in dict.fromkeys(_versions(_first(run)) for run in runs):
        lines += [versions, ""]
    lines += ["## Pictures", ""] if pictures else []
    for name, caption in pictures.items():
        lines += [f"![{caption}]({address(folder)}/{name})", "", caption, ""]
    return "\n".join([*lines, *sections]).rstrip() + "\n"


def _runs(records: list[Record]) -> list[Run]:
    """The runs, in the order of the records."""
    found: dict[str, Run] = {}
    for record in records:
        run = found.setdefault(record["started"] + record["command"], {})
        run.setdefault(record["case"], {}).setdefault(record["mode"], []).append(record)
    return list(found.values())


def _first(run: Run) -> Record:
    return next(iter(next(iter(run.values())).values()))[0]


def _title(run: Run) -> str:
    """The suite and the date of a run."""
    first = _first(run)
    suite = re.search(r"([\w-]+\.toml)\b", first["command"])
    return f"{suite[1] if suite else 'run'}, {first['started'][:10]}"


def _versions(run: Record) -> str:
    versions = run["versions"].items()
    installed = [f"{k} {v}" for k, v in versions if v not in (None, "not installed")]
    return f"Versions: {text(', '.join(installed))}."


def _machine(run: Record) -> str:
    ceilings = run["ceilings"]
    of = "" if run["cpus"] is None else f" of {run['cpus']}"
    return (
        f"{code(run['command'])} on {run['started'][:10]}: {text(run['processor'])}, "
        f"{run['threads']}{of} processors; a large matrix product ran at "
        f"{ceilings['product_gflops_per_s']:.0f} GFLOP/s, a copy at "
        f"{ceilings['copy_gbytes_per_s']:.0f} GB/s."
    )
