"""Pages of the documentation link to files and headings that exist, and the site has every page."""

import dataclasses
import importlib
import pathlib
import re
import runpy
import types
import warnings

import pytest

import jlstm

DOCS = pathlib.Path(__file__).parent.parent / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
# Pages whose blocks of Python run one by one, each without the names of the others.
ALONE = ["index", "mathematics", "modules", "porting", "start"]
SOURCES = (".py", ".h", ".cc")
LINEN = "jlstm.modules.linen"
OTHERS = ("torch", "keras", "tensorflow", "haiku", "flax", "orbax", "equinox")
OTHERS += ("onnxruntime", "onnx")


def blocks(page):
    """The blocks of Python in a page, under their headings."""
    text = (DOCS / f"{page}.md").read_text()
    found = re.finditer(r"```python\n(.*?)```", text, re.DOTALL)
    return [(re.findall(r"^#+ (.*)$", text[: m.start()], re.MULTILINE)[-1], m[1]) for m in found]


def others(code):
    """The frameworks that a block imports, and the package of TensorFlow 1's cells."""
    found = [n for n in OTHERS if re.search(rf"^(import|from) {n}\b", code, re.MULTILINE)]
    return [*found, "tf_keras"] if "tensorflow" in found else found


def cases():
    """A test for each block. Those of most pages are marked `full`."""
    for page in ALONE:
        for title, code in blocks(page):
            marks = [] if page == "index" else [pytest.mark.full]
            yield pytest.param(code, id=f"{page}: {title}", marks=marks)


@pytest.mark.parametrize("code", list(cases()))
def test_the_python_of_a_page_runs(code):
    for name in others(code):
        pytest.importorskip(name)
    with warnings.catch_warnings():
        if others(code):
            warnings.simplefilter("ignore")  # those of the frameworks
        exec(compile(code, "page", "exec"), {})


def anchors(path):
    """The names that GitHub and Sphinx give to the headings of a page."""
    titles = re.findall(r"^#+ (.*)$", path.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(DOCS)))
def test_links_of_a_page_lead_to_files_and_headings(page):
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if "://" in link:
            continue
        file, _, heading = link.partition("#")
        target = page.parent / file if file else page
        assert target.exists(), link
        assert not heading or heading in anchors(target), link


def constructed():
    """The configs, layers and modules that the tables of pages say stand for something else."""
    for page in ALONE:
        for row in re.findall(r"^\| .* \|$", (DOCS / f"{page}.md").read_text(), re.MULTILINE):
            ours = row.strip("| ").split(" | ")[1:2]
            for code in re.findall(r"`((?:jlstm\.modules|Config|Layer|LSTM)[^`]*\))`", *ours):
                yield pytest.param(code, id=f"{page}: {code}")


@pytest.mark.parametrize("code", list(constructed()))
def test_what_a_table_constructs_can_be_constructed(code):
    names = {"jlstm": jlstm, "Config": jlstm.Config, "Layer": jlstm.Layer, "features": 6}
    if "LSTM(" in code:
        nnx = pytest.importorskip("flax.nnx")
        modules = importlib.import_module("jlstm.modules.nnx" if "rngs" in code else LINEN)
        names |= {"rngs": nnx.Rngs(0), "LSTM": modules.LSTM}
    eval(code, names)


def test_every_page_is_in_the_table_of_contents():
    index = (DOCS / "index.md").read_text()
    listed = set()
    for block in re.findall(r"```\{toctree\}\n(.*?)```", index, re.DOTALL):
        lines = [line for line in block.splitlines() if line and not line.startswith(":")]
        listed |= {re.sub(r".*<(.*)>", r"\1", line) for line in lines}
    assert listed == {str(page.relative_to(DOCS).with_suffix("")) for page in PAGES} - {"index"}


@pytest.mark.full
def test_the_python_of_the_page_on_serving_runs_from_top_to_bottom():
    pytest.importorskip("onnxruntime")
    names = {}
    for title, code in blocks("serving"):
        exec(compile(code, title, "exec"), names)
    assert len(names["xs"]) == 20


def test_the_mathematics_names_every_option_of_a_layer():
    text = (DOCS / "mathematics.md").read_text()
    options = {field.name for field in dataclasses.fields(jlstm.Layer)} - {"hidden_size"}
    assert {name for name in options if not re.search(rf"`{name}\b", text)} == set()


def test_the_picture_of_a_cell_is_what_its_script_draws():
    names = runpy.run_path(str(DOCS / "cell_picture.py"))
    assert names["PATH"].read_text() == names["picture"]()


def lines_of(path):
    """The lines of a file, or of all sources in a folder."""
    files = [path] if path.is_file() else [p for p in path.rglob("*") if p.suffix in SOURCES]
    return [line for file in files for line in file.read_text().splitlines()]


def test_the_counts_of_lines_in_the_page_for_contributors_are_near():
    page = (DOCS / "contributing.md").read_text()
    rows = re.findall(r"^\| `((?:jlstm|tests)/[\w/.]*)`.*\| (\d+) \|$", page, re.MULTILINE)
    assert len(rows) == 15
    variant = page[page.index("### A variant") : page.index("### A platform")]
    for path, count in rows:
        lines = lines_of(DOCS.parent / path)
        if f"| `{path}`" in variant:
            assert int(count) == sum("gate_clip" in line for line in lines), path
        elif count != "1":
            assert 0.8 * len(lines) < int(count) < 1.25 * len(lines), path


def test_the_page_of_examples_has_every_program():
    shown = re.findall(
        r"literalinclude\} \.\./examples/(\w+\.py)", (DOCS / "examples.md").read_text()
    )
    assert sorted(shown) == sorted(p.name for p in (DOCS.parent / "examples").glob("*.py"))


def test_every_notebook_is_a_page_with_a_sentence_in_the_index():
    folder = DOCS.parent / "notebooks"
    index = re.findall(r"^- \[\w+\]\((\w+)\.ipynb\): \S", (folder / "README.md").read_text(), re.M)
    pages = re.findall(r"^notebooks/(\w+)$", (DOCS / "notebooks.md").read_text(), re.M)
    assert index == pages
    assert sorted(pages) == sorted(path.stem for path in folder.glob("*.ipynb"))


def test_the_site_copies_the_notebooks_and_forgets_those_that_are_gone(tmp_path):
    copy_notebooks = runpy.run_path(str(DOCS / "conf.py"))["copy_notebooks"]
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks" / "gone.ipynb").write_text("{}")
    copy_notebooks(types.SimpleNamespace(srcdir=tmp_path))
    copies = {path.name: path.read_bytes() for path in (tmp_path / "notebooks").iterdir()}
    sources = (DOCS.parent / "notebooks").glob("*.ipynb")
    assert copies == {path.name: path.read_bytes() for path in sources}


def test_the_reference_shows_the_arguments_of_modules():
    modules = pytest.importorskip("jlstm.modules.nnx")
    tidy = runpy.run_path(str(DOCS / "conf.py"))["tidy_signature"]
    shown, _ = tidy(None, "class", "", modules.LSTM, {}, "(*args, **kwargs)", None)
    assert shown.startswith("(in_features, hidden_features, *, gate_fn=None,")
    assert "param_dtype=jax.numpy.float32" in shown and "<" not in shown
    hidden = "(features, dtype=None, parent=<flax.linen.module._Sentinel object>, name=None)"
    assert tidy(None, "class", "", object, {}, hidden, None) == ("(features, dtype=None)", None)


def test_the_reference_shows_what_is_returned_in_whole_sentences():
    lines = ["What.", "", "Returns:", "  Params: w_x [I, 4H].", "", "Returns:", "  A carry.", ""]
    runpy.run_path(str(DOCS / "conf.py"))["keep_colons"](None, "function", "", None, {}, lines)
    assert lines[3] == "  : Params: w_x [I, 4H]." and lines[6] == "  A carry."
