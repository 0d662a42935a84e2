"""Draws all pictures of speed from the recorded benchmarks: `python -m benchmarks.pictures`."""

import pathlib
from collections.abc import Callable
from functools import partial

from benchmarks.pictures import overview, records, shapes

OTHERS = "Time of other LSTMs divided by the time of jlstm, on 2 CPU cores"
CASES = {  # of training.jsonl, as short as a picture needs
    "digits, T 8, 2 x 128, batch 64": "digits",
    "vowels, T 7 to 29, 128, batch 30": "vowels",
    "forecast, T 100, 2 x 128, batch 64": "forecast",
    "adding, T 600, 128, batch 32": "adding",
    "text, T 64, 256, batch 32": "text, 256",
    "text, T 64, 2 x 512, batch 32": "text, 2 x 512",
}


def training() -> str:
    """Whole training, data included."""
    found = records.training_ratios()
    cases = {CASES[case]: own for case, own in found.items()}
    about = "Sequences a second of jlstm divided by those of torch and Keras, on 2 CPU cores"
    return shapes.rows({"training, data included": cases}, about)


def times(panels: Callable[[str], shapes.Panels], mode: str) -> str:
    """One call, forward or a training step."""
    return shapes.rows(panels(mode), f"{OTHERS}, {mode}")


HERE = pathlib.Path(__file__).parent
PICTURES = {
    records.HERE / "speed.svg": overview.picture,
    HERE / "training.svg": training,
    HERE / "shapes_forward.svg": partial(times, shapes.across_shapes, "forward"),
    HERE / "shapes_training.svg": partial(times, shapes.across_shapes, "training"),
    HERE / "calls_forward.svg": partial(times, shapes.other_calls, "forward"),
    HERE / "calls_training.svg": partial(times, shapes.other_calls, "training"),
}

if __name__ == "__main__":
    for path, draw in PICTURES.items():
        path.write_text(draw())
