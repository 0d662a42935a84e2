"""Files of torch that claim much."""

import io
import time
import zipfile

import pytest

from jlstm.interop import from_torch
from tests.interop.test_bad_files import refused

pytest.importorskip("torch")


def test_tuples_that_are_there_many_times(tmp_path):
    import torch

    shared: object = torch.zeros(3)
    for _ in range(60):
        shared = (shared, shared)
    torch.save({"weight_ih_l0": shared}, tmp_path / "a.pt")
    start = time.process_time()
    assert refused(from_torch, tmp_path / "a.pt")
    assert time.process_time() - start < 1


def test_a_torch_archive_that_claims_much(tmp_path):
    import torch

    file = io.BytesIO()
    torch.save(torch.nn.LSTM(5, 4).state_dict(), file)
    with zipfile.ZipFile(file) as archive, zipfile.ZipFile(tmp_path / "a.pt", "w") as changed:
        for entry in archive.infolist():
            data = archive.read(entry)
            if "/data/" in entry.filename:
                data = data[:8]
            changed.writestr(entry.filename, data)
    assert refused(from_torch, tmp_path / "a.pt")
