"""A body in chunks (RFC 9112, section 7.1), as strictly as two servers in a row need it, and no larger than it may be."""

from __future__ import annotations

from waitress.buffers import OverflowableBuffer
from waitress.receiver import ChunkedReceiver
from waitress.utilities import BadRequest, Error, RequestEntityTooLarge

LINE = 4096  # bytes of a line with the size of a chunk
TRAILER = 1 << 16  # bytes


class Receiver(ChunkedReceiver):
    """A chunked body. Lines with a size are looked at first: waitress takes a lone LF, an empty one, and any length."""

    error: Error | None
    all_chunks_received: bool
    trailer: bytes

    def __init__(self, buffer: OverflowableBuffer, most: int) -> None:
        super().__init__(buffer)
        self.most = most  # bytes of content

    def received(self, data: bytes) -> int:
        """Take what belongs to the body, and return how many bytes that are."""
        taken = 0
        while taken < len(data) and not (self.completed or self.error):
            rest = data[taken:]
            if self.chunk_remainder:
                rest = rest[: self.chunk_remainder]
            elif self.validate_chunk_end:
                rest = rest[: 2 - len(self.chunk_end)]
            elif not self.all_chunks_received:
                line, end = (self.control_line + rest).partition(b"\r\n")[:2]
                if b"\n" in line or len(line) > LINE or (end and not line):
                    self.error = BadRequest("Invalid chunk size")
                    break
                if end:
                    rest = rest[: len(line) + 2 - len(self.control_line)]
            step = super().received(rest)
            if len(self) + self.chunk_remainder > self.most:
                self.error = RequestEntityTooLarge("")
            elif len(self.trailer) > TRAILER:
                self.error = BadRequest("Trailer is too long")
            if not step:
                break
            taken += step
        # What comes behind an error is nothing to read any more.
        return len(data) if self.error else taken
