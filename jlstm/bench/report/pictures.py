"""Pictures of recorded measurements: scaling, compile times, memory and the roofline."""

from collections.abc import Callable
from typing import Any, NamedTuple

from jlstm.bench.record_fields import Record
from jlstm.bench.report import figures
from jlstm.bench.tables import TITLES

# For each varied size: axis label, value, and the sizes that must be equal. The input size may vary
# with the hidden size.
SWEEPS: dict[str, tuple[str, Callable[[Record], Any], Callable[[Record], Any]]] = {
    "hidden_size": (
        "units H",
        lambda r: r["hidden_sizes"][0],
        lambda r: (r["time_steps"], r["batch_size"], len(r["hidden_sizes"])),
    ),
    "batch_size": (
        "batch B",
        lambda r: r["batch_size"],
        lambda r: (r["time_steps"], r["input_size"], *r["hidden_sizes"]),
    ),
    "time_steps": (
        "steps T",
        lambda r: r["time_steps"],
        lambda r: (r["batch_size"], r["input_size"], *r["hidden_sizes"]),
    ),
}


# So that the legend fits beside the axes, and the width is a browser's.
MOST_CONTENDERS, MOST_PANELS = 24, 12


class Picture(NamedTuple):
    """A picture: its caption, and the content of its PNG file."""

    caption: str
    content: bytes


@figures.plain_text()
def draw(records: list[Record]) -> dict[str, Picture]:
    """Draws every picture for which there are enough records.

    Args:
      records: as `records.read` gives them.

    Returns:
      File name -> picture.
    """
    timed = [r for r in records if "median_s" in r and r["mode"] != "compile"]
    contenders = dict.fromkeys(r["contender"] for r in timed)
    some = list(contenders)[:MOST_CONTENDERS]
    timed = [r for r in timed if r["contender"] in some]
    left = f" The first {len(some)} of {len(contenders)} contenders are drawn."
    left = left if len(some) < len(contenders) else ""
    drawn: dict[str, Picture] = {}
    for mode in dict.fromkeys(r["mode"] for r in timed):
        of_mode = [r for r in timed if r["mode"] == mode]
        for name, (axis, value, rest) in SWEEPS.items():
            if panels := _sweeps(of_mode, value, rest):
                caption = (
                    f"{TITLES[mode].capitalize()}: time over {axis}. Dashed: proportional to the "
                    "operations, from the first point of the first contender."
                )
                if len(panels) > MOST_PANELS:
                    caption += f" The first {MOST_PANELS} of {len(panels)} plots are drawn."
                growth = figures.png(_growth(panels[:MOST_PANELS], axis, value, TITLES[mode]))
                drawn[f"{mode}_over_{name}.png"] = Picture(caption + left, growth)
        if len(of_mode) > 1:
            caption = f"{TITLES[mode].capitalize()}: roofline. The line shows the two ceilings."
            roofline = figures.png(_roofline(of_mode, TITLES[mode]))
            drawn[f"{mode}_roofline.png"] = Picture(caption + left, roofline)
    training = [r for r in timed if r["mode"] == "training"] or timed
    for name, key, scale, axis in (
        ("build", "compile_s", 1.0, "seconds to lower and compile"),
        ("memory", "memory_bytes", 1e-6, "peak MB"),
    ):
        values = [(r["contender"], _build(r) if name == "build" else r[key]) for r in training]
        values = [(who, scale * v) for who, v in values if v]
        if values:
            what = TITLES[training[0]["mode"]]
            caption = f"{axis[0].upper() + axis[1:]}, {what}. One dot per case."
            drawn[f"{name}.png"] = Picture(caption + left, figures.png(_strips(values, axis, what)))
    return drawn


def _build(record: Record) -> float:
    return record["lower_s"] + record["compile_s"]


def _sweeps(records: list[Record], value: Any, rest: Any) -> list[list[Record]]:
    """Groups of records that differ in one size only, with at least three values of it."""
    found: dict[Any, list[Record]] = {}
    for r in records:
        directions = r["config"].count("bidirectional = true")
        key = (rest(r), r["dtype"], r["shape"]["shortest"], r["shape"]["resets"], directions)
        found.setdefault(key, []).append(r)
    return [group for group in found.values() if len({value(r) for r in group}) >= 3]


def _growth(panels: list[list[Record]], axis: str, value: Any, title: str) -> Any:
    figure, axes = figures.figure(len(panels))
    figure.suptitle(f"{title.capitalize()}: time over {axis}")
    styles = figures.styles([r for group in panels for r in group])
    for ax, group in zip(axes, panels, strict=True):
        for name, style in styles.items():
            own = sorted((r for r in group if r["contender"] == name), key=value)
            times = [1e3 * r["median_s"] for r in own]
            ax.plot([value(r) for r in own], times, lw=1, ms=5, **style)
        first = next(iter(styles))
        own = sorted((r for r in group if r["contender"] == first), key=value)
        if own:
            scale = 1e3 * own[0]["median_s"] / own[0]["flops"]
            work = [scale * r["flops"] for r in own]
            ax.plot([value(r) for r in own], work, "--", color="grey", lw=1)
        fixed = {"T": "time_steps", "B": "batch_size", "I": "input_size"}
        shown = [f"{k} {group[0][v]}" for k, v in fixed.items() if len({r[v] for r in group}) == 1]
        ax.set(xscale="log", yscale="log", xlabel=axis, ylabel="ms", title=", ".join(shown))
        sizes = sorted({value(r) for r in group})
        ax.set_xticks(figures.apart(sizes), labels=map(str, figures.apart(sizes)))
        ax.set_xticks([], minor=True)
        figures.plain_numbers(ax.yaxis)
        ax.grid(alpha=0.3)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside right center", fontsize=8)
    return figure


def _roofline(records: list[Record], title: str) -> Any:
    figure, (ax,) = figures.figure()
    intensity = [r["flops"] / r["bytes_moved"] for r in records]
    # The best of several runs is closest to what the machine can do.
    top = max(r["ceilings"]["product_gflops_per_s"] for r in records)
    slope = max(r["ceilings"]["copy_gbytes_per_s"] for r in records)
    knee = top / slope
    low, high = min(*intensity, knee) / 2, max(*intensity, knee) * 2
    ax.plot([low, knee, high], [low * slope, top, top], color="grey", lw=1)
    for name, style in figures.styles(records).items():
        own = [(x, r) for x, r in zip(intensity, records, strict=True) if r["contender"] == name]
        speeds = [r["gflops_per_s"] for _, r in own]
        ax.plot([x for x, _ in own], speeds, ls="", ms=5, alpha=0.8, **style)
    label = "operations per byte of weights, input and outputs"
    ax.set(xscale="log", yscale="log", xlabel=label, ylabel="GFLOP/s")
    ax.set_title(f"{title.capitalize()}: roofline")
    figures.plain_numbers(ax.xaxis)
    figures.plain_numbers(ax.yaxis)
    ax.grid(alpha=0.3)
    figure.legend(loc="outside right center", fontsize=8)
    return figure


def _strips(values: list[tuple[str, float]], axis: str, title: str) -> Any:
    figure, (ax,) = figures.figure()
    names = list(dict.fromkeys(name for name, _ in values))
    rows = [names.index(name) for name, _ in values]
    ax.scatter([v for _, v in values], rows, s=14, alpha=0.7)
    ax.set(
        xscale="log", xlabel=axis, yticks=range(len(names)), yticklabels=map(figures.label, names)
    )
    ax.set_title(f"{title.capitalize()}: {axis}")
    figures.plain_numbers(ax.xaxis)
    ax.invert_yaxis()
    ax.grid(axis="x", alpha=0.3)
    return figure
