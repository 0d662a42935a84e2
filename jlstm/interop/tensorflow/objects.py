"""The object graph of a TensorFlow 2 checkpoint: the names of its variables.

The format comes from tensorflow/core/protobuf/trackable_object_graph.proto.
"""

from jlstm.interop import protobuf

KEY = "_CHECKPOINTABLE_OBJECT_GRAPH"  # the name under which a checkpoint holds the graph


def variables(graph: bytes) -> dict[str, str]:
    """The name that each variable had in its program, by its name in the checkpoint.

    In "layer_with_weights-0/cell/kernel/.ATTRIBUTES/VARIABLE_VALUE", attributes of objects lead to
    the variable. In its program, the same variable may be "lstm/lstm_cell/kernel".

    Raises:
      ValueError, IndexError: the bytes are not such a graph.
    """
    found = {}
    for node in _messages(graph, 1):
        for attribute in _messages(node, 2):
            texts = {
                field.number: attribute[field.at : field.end]
                for field in protobuf.fields(attribute, 0, len(attribute))
                if field.kind == protobuf.BYTES
            }
            if texts.get(1) == b"VARIABLE_VALUE" and 3 in texts:
                found[texts[3].decode()] = texts.get(2, b"").decode()
    return found


def _messages(message: bytes, number: int) -> list[bytes]:
    """The messages in the fields of one number."""
    return [
        message[field.at : field.end]
        for field in protobuf.fields(message, 0, len(message))
        if field.number == number and field.kind == protobuf.BYTES
    ]
