"""Tests every contract of `jlstm check` on one implementation; appends to contracts.jsonl.

The exit code is 1 if a contract does not hold.
"""

import sys
import time

import stage

from jlstm.check.contracts import CONTRACTS
from jlstm.check.trial import summary, tried

if __name__ == "__main__":
    asked = stage.arguments(__doc__, "implementation")
    broken = 0
    for contract, allowed in CONTRACTS:
        start = time.perf_counter()
        outcome = tried(contract, asked.implementation, allowed)
        seconds = time.perf_counter() - start
        record = {"contract": summary(contract), "implementation": asked.implementation}
        stage.append(
            asked.out / "contracts.jsonl", {**record, **outcome._asdict(), "seconds": seconds}
        )
        print(
            f"{seconds:.1f} s, {outcome.text}: {summary(contract)}\n{outcome.details}", flush=True
        )
        broken += not outcome.held
    if broken:
        sys.exit(f"{broken} of {len(CONTRACTS)} contracts do NOT hold")
