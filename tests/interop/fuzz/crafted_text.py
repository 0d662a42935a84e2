"""TOML and records that are not trusted: what would take long, or is shown to somebody."""

import copy
import gzip
import json

from tests.bench.made_up import run

PARTS = "a key has more than 4 parts"


def toml(text):
    return lambda path: path.write_text(text)


def cases(count, **options):
    """A suite of cases with these options."""
    lines = "".join(f"{name} = {value}\n" for name, value in options.items())
    return "".join(f'[[case]]\nname = "{n}"\ninput_size = 1\n{lines}' for n in range(count))


TOML = {
    "dotted key": (toml(" . ".join("a" * 20_000) + " = 1"), PARTS),
    "dotted heading": (toml("[" + ".".join(["aa"] * 60) + "]"), PARTS),
    "arrays": (toml("a = " + "[" * 300_000), "nested more than 8 deep"),
    "tables": (toml("a = " + "{a=" * 300_000), "nested more than 8 deep"),
    "headings": (toml("".join(f"[a{n}]\n" for n in range(60_000))), "more than 20000 tables"),
    "key of a megabyte": (toml('"' + "k" * 1_000_000 + '" = 1'), ""),
    "keys": (toml("".join(f"{n:x} = 1\n" for n in range(120_000))), ""),
    "numbers": (toml("a = [" + "1," * 500_000 + "]"), ""),
    "control characters": (toml('"\x1b[31m" = 1'), ""),
    "escaped": (toml('"\\u001b[31m\\u202e" = 1'), "\\x1b[31m\\u202e"),
}
SUITES = TOML | {
    "no cases": (toml("case = []"), "at least one [[case]] table"),
    "layers": (toml(cases(10_000, hidden_size=1, layers=1500)), "layers together"),
    "layers of one": (toml(cases(1, hidden_size=1, layers=10**9)), "more than 1500 layers"),
    "sizes": (toml(cases(1, hidden_sizes=f"[{'1,' * 90_000}]")), "more than 1500 layers"),
    "directions": (
        toml(cases(1, hidden_size=1, directions=f"[{'1,' * 400_000}]")),
        "more than 100000 keys",
    ),
    "modes": (toml(cases(1, hidden_size=1, modes=f"[{'1,' * 400_000}]")), "more than 100000 keys"),
    "large": (toml(cases(1, hidden_size=10**10)), "hidden_size"),
    "same names": (toml(cases(1, hidden_size=1) * 5_000), "several cases named"),
}
TIMED, LEFT_OUT = run({"jlstm scan": 1.0})


def changed(**fields):
    """The line of a record with other fields; of None, without them."""
    made = copy.deepcopy(TIMED) | fields
    return json.dumps({name: value for name, value in made.items() if value is not None})


def records(line, size=0):
    """A file of a good line and copies of another, of `size` bytes at least."""

    def write(path):
        own = line.encode() + b"\n"
        data = changed().encode() + b"\n" + own * (1 + size // len(own))
        path.write_bytes(gzip.compress(data, 1) if path.suffix == ".gz" else data)

    return write


MUCH = 40_000_000
RECORDS = {
    "mode above the folder": (records(changed(mode="../../x")), "mode is '../../x'"),
    "mode of a path": (records(changed(mode="/etc/x")), "mode is '/etc/x'"),
    "missing": (records(changed(shape=None)), "lacks shape"),
    "odd": (records(changed(rounds_s=[float("nan")])), "rounds_s[0] is nan"),
    "control characters": (records(changed(dtype="\x1b[31m")), "dtype is '\\x1b[31m'"),
    "records": (records(changed(), MUCH), "more than 8,388,608 bytes"),
    "lists": (records(changed(x=[[]] * 200_000), 4_000_000), "lists and objects"),
    "deep": (records("[" * 1_000_000), "lists and objects"),
    "long line": (records(changed(left_out="x" * 5_000_000)), "bytes; expected at most"),
    "long number": (records('{"case": ' + "1" * 900_000 + "}"), "more digits"),
    "keys": (records(json.dumps({f"{n:x}": 0 for n in range(80_000)}), 7_000_000), "it lacks"),
    "names": (records(changed(versions={f"{n:x}": None for n in range(20_000)})), "20,000 items"),
    "rounds": (records(changed(rounds_s=[1.0] * 100_000)), "100,000 items"),
    "lines": (records("", 8_000_000), "is not a record"),
}
