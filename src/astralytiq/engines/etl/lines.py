"""Lines of a text whose bytes may not all be text: nothing here can fail, or grow without bound."""

import codecs
import io
import re
from collections import deque
from collections.abc import Iterable, Iterator
from itertools import chain

from astralytiq.engines.etl.blocks import Blocks
from astralytiq.engines.etl.compressed import Damaged, Readable

LONGEST_LINE = 32 << 20  # what is longer comes in pieces
FEW = 20_000  # lines, which are looked through in no time
OTHER_ENDS = "\v\f\x1c\x1d\x1e\x85\u2028\u2029"
AUTO = "auto"
KEEP = "astralytiq.keep"
# A byte that is no text stands as a lone surrogate, which no text may hold.
MARK = re.compile("[\udc00-\udcff]")
BOMS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


def keep_bytes(fault: UnicodeError) -> tuple[str, int]:
    if not isinstance(fault, UnicodeDecodeError):
        raise fault
    lost = fault.object[fault.start : fault.end]
    return "".join(chr(0xDC00 + byte) for byte in lost), fault.end


codecs.register_error(KEEP, keep_bytes)


class Lines:
    """Lines with their ends, of which any number can be put back.

    `marked`: a line that waits or has begun may hold marks. `fault`: why the stream ended before
    its end.
    """

    def __init__(self, stream: Readable, encoding: str) -> None:
        self._blocks = Blocks(stream)
        self.fault: Damaged | None = None
        self._ended = False
        first = self._bytes()
        mark = next((BOMS[bom] for bom in BOMS if first.startswith(bom)), None)
        self.encoding = (mark or "utf-8") if encoding == AUTO else encoding
        # Without a byte order mark the codecs refuse to guess: nearly all files are little-endian.
        order = "-le" if self.encoding in ("utf-16", "utf-32") and not mark else ""
        self._decoder = codecs.getincrementaldecoder(self.encoding + order)("strict")
        self._begun: list[str] = []
        self.marked = False
        self.number = 0
        self.waiting = deque(self._split(self._text(first).removeprefix("\ufeff"), first == b""))
        self.waiting.extend(() if self.waiting else self.more())
        self.empty = not self.waiting

    @property
    def size(self) -> int:
        """The bytes read."""
        return self._blocks.size

    def more(self) -> list[str]:
        """The lines behind those that wait; none at the end."""
        found: list[str] = []
        while not found and not self._ended:
            part = self._bytes()
            if self.fault:  # A line that was begun is cut, perhaps in a number: not a row.
                break
            found = self._split(self._text(part), part == b"")
        return found

    def taking(self, taken: list[str]) -> Iterator[str]:
        """The lines one by one; each is in `taken`, for the case that it must be put back."""
        while self.waiting or self._refill():
            taken.append(self.waiting.popleft())
            self.number += 1
            yield taken[-1]

    def _refill(self) -> bool:
        self.waiting.extend(self.more())
        return bool(self.waiting)

    def put_back(self, lines: list[str]) -> None:
        self.waiting.extendleft(reversed(lines))
        self.number -= len(lines)

    def settle(self, blocks: list[list[str]], done: int) -> None:
        """Of the lines that wait and the `blocks` behind them the first are done with."""
        self.number += done
        while done and self.waiting:
            self.waiting.popleft()
            done -= 1
        for block in blocks:
            self.waiting.extend(block[done:])
            done = max(0, done - len(block))
        self.look()

    def look(self) -> None:
        """Forget about marks when the lines that had them are gone."""
        if self.marked and len(self.waiting) < FEW:
            self.marked = has_marks(chain(self.waiting, self._begun))

    # As bytes -------------------------------------------------------------------------------------

    @property
    def in_utf8(self) -> bool:
        """Whether the bytes behind the lines that were taken are the text in UTF-8."""
        known = codecs.lookup(self.encoding).name in ("utf-8", "utf-8-sig")
        return known and self._decoder.getstate()[1] == 0  # It may wait for a byte order mark.

    def as_blocks(self) -> Blocks:
        """All behind the lines that were taken, for whoever reads bytes; only if `in_utf8`."""
        cut = self._decoder.getstate()[0]  # of a character of which the rest is to come
        if self.waiting or self._begun or cut:
            text = "".join(chain(self.waiting, self._begun))
            self._blocks.put_back(text.encode("utf-8", "surrogateescape") + cut)
        self.waiting.clear()
        self._begun = []
        self._decoder.setstate((b"", 0))
        self.marked = self._ended = False
        self.fault = None
        return self._blocks

    # ----------------------------------------------------------------------------------------------

    def _bytes(self) -> bytes:
        found = self._blocks.next()
        if not found and self._blocks.damage:
            self.fault, self._ended = self._blocks.damage, True
        return found

    def _text(self, part: bytes) -> str:
        state = self._decoder.getstate()
        self._decoder.errors = "strict"
        try:
            return self._decoder.decode(part, part == b"")
        except UnicodeError:
            self._decoder.setstate(state)
            self._decoder.errors = KEEP
            self.marked = True
            return self._decoder.decode(part, part == b"")

    def _split(self, text: str, at_end: bool) -> list[str]:
        """The whole lines that `text` completes; what it begins is kept for the next time."""
        self._ended = at_end
        ended = "\n" in text or "\r" in text or (self._begun and self._begun[-1].endswith("\r"))
        self._begun.append(text)
        long = sum(map(len, self._begun)) > LONGEST_LINE
        if not (at_end or long or ended):
            return []
        lines = split("".join(self._begun))
        if long:
            lines = list(chain.from_iterable(map(pieces, lines)))
        self._begun = []
        # After a final \r the \n of the same line's end may follow.
        if lines and not (at_end or lines[-1].endswith("\n")):
            self._begun.append(lines.pop())
        return lines


def pieces(line: str) -> list[str]:
    """From a line's start on, so that they are the same however its bytes came."""
    return [line[at : at + LONGEST_LINE] for at in range(0, len(line), LONGEST_LINE)]


def split(text: str) -> list[str]:
    """Lines end as in CSV; str.splitlines, which is quicker, knows more ends."""
    if any(end in text for end in OTHER_ENDS):
        return list(io.StringIO(text, newline=""))
    return text.splitlines(keepends=True)


def has_marks(lines: Iterable[str]) -> bool:
    return any(MARK.search(line) for line in lines)
