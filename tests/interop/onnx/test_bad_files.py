"""ONNX files that are changed, or made to do harm."""

import time

import numpy as np
import pytest

from jlstm.interop import from_onnx
from tests.interop.test_bad_files import content, odd_onnx, refused

pytestmark = pytest.mark.filterwarnings("ignore")


def test_an_empty_onnx_file_is_called_empty(tmp_path):
    (tmp_path / "a.onnx").write_bytes(b"")
    with pytest.raises(ValueError, match=r"a\.onnx is not a whole ONNX model: it is empty"):
        from_onnx(tmp_path / "a.onnx")


def test_onnx_models_that_point_elsewhere_or_claim_much(whole, tmp_path):
    import onnx

    (tmp_path / "secret").write_bytes(bytes(10_000))
    (tmp_path / "models").mkdir()
    for place in ("../secret", "/etc/passwd", str(tmp_path / "secret")):
        model = onnx.load(whole / "a.onnx")
        tensor = model.graph.initializer[0]
        tensor.ClearField("raw_data")
        tensor.data_location = onnx.TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value=place)
        (tmp_path / "models" / "a.onnx").write_bytes(model.SerializeToString())
        assert refused(from_onnx, tmp_path / "models" / "a.onnx")
    # The size of another file must not count as that of the weights.
    tensor.external_data.add(key="location", value="raw")
    (tmp_path / "models" / "raw").write_bytes(bytes(10_000))
    (tmp_path / "models" / "a.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(ValueError, match="in 2 files; expected one location"):
        from_onnx(tmp_path / "models" / "a.onnx")
    model = onnx.load(whole / "a.onnx")
    model.graph.initializer[0].dims[2] = 10**12
    (tmp_path / "b.onnx").write_bytes(model.SerializeToString())
    assert refused(from_onnx, tmp_path / "b.onnx")


@pytest.mark.parametrize("beside", [False, True])
def test_onnx_models_whose_lstms_share_what_is_there(beside, tmp_path):
    """Many LSTMs have the same arrays, or arrays of their own in the same bytes of a file."""
    import onnx
    from onnx import helper

    units, path = 500, tmp_path / "a.onnx"
    w = onnx.numpy_helper.from_array(np.zeros((1, 4 * units, units), "float32"), "w")
    axis = onnx.numpy_helper.from_array(np.array([1]), "axis")
    if beside:
        (tmp_path / "raw").write_bytes(w.raw_data)
        w.ClearField("raw_data")
        w.data_location = onnx.TensorProto.EXTERNAL
        w.external_data.add(key="location", value="raw")
    for count in (4, 40):
        names = [f"w{n}" if beside else "w" for n in range(count)]
        nodes, arrays = [], [axis]
        for n, name in enumerate(names):
            inputs = [f"xs{n}", name, name]
            nodes.append(helper.make_node("LSTM", inputs, [f"Y{n}"], hidden_size=units))
            nodes.append(helper.make_node("Squeeze", [f"Y{n}", "axis"], [f"xs{n + 1}"]))
            if beside or n == 0:
                arrays.append(onnx.TensorProto.FromString(w.SerializeToString()))
                arrays[-1].name = name
        graph = helper.make_graph(nodes, "g", [], [], arrays)
        path.write_bytes(helper.make_model(graph).SerializeToString())
        if count == 4:
            assert len(from_onnx(path)[0].layers) == 4
    start = time.process_time()
    assert refused(from_onnx, path)
    assert time.process_time() - start < 1
    with pytest.raises(ValueError, match=r"share take .* store a separate array for each LSTM"):
        from_onnx(path)


def test_onnx_models_of_odd_values(whole, tmp_path):
    draw, found = np.random.default_rng(0), 0
    data, path = content(whole, ".onnx"), tmp_path / "a.onnx"
    for _ in range(120):
        path.write_bytes(odd_onnx(data, draw))
        try:
            found += refused(from_onnx, path)
            from_onnx(path)
        except ValueError as error:
            assert str(error).isprintable()
            assert len(str(error)) < 1000
    assert found > 40


def test_onnx_files_of_many_small_parts_are_refused_at_once(tmp_path):
    from jlstm.interop.protobuf import as_bytes

    graph = 7
    for data in (
        bytes(8_000_000),
        b"\x08\x00" * 4_000_000,
        b"\xff" * 8_000_000,
        as_bytes(graph, b"\x0a\x00" * 500_000),
        as_bytes(graph, as_bytes(1, b"\x0a\x01a" * 500_000)),
        as_bytes(graph, as_bytes(5, b"\x08\x01" * 4_000_000)),
    ):
        (tmp_path / "a.onnx").write_bytes(data)
        began = time.perf_counter()
        assert refused(from_onnx, tmp_path / "a.onnx")
        assert time.perf_counter() - began < 4
