"""The object graph of a TensorFlow 2 checkpoint: the names of its variables.

The format comes from tensorflow/core/protobuf/trackable_object_graph.proto.
"""

from collections.abc import Iterator

from jlstm.interop import protobuf

_MOST = 200_000  # fields; real graphs have some thousand
KEY = "_CHECKPOINTABLE_OBJECT_GRAPH"  # the name under which a checkpoint holds the graph


def variables(graph: bytes) -> dict[str, str]:
    """The name that each variable had in its program, by its name in the checkpoint.

    In "layer_with_weights-0/cell/kernel/.ATTRIBUTES/VARIABLE_VALUE", attributes of objects lead to
    the variable. In its program, the same variable may be "lstm/lstm_cell/kernel".

    Raises:
      ValueError, IndexError: the bytes are not such a graph, or have very many parts.
    """
    found = {}
    left = [_MOST]
    for _, node in _messages(graph, left, 1):
        for _, attribute in _messages(node, left, 2):
            texts = dict(_messages(attribute, left))
            if texts.get(1) == b"VARIABLE_VALUE" and 3 in texts:
                found[texts[3].decode()] = texts.get(2, b"").decode()
    return found


def _messages(
    message: bytes, left: list[int], number: int | None = None
) -> Iterator[tuple[int, bytes]]:
    """The numbers and the contents of fields of bytes: all, or those of one number.

    `left` holds how many fields may still be read, of any kind.
    """
    for found, value in protobuf.values(message):
        left[0] -= 1
        if left[0] < 0:
            raise ValueError(f"its object graph has more than {_MOST} fields")
        if number in (None, found) and not isinstance(value, int):
            yield found, value
