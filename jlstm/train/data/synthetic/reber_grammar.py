"""The embedded Reber grammar as an automaton: its strings, and what may follow each symbol."""

import numpy as np

SYMBOLS = ("B", "T", "S", "X", "P", "V", "E")

# The Reber grammar (Reber 1967), from the node after B on: the edges that leave each node, as a
# symbol and the next node. All edges of a node are equally likely.
_INNER = {
    0: (("T", 1), ("P", 2)),
    1: (("S", 1), ("X", 3)),
    2: (("T", 2), ("V", 4)),
    3: (("X", 2), ("S", 5)),
    4: (("P", 3), ("V", 5)),
    5: (("E", 6),),
}


def _automaton() -> tuple[np.ndarray, np.ndarray]:
    """The symbols and next nodes of two edges for each node, int8 [nodes, 2].

    A node with one edge has it twice. Node 0 is before the first B, and after the last E.
    """
    edges: dict[int, tuple[tuple[str, int], ...]] = {0: (("B", 1),), 1: (("T", 2), ("P", 11))}
    for first, outer in ((2, "T"), (11, "P")):
        edges[first] = (("B", first + 1),)
        for node, leaving in _INNER.items():
            edges[first + 1 + node] = tuple((symbol, first + 1 + to) for symbol, to in leaving)
        edges[first + 7] = ((outer, first + 8),)  # the second symbol of the string, once more
        edges[first + 8] = (("E", 0),)
    pairs = [(edges[node] * 2)[:2] for node in range(len(edges))]
    symbols = np.array([[SYMBOLS.index(symbol) for symbol, _ in pair] for pair in pairs], np.int8)
    return symbols, np.array([[to for _, to in pair] for pair in pairs], np.int8)


_EMITTED, _NEXT = _automaton()
_NODES = len(_EMITTED)
SHORTEST = 9  # symbols of BTBPVVETE and of its like
_AT_ONCE = 2**16  # strings whose symbols are drawn together, which bounds the memory


def strings(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    """n strings, one after the other.

    Returns:
      tokens: int8 [sum of lengths], numbers of SYMBOLS.
      lengths: int [n], the symbols of each string.

    >>> tokens, lengths = strings(np.random.default_rng(0), 1)
    >>> "".join(SYMBOLS[token] for token in tokens)
    'BPBPVVEPE'
    """
    parts = [_walks(rng, min(_AT_ONCE, n - start)) for start in range(0, n, _AT_ONCE)]
    tokens, lengths = zip(*parts, strict=True)
    return np.concatenate(tokens), np.concatenate(lengths)


def _walks(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    """`strings`, all walked through the automaton at once, each until it is back at node 0."""
    emitted, to = _EMITTED.ravel(), 2 * _NEXT.ravel().astype(np.intp)
    walking, edges = np.arange(n), np.zeros(n, np.intp)  # an edge is twice its node, plus 0 or 1
    lengths = np.zeros(n, np.int64)
    columns = []
    while walking.size:
        edges += rng.integers(2, size=walking.size, dtype=np.int8)
        column = np.full(n, -1, np.int8)
        column[walking] = emitted.take(edges)
        columns.append(column)
        lengths[walking] = len(columns)
        edges = to.take(edges)
        going = np.flatnonzero(edges)
        if going.size < walking.size:
            walking, edges = walking[going], edges[going]
    rows = np.stack(columns, axis=1)
    return rows[rows >= 0], lengths


def _tables() -> tuple[np.ndarray, np.ndarray]:
    """The next node for each node and token, and the symbols that may follow each node."""
    to = np.full((_NODES + 1, len(SYMBOLS) + 1), _NODES, np.int8)  # the last node: nothing follows
    may = np.zeros((_NODES + 1, len(SYMBOLS)), bool)
    nodes = np.arange(_NODES)
    for edge in range(2):
        to[nodes, _EMITTED[:, edge]] = _NEXT[:, edge]
        may[nodes, _EMITTED[:, edge]] = True
    return to, may


def successors(tokens: np.ndarray) -> np.ndarray:
    """The symbols that may follow each token, bool [N, T, symbols].

    Args:
      tokens: int [N, T], strings of the grammar from their first symbol on, or several strings one
        after the other. After -1, and after a symbol that the grammar does not allow, nothing may
        follow.

    >>> row = successors(np.array([[SYMBOLS.index(symbol) for symbol in "BTBTS"]]))[0]
    >>> ["".join(s for s, yes in zip(SYMBOLS, step, strict=True) if yes) for step in row]
    ['TP', 'B', 'TP', 'SX', 'SX']
    """
    to, may = _tables()
    nodes = np.zeros(len(tokens), np.int8)
    result = np.empty((*tokens.shape, len(SYMBOLS)), bool)
    for step in range(tokens.shape[1]):
        nodes = to[nodes, tokens[:, step]]
        result[:, step] = may[nodes]
    return result
