"""Changes of TOML and of records, with syntax that is right."""

import copy
import gzip
import json
import tomllib

from hypothesis import strategies as st

from tests.interop.fuzz.mutations import of_bytes, of_tree
from tests.interop.test_bad_files import places

KEYS = ["a", "layers", "case", "network", "hidden_size", "hidden_sizes", "x" * 300, "\x1b[31m", ""]
VALUES = [0, 1, 1500, 2**31 - 1, 2**31, 10**400, -1, 0.5, 1e308, float("nan"), True, "", "tanh"]
VALUES += ["x" * 3_000, "../../x", "\x1b[31m\u202e", [], [1] * 1501, [[[[1]]]], {}, {"a": {"b": 1}}]


def of_toml(data, draw):
    """A text of TOML with other keys, values or nesting, written in one of several ways."""
    tree = tomllib.loads(data.decode())
    if draw(st.booleans()):
        tree = of_tree(tree, draw)
    for _ in range(draw(st.integers(0, 2))):
        tables = [path for path in places(tree) if isinstance(at(tree, path), dict)]
        own = at(tree, draw(st.sampled_from(tables)))
        key = draw(st.sampled_from([*own, *KEYS]))
        how = draw(st.integers(0, 3))
        if how == 0 and key in own:
            own[draw(st.sampled_from(KEYS))] = own.pop(key)
        elif how == 1 and key in own:
            own[key] = draw(st.sampled_from([{key: own[key]}, [own[key]], [own[key]] * 30]))
        else:
            own[key] = copy.deepcopy(draw(st.sampled_from(VALUES)))
    headings, spaced = draw(st.booleans()), draw(st.booleans())
    return "\n".join(lines(tree, (), headings, " " * 40 * spaced)).encode()


def at(tree, path):
    for key in path:
        tree = tree[key]
    return tree


def lines(table, path, headings, space):
    """The lines of a table; tables in it have headings, or are inline."""
    inner = []
    for key, value in table.items():
        own = (*path, key)
        name = ".".join(map(json.dumps, own))
        if headings and isinstance(value, dict):
            inner += [f"[{name}]", *lines(value, own, headings, space)]
        elif headings and value and isinstance(value, list) and isinstance(value[0], dict):
            for each in value:
                inner += [f"[[{name}]]", *lines(each if isinstance(each, dict) else {}, own, 0, "")]
        else:
            yield f"{json.dumps(key)} = {space}{written(value)}"
    yield from inner


def written(value):
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(k)} = {written(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(written, value)) + "]"
    if isinstance(value, float):
        return str(value)
    return json.dumps("" if value is None else value)


def of_records(data, draw):
    """Lines of records in which some fields are others."""
    made = data.splitlines()
    for _ in range(draw(st.integers(1, 3))):
        n = draw(st.integers(0, len(made) - 1))
        if draw(st.integers(0, 4)) == 0:
            made[n] = of_bytes(made[n], draw)
        else:
            try:
                tree = json.loads(made[n])
            except (ValueError, RecursionError):
                continue
            if isinstance(tree, dict):
                made[n] = json.dumps(of_tree(tree, draw)).encode()
    return b"\n".join(made * draw(st.sampled_from([1, 1, 1, 50]))) + b"\n"


def of_packed_records(data, draw):
    """The same in a compressed file, of one part or several."""
    whole = of_records(gzip.decompress(data), draw)
    cut = draw(st.integers(0, len(whole)))
    if draw(st.booleans()):
        return gzip.compress(whole[:cut]) + gzip.compress(whole[cut:])
    return gzip.compress(whole) + draw(st.sampled_from([b"", b"", b"\0" * 9, b"x" * 9]))
