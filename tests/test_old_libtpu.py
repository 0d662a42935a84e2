"""Programs for TPUs where libtpu is older than the jax that compiles them expects."""

import jax
import pytest
from jax._src import tpu_custom_call
from jax._src.interpreters import pxla

from jlstm.bench import old_libtpu


@pytest.mark.parametrize(
    ("versions", "changed"),
    [
        (("0.7.2", "0.0.21.1"), True),
        (("0.7.2", "0.0.23"), False),
        (("0.8.0", "0.0.21.1"), False),
        (("0.7.2", None), False),
    ],
)
def test_jax_is_changed_for_colabs_versions_alone(versions, changed, monkeypatch):
    before = [object(), object()]
    monkeypatch.setattr(tpu_custom_call, "get_ir_version", before[0])
    monkeypatch.setattr(pxla, "is_default_layout", before[1])
    monkeypatch.setattr(jax, "__version__", versions[0])
    monkeypatch.setattr(old_libtpu, "installed", lambda: versions[1])
    old_libtpu.adapt()
    after = [tpu_custom_call.get_ir_version, pxla.is_default_layout]
    assert [a is not b for a, b in zip(after, before, strict=True)] == [changed, changed]
