"""A run as one JSON document: `jlstm bench --json`."""

from collections.abc import Iterable, Mapping
from typing import Any

from jlstm.bench import regressions
from jlstm.bench.record_fields import Record
from jlstm.bench.statistics import Estimate, ratio


def of_run(
    records: list[Record], missing: Mapping[str, str], earlier: list[Record] | None = None
) -> dict[str, Any]:
    """The document of a run.

    Args:
      records: the records of `records.of_case`, in the order of the run.
      missing: contender -> why it did not take part.
      earlier: the records of an earlier run to compare with; None for none.

    Returns:
      An object with "records", which are those that --out appends, each timed one with its "ratio";
      with "did_not_take_part", which is `missing`; and with "changes" since the earlier run.
      A ratio is an object with "median", "low" and "high", the bounds of its 95 % interval.
    """
    found: dict[str, Any] = {
        "records": list(_with_ratios(records)),
        "did_not_take_part": dict(missing),
    }
    if earlier is not None:
        found["changes"] = [
            {
                **change._asdict(),
                "ratio": change.ratio._asdict(),
                "verdict": change.verdict or "within noise",
            }
            for change in regressions.changes(records, earlier)
        ]
    return found


def _with_ratios(records: list[Record]) -> Iterable[Record]:
    """The records, with the ratio to the first contender's time that the tables show."""
    first: dict[tuple[str, str], list[float]] = {}
    for record in records:
        if "rounds_s" in record:
            reference = first.setdefault((record["case"], record["mode"]), record["rounds_s"])
            found: Estimate = ratio(record["rounds_s"], reference)
            record = record | {"ratio": found._asdict()}
        yield record
