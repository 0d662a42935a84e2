"""Every public docstring names each argument and field, the errors, and shows an example that runs.

pytest runs the examples, since it collects the doctests of every module.
"""

import dataclasses
import inspect
import pathlib
import re

import pytest

import jlstm
import jlstm.interop

PLACES = {
    "jlstm": jlstm.__all__,
    "jlstm.interop": jlstm.interop.__all__,
    "jlstm.train.step": ["State", "make_eval_step", "make_train_step", "new_state"],
    "jlstm.train.loop": ["evaluated", "updates"],
    "jlstm.train.model": ["Batch", "Model"],
    "jlstm.train.trained": ["Trained", "load", "save"],
    "jlstm.train.predicting": ["forecast_errors", "predicted"],
    "jlstm.train.data.sources": ["load"],
    "jlstm.train.sampling": ["sampled"],
    "jlstm.train.data.split": ["Data", "Meaning", "Split", "Stream"],
    "jlstm.train.data.batches": ["evaluation", "training"],
    "jlstm.train.data.vocabulary": ["characters", "decode", "encode"],
    "jlstm.train.tasks.classify": ["Classify"],
    "jlstm.train.tasks.ctc": ["Ctc"],
    "jlstm.train.tasks.forecast": ["Forecast"],
    "jlstm.train.tasks.label": ["Label"],
    "jlstm.train.tasks.language": ["Language"],
    "jlstm.train.tasks.regress": ["Regress"],
}
NAMES = [f"{place}.{name}" for place, names in PLACES.items() for name in names]


def resolved(name):
    """The object of a full name, whose module may not be imported yet."""
    place, _, attribute = name.rpartition(".")
    pytest.importorskip(place)
    return getattr(inspect.importlib.import_module(place), attribute)


def section(text, title):
    """The lines of a section of a docstring, or nothing."""
    match = re.search(rf"^{title}:\n((?:  .*\n|\n)+)", text + "\n", re.MULTILINE)
    return match[1] if match else ""


def named(lines):
    """The names that the entries of a section begin with."""
    entries = re.findall(r"^  (\w[\w, ]*):", lines, re.MULTILINE)
    return {name.strip() for entry in entries for name in entry.split(",")}


def fields(value):
    """The fields of a named tuple or a dataclass."""
    if dataclasses.is_dataclass(value):
        return {field.name for field in dataclasses.fields(value) if field.init}
    return set(getattr(value, "_fields", ()))


@pytest.mark.parametrize("name", NAMES)
def test_a_public_docstring_is_complete(name):
    value = resolved(name)
    text = inspect.getdoc(value)
    assert ">>> " in text, "no example"
    if inspect.isclass(value):
        assert named(section(text, "Attributes")) == fields(value)
        return
    signature = inspect.signature(value)
    assert named(section(text, "Args")) == set(signature.parameters)
    assert section(text, "Raises") or not signature.parameters, "no errors"
    assert signature.return_annotation is None or section(text, "Returns"), "no result"


WITHOUT_ARRAYS = {"Config", "Layer", "Report", "decay_mask", "implementations", "load_notes"}
WITHOUT_ARRAYS.add("register_kernels")
WITH_ARRAYS = [
    f"{place}.{name}"
    for place in ("jlstm", "jlstm.interop")
    for name in PLACES[place]
    if name not in WITHOUT_ARRAYS
]


@pytest.mark.parametrize("name", WITH_ARRAYS)
def test_a_public_docstring_has_shapes_and_dtypes(name):
    prose = inspect.getdoc(resolved(name)).partition(">>>")[0]
    if not re.search(r"as (in|for) `apply`", prose):
        assert re.search(r"\[[^\]]*\b(\d?[A-Z]\d*|T_n|weights|\*kernel)\b[^\]]*\]", prose), (
            "no shape"
        )
        assert re.search(r"float|dtype|int32|boolean|whole number", prose), "no dtype"


@pytest.mark.parametrize("name", ["Layer", "apply", "conv_lstm", "lstm", "lstm_cell"])
def test_a_docstring_says_where_the_equations_come_from(name):
    assert re.search(
        r"`jlstm.cell`|\(\d{4}\)|et al\.|as in `apply`", inspect.getdoc(getattr(jlstm, name))
    )


def test_help_begins_with_every_public_name():
    text = jlstm.__doc__
    for name in jlstm.__all__:
        assert re.search(rf"^  (.*, )?{name}(,|  )", text, re.MULTILINE), name
    assert text.index("  apply  ") < text.index("  Carry, Params,")


def test_the_pages_of_the_api_have_every_public_name():
    described = set()
    for page in (pathlib.Path(__file__).parent.parent / "docs" / "api").glob("*.md"):
        place = ""
        lines = re.findall(r"^\.\. (\w+):: ([\w.]+)", page.read_text(), re.MULTILINE)
        for directive, name in lines:
            if directive == "currentmodule":
                place = f"{name}."
            elif directive.startswith("auto"):
                described.add(name if name.startswith("jlstm.") else place + name)
    assert set(NAMES) - described == set()


def test_help_of_train_names_every_module_with_public_names():
    text = inspect.getdoc(pytest.importorskip("jlstm.train"))
    for place in PLACES:
        if place.startswith("jlstm.train."):
            assert re.search(
                rf"^  (.*, )?{place.removeprefix('jlstm.train.')}(,|  |$)", text, re.M
            ), place
