"""Joins the processes of a run, on one host or on many, into one JAX program."""

import jax

from jlstm import validation


def join(
    coordinator: str | None = None,
    processes: int | None = None,
    process: int | None = None,
    *,
    found: bool = False,
) -> None:
    """Connects this process with the others of a run. JAX must not have used a device before.

    Without arguments nothing happens, and the run has one process.

    Args:
      coordinator: host and port of process 0, such as "node1:1234", the same in all processes.
      processes: the number of processes.
      process: the number of this process, from 0.
      found: let JAX find the values that are None, as it can under Slurm, Open MPI and Kubernetes
        and on Cloud TPUs.

    Raises:
      TypeError, ValueError: some values are missing or wrong, or the processes do not meet.
    """
    given = {"--coordinator": coordinator, "--processes": processes, "--process": process}
    missing = [name for name, value in given.items() if value is None]
    if not found and len(missing) == len(given):
        return
    if not found and missing:
        raise ValueError(
            f"{validation.some(missing)} is missing; several processes need {', '.join(given)}, or "
            "--distributed where JAX finds all of them"
        )
    if processes is not None:
        validation.size("--processes", processes)
    if process is not None:
        validation.integer("--process", process)
        validation.number("--process", process, low=0, below=processes or 2**31)
    if coordinator is not None and not coordinator.rpartition(":")[2].isdigit():
        raise ValueError(
            f"--coordinator is {validation.shown(coordinator)}; expected HOST:PORT, such as "
            "node1:1234"
        )
    try:
        jax.distributed.initialize(coordinator, processes, process)
    except (ValueError, RuntimeError) as error:
        raise ValueError(
            f"the processes of the run did not meet: {error}; start all of them, and pass "
            f"{', '.join(given)} if JAX does not find them itself"
        ) from None
