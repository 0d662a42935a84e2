"""Variables of comprehensions do not hide names of their module.

Python 3.12 can fail with UnboundLocalError in a function where they do (PEP 709): one comprehension
hides the name, and another, within a comprehension, uses it.
"""

import ast
import pathlib

import pytest

PACKAGE = pathlib.Path(__file__).parent.parent / "jlstm"


def hidden(text):
    """The names of a module that comprehensions in its functions hide, with the functions."""
    tree = ast.parse(text)
    known = set()
    for node in tree.body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            known |= {(name.asname or name.name).split(".")[0] for name in node.names}
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            known.add(node.name)
        elif isinstance(node, ast.Assign):
            targets = [n for target in node.targets for n in ast.walk(target)]
            known |= {n.id for n in targets if isinstance(n, ast.Name)}
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    for function in functions:
        for node in ast.walk(function):
            if isinstance(node, ast.comprehension):
                names = {n.id for n in ast.walk(node.target) if isinstance(n, ast.Name)}
                yield from ((function.name, name) for name in names & known)


def test_no_name_is_hidden():
    found = {str(path): list(hidden(path.read_text())) for path in PACKAGE.rglob("*.py")}
    assert found and not {path: names for path, names in found.items() if names}


@pytest.mark.parametrize(
    ("head", "found"), [("import forms", [("f", "forms")]), ("import names", [])]
)
def test_a_hidden_name_is_found(head, found):
    assert list(hidden(f"{head}\ndef f(a):\n    return [forms for forms in a]")) == found
