"""Names of headings that links can lead to, as GitHub and Sphinx give them."""

import re
from collections.abc import Iterable

# Of other titles, pages differ in the names they give.
_PLAIN = re.compile(r"[A-Za-z0-9 ,.:()-]+")


def anchors(titles: Iterable[str]) -> list[str | None]:
    """The name of each heading of a page, in their order; None where it is not certain.

    >>> anchors(["H 16, B 1", "a *b*", "H 16, B 1"])
    ['h-16-b-1', None, 'h-16-b-1-1']
    """
    taken: dict[str, int] = {}
    found: list[str | None] = []
    for title in titles:
        name = re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-")
        unique = name
        while unique in taken:
            unique = f"{name}-{taken[name]}"
            taken[name] += 1
        taken[unique] = 1
        found.append(unique if _PLAIN.fullmatch(title) else None)
    return found


def link(shown: str, anchor: str | None) -> str:
    """Markdown that shows escaped text as a link to a heading, or as it is if there is no name."""
    return shown if anchor is None else f"[{shown}](#{anchor})"
