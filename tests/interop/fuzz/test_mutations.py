"""Each reader and files that are changed at random: a result, or an error in words, within bounds.

JLSTM_MUTATIONS says how many files the long run changes for each reader.
"""

import os
import shutil

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.interop.fuzz import mutations
from tests.interop.fuzz.bounds import refused
from tests.interop.fuzz.parsers import parses
from tests.interop.fuzz.targets import KINDS, write_whole

pytestmark = pytest.mark.filterwarnings("ignore")

SMALL = 200_000  # bytes of a crafted file that is changed further


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A whole file of each kind."""
    folder = tmp_path_factory.mktemp("whole")
    write_whole(folder)
    return folder


def corpus(kind, folder, whole):
    """The whole file of a kind, and the crafted files of it that are small."""
    made, path = [(whole / kind).read_bytes()], folder / kind
    path.parent.mkdir(parents=True)
    for write, _ in KINDS[kind].crafted.values():
        write(path)
        if path.stat().st_size <= SMALL:
            made.append(path.read_bytes())
    shutil.rmtree(folder)
    return made


def run(kind, folder, whole, count):
    """Reads `count` changed files of a kind."""
    own = KINDS[kind]
    files = corpus(kind, folder / "corpus", whole)
    beside = {name: (whole / name).read_bytes() for name in own.beside}
    path = folder / kind

    def read(contents):
        for name, content in (beside | contents).items():
            (folder / name).write_bytes(content)
        return refused(own.read, path)

    path.parent.mkdir(parents=True, exist_ok=True)
    assert read({kind: files[0]}) is None or kind == "script.pt"
    found = {"structured": [0, 0, 0], "bytes": [0, 0, 0]}

    @settings(max_examples=count, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(st.data())
    def changed(data):
        how = "structured" if data.draw(st.booleans()) else "bytes"
        if how == "structured":
            made = own.structured(files[0], data.draw, *beside.values())
        else:
            n = data.draw(st.integers(0, 2 * len(files) - 1))  # mostly the whole file
            made = mutations.of_bytes(files[n if n < len(files) else 0], data.draw)
        error = read(made if isinstance(made, dict) else {kind: made})
        found[how][0 if error is None else 1 + parses(path)] += 1

    changed()
    for how, (right, early, deep) in found.items():
        every = max(1, right + early + deep)
        print(
            f"{kind}, {how}: {right} read, {early} refused by their syntax, "
            f"{deep} ({deep / every:.0%}) after parsing"
        )
    assert sum(map(sum, found.values())) > 0
    right, early, deep = found["structured"]
    assert deep > (right + early + deep) / 10
    assert sum(own[1] + own[2] for own in found.values()) > count / 10


@pytest.mark.full
@pytest.mark.parametrize("kind", KINDS)
def test_a_hundred_changed_files(kind, whole, tmp_path):
    run(kind, tmp_path, whole, 100)


@pytest.mark.long
@pytest.mark.parametrize("kind", KINDS)
def test_ten_thousand_changed_files(kind, whole, tmp_path):
    run(kind, tmp_path, whole, int(os.environ.get("JLSTM_MUTATIONS", "10000")))
