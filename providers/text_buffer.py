"""Text that comes in little pieces, kept without an object a piece."""

from __future__ import annotations

_PIECES_A_BLOCK = 256


class TextBuffer:
    """``write`` pieces; ``text`` is what they make. No piece is copied more than twice.

    (``io.StringIO`` keeps every piece as an object of its own until it is read.)
    """

    __slots__ = ("_blocks", "_pieces")

    def __init__(self) -> None:
        self._blocks: list[str] = []
        self._pieces: list[str] = []

    def write(self, piece: str) -> None:
        self._pieces.append(piece)
        if len(self._pieces) == _PIECES_A_BLOCK:
            self._blocks.append("".join(self._pieces))
            self._pieces.clear()

    @property
    def text(self) -> str:
        return "".join([*self._blocks, *self._pieces])
