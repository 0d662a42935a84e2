"""A report of what a conversion did."""


class Report(list[str]):
    """Lines that say what a conversion did: gates permuted, biases summed, options left out.

    >>> report = Report()
    >>> report.add("torch's two biases were summed")
    >>> print(report)
    torch's two biases were summed
    """

    def add(self, line: str) -> None:
        """Adds a line, once."""
        if line not in self:
            self.append(line)

    def __str__(self) -> str:
        """The lines, joined by newlines."""
        return "\n".join(self)
