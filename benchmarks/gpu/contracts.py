"""All contracts of `jlstm check` on one implementation, written down one by one."""

import time

import lines

from jlstm.check.command import summary, tried
from jlstm.check.contracts import CONTRACTS

if __name__ == "__main__":
    asked = lines.arguments(__doc__, "implementation")
    for contract, allowed in CONTRACTS:
        start = time.perf_counter()
        outcome = tried(contract, asked.implementation, allowed)
        found = {
            "contract": summary(contract),
            "implementation": asked.implementation,
            **outcome._asdict(),
            "seconds": time.perf_counter() - start,
        }
        lines.append(asked.out / "contracts.jsonl", found)
        print(f"{found['seconds']:.1f} s, {outcome.text}: {found['contract']}")
        if not outcome.held:
            print(outcome.details)
