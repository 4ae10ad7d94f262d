"""Text search by the beginnings of words: the same on both databases, without extensions."""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from itertools import pairwise

from astralytiq.core.errors import Fault, Invalid

WORD = re.compile(r"[^\W_]+")
LONGEST_WORD = 64
MOST_WORDS = 10


def words_of(*texts: str | None) -> list[str]:
    """Distinct words in lower case, sorted.

    One that begins another is left out: whoever looks for its beginning finds the other.
    """
    plain = unicodedata.normalize("NFKC", " ".join(text for text in texts if text)).casefold()
    found = sorted({word[:LONGEST_WORD] for word in WORD.findall(plain)})
    return [word for word, following in pairwise([*found, ""]) if not following.startswith(word)]


def with_shared(words: Sequence[str]) -> Iterator[tuple[str, int]]:
    """Each of the sorted `words`, and how many first characters it shares with the one before."""
    for before, word in pairwise(["", *words]):
        letters = enumerate(zip(before, word, strict=False))
        yield word, next((place for place, (a, b) in letters if a != b), len(before))


def words_asked(text: str | None) -> list[str] | None:
    """The words that must all be there; None if nothing was asked."""
    if text is None or not text.strip():
        return None
    asked = words_of(text)
    if len(asked) > MOST_WORDS:
        words = f"search for at most {MOST_WORDS} words at once"
        raise Invalid(f"Shorten q: {words}.", faults=(Fault(("query", "q"), words),))
    return asked
