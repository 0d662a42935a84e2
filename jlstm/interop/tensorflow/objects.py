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
    for node in protobuf.contents(graph, 1):
        for attribute in protobuf.contents(node, 2):
            texts = {n: text for n, text in protobuf.values(attribute) if isinstance(text, bytes)}
            if texts.get(1) == b"VARIABLE_VALUE" and 3 in texts:
                found[texts[3].decode()] = texts.get(2, b"").decode()
    return found
