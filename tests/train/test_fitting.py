"""Data that a task cannot read are refused before training, not clamped or broadcast."""

import dataclasses

import numpy as np
import pytest

from jlstm import Config
from jlstm.train import run, settings
from jlstm.train.data.split import Data, Meaning, Split, Stream
from jlstm.train.optimizer import Optimizer
from jlstm.train.tasks import names
from jlstm.train.tasks.classify import Classify
from jlstm.train.tasks.ctc import Ctc
from jlstm.train.tasks.fitting import require_fitting
from jlstm.train.tasks.forecast import Forecast
from jlstm.train.tasks.label import Label
from jlstm.train.tasks.language import Language
from jlstm.train.tasks.regress import Regress

XS = np.zeros((2, 5, 3), "float32")
TOKENS = np.array([[0, 1, 2, 0, 0]] * 2)
NAN = np.array([[0.0], [np.nan]], "float32")


def of(xs, targets, lengths=None):
    return Split(xs, np.array(targets), None if lengths is None else np.array(lengths))


BAD = [
    (
        Classify(3),
        of(XS, [0, 3]),
        r"targets\[1\] is 3; .* 0 to 2; classes of .task. is 3: .* least 4, or",
    ),
    (Classify(3), of(XS, [-1, 2]), r"targets\[0\] is -1"),
    (
        Classify(3, vocabulary=2),
        of(TOKENS, [0, 2]),
        r"xs\[0, 2\] is 2; .* vocabulary of .task. is 2: .* 3",
    ),
    (Classify(3, vocabulary=3), of(-TOKENS, [0, 2]), r"xs\[0, 1\] is -1"),
    (Classify(3), of(XS, [0, 1], [0, 6]), r"lengths\[1\] is 6"),
    (Classify(3), of(XS, [0, 1], [-1, 5]), r"lengths\[0\] is -1"),
    (Classify(3), of(XS, [0, 1, 2]), "2 sequences, but targets of 3"),
    (Label(3), of(XS, [[0, 1, 2, -1, 3]] * 2), r"targets\[0, 4\] is 3"),
    (Label(3), of(XS, [[0, 1]] * 2), r"\[2, 2\], but the task needs \[2, 5\]"),
    (Ctc(3), of(XS, [[0, 3], [1, -1]]), r"targets\[0, 1\] is 3"),
    (Ctc(3), of(XS, [[0, 2], [-1, 1]]), r"targets\[1, 0\] is -1, but a class follows"),
    (Ctc(3), of(XS, [[0, -1], [1, 1]], [1, 2]), "sequence 1 has 2 steps, .* 2 targets .* least 3"),
    (Ctc(3), of(XS, [[0, 0, 1, 1]] * 2), r"sequence 0 \(and 1 others\) has 5 steps, .* least 6"),
    (Regress(2), of(XS, [[0.0], [1.0]]), r"\[2, 1\], but the task needs \[2, 2\]"),
    (Regress(1), of(XS, NAN), r"targets\[1, 0\] is nan"),
    (Forecast(4), of(XS, np.zeros((2, 1, 1))), r"\[2, 1, 1\], but the task needs \[2, 4, 1\]"),
    (Language(3), Stream(np.array([0, 2, 3])), r"tokens\[2\] is 3"),
]


@pytest.mark.parametrize("part", ["train", "test"])
@pytest.mark.parametrize(("task", "split", "words"), BAD)
def test_a_split_that_the_task_cannot_read_is_refused(task, split, words, part):
    splits = {"train": None, "valid": None, "test": None} | {part: split}
    with pytest.raises(ValueError, match=f"^{part} .*{words}|^{part} has {words}"):
        require_fitting(task, Data(**splits))


@pytest.mark.parametrize(
    ("table", "split", "words"),
    [
        ({"name": "classify", "classes": 2}, of(XS, [0, 2]), "classes .* is 2: .* at least 3"),
        ({"name": "classify", "vocabulary": 2}, of(TOKENS, [0, 1]), "vocabulary .* is 2: .* 3"),
        ({"name": "forecast", "horizon": 4}, of(XS, np.zeros((2, 5, 1))), r"\[2, 4, 1\]; correct"),
        ({"name": "forecast", "values": 2}, of(XS, np.zeros((2, 5, 1))), r"\[2, 5, 2\]; correct"),
    ],
)
def test_sizes_of_a_table_that_do_not_fit_the_data_are_refused(table, split, words):
    """Classes out of range would make the first loss NaN."""
    data = Data(split, None, None)
    with pytest.raises(ValueError, match=words):
        require_fitting(names.from_table(table, data), data)


@pytest.mark.parametrize("option", ["classes", "vocabulary"])
def test_fewer_classes_or_tokens_than_the_data_name_are_refused(option):
    """A class that training lacks may come in use."""
    meaning = Meaning(**{option: ("a", "b", "c", "d")})
    data, task = Data(of(TOKENS, [0, 1]), None, None, meaning), Classify(4, vocabulary=4)
    require_fitting(task, data)
    few = dataclasses.replace(task, **{option: 3})
    with pytest.raises(ValueError, match=f"{option} of .task. is 3, but the data have 4 .* 4, or"):
        require_fitting(few, data)


def test_what_does_not_count_may_be_marked():
    for task, split in (
        (Label(3), of(XS, [[0, 1, 2, -1, -1]] * 2, [0, 5])),
        (Ctc(3), of(XS, [[0, 2], [1, -1]])),
        (Ctc(3), of(XS, [[0, 0, 1, -1], [-1, -1, -1, -1]], [4, 0])),
        (Forecast(4, 1), of(XS, np.zeros((2, 4, 1)))),
    ):
        require_fitting(task, Data(split, None, None))


@pytest.mark.parametrize("options", [{"relative": True}, {"strategy": "rollout"}])
def test_forecasts_that_go_on_from_other_inputs_are_refused(options):
    task = Forecast(1, 2, **options)
    split = of(np.zeros((2, 5, 2), "float32"), np.zeros((2, 1, 2)))

    def require(inputs, input_mean):
        meaning = Meaning(inputs=inputs, targets=("a", "b"), input_mean=input_mean)
        require_fitting(task, Data(split, None, None, meaning._replace(target_mean=(0.0, 1.0))))

    require(("a", "b"), (0.0, 1.0))
    with pytest.raises(ValueError, match="first inputs, which are b, a, but the targets are a, b"):
        require(("b", "a"), (0.0, 1.0))
    with pytest.raises(ValueError, match="normalised by the mean"):
        require(("a", "b"), (0.0, 2.0))


def test_a_run_looks_at_its_data(tmp_path):
    options = settings.Run(str(tmp_path / "run"), steps=1, batch_size=2)
    made = settings.Settings(
        {}, Regress(2), Config.stack(3, [2]), Optimizer(), options, settings.MeshSizes()
    )
    with pytest.raises(ValueError, match="task needs"):
        run.run(made, Data(of(XS, [[0.0], [1.0]]), None, None), silent=True)
    assert not (tmp_path / "run").exists()
