"""Unknown words, empty names and missing files are refused."""

import pytest


@pytest.mark.parametrize("command", ["train", "bench"])
def test_files_that_are_not_there_and_folders_are_refused(jlstm_at, tmp_path, command):
    (tmp_path / "folder").mkdir()
    for name in ("folder", "nothing"):
        code, _, err = jlstm_at(command, name)
        assert code == 2 and f"cannot read {name}" in err


@pytest.mark.parametrize(
    "words",
    [["bech"], ["train"], ["train", "a", "--outt", "b"], ["bench", "--seconds", "x"], ["eval"]],
)
def test_unknown_words_are_exit_code_2(jlstm_at, words):
    code, out, err = jlstm_at(*words)
    assert code == 2 and "Traceback" not in out + err


@pytest.mark.parametrize("empty", ["", " "])
@pytest.mark.parametrize(
    "words",
    [
        ("train", "a.toml", "--out"),
        ("train",),
        ("eval",),
        ("predict", "a", "b.csv", "-o"),
        ("predict", "-o", "b.csv", "a"),
        ("sample", "--prompt", "a"),
        ("bench",),
        ("bench", "--out"),
        ("bench", "--compare"),
        ("report", "a", "--out"),
        ("report",),
        ("convert", "a"),
        ("export", "a"),
    ],
)
def test_empty_names_are_refused(jlstm_at, tmp_path, words, empty):
    """pathlib takes them for the current folder."""
    code, out, err = jlstm_at(*words, empty)
    assert code == 2 and "Traceback" not in out + err
    assert "the name is empty" in out + err
    assert list(tmp_path.iterdir()) == []
