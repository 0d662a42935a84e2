"""A report of what a conversion did."""

from jlstm import validation


class Report(list[str]):
    """Lines that say what a conversion did: gates permuted, biases summed, options left out.

    >>> report = Report()
    >>> report.add("torch's two biases were summed")
    >>> print(report)
    torch's two biases were summed
    """

    def add(self, line: str) -> None:
        """Adds a line, once, safe to print: names in it may come from files."""
        line = validation.printable(line)
        if line not in self:
            self.append(line)

    def __str__(self) -> str:
        """The lines, joined by newlines."""
        return "\n".join(self)
