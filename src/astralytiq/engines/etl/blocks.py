"""Bytes of a stream for two who take turns: one reads blocks, the other lines."""

from astralytiq.engines.etl.compressed import Damaged, Readable

BLOCK = 1 << 18
PIECE = 1 << 15  # of bytes that are held: what is made lines may have to become bytes again


class Blocks:
    """The bytes ahead: those that are held, of which `at` have been taken, and the stream.

    `size`: the bytes read. `ended`: the stream is at its end. `damage`: or it broke, and nothing
    comes behind what is held.
    """

    def __init__(self, stream: Readable) -> None:
        self._stream = stream
        self.held = b""
        self.at = 0
        self.size = 0
        self.ended = False
        self.damage: Damaged | None = None

    def next(self) -> bytes:
        """Some bytes; none at the end."""
        if self.at == len(self.held):
            return self._read()
        piece = self.held[self.at : self.at + PIECE]
        self.at += len(piece)
        if self.at == len(self.held):
            self.held, self.at = b"", 0
        return piece

    def put_back(self, taken: bytes) -> None:
        self.held, self.at = taken + self.held[self.at :], 0

    def more(self) -> bool:
        """Hold at least twice as much; False if there is no more, and that was known."""
        if self.ended or self.damage:
            return False
        parts = [self.held[self.at :]]
        wanted = max(BLOCK, len(parts[0]))
        while wanted > 0 and (part := self._read()):
            parts.append(part)
            wanted -= len(part)
        self.held, self.at = b"".join(parts), 0
        return len(parts) > 1 or self.ended

    def _read(self) -> bytes:
        if self.ended or self.damage:
            return b""
        try:
            found = self._stream.read1(BLOCK)
        except Damaged as fault:
            self.damage = fault
            return b""
        self.size += len(found)
        self.ended = not found
        return found
