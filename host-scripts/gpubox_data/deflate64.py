"""
Inflates Deflate64, by which Windows packs large files in a zip, and which the standard library does not know: Deflate with a window of
64 KiB, two more codes for distances, and a code for lengths of up to 64 KiB.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from .decoders import PIECE, Undecodable

_WINDOW = 1 << 16
# Of bits, that are at hand before a code is read: a length and a distance take 15 + 16 + 15 + 14.
_AT_HAND = 60
_REFILL = 15
_END_OF_BLOCK = 256
_NO_SYMBOL = 511
# Of each code for a length, from 257 on, and of each for a distance: the least, and how many bits are added to it.
_LENGTHS = [(3, 16)] * 29
_LENGTHS[:28] = [
    *((length, 0) for length in range(3, 11)),
    *((11 + 2 * n, 1) for n in range(4)),
    *((19 + 4 * n, 2) for n in range(4)),
    *((35 + 8 * n, 3) for n in range(4)),
    *((67 + 16 * n, 4) for n in range(4)),
    *((131 + 32 * n, 5) for n in range(4)),
]
_DISTANCES = [(1, 0), (2, 0), *((1 + (2 + n % 2 << n // 2 - 1), n // 2 - 1) for n in range(2, 32))]
_ORDER = (16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15)

# Of each run of as many bits as the longest code has: the symbol whose code it begins with, and in the lowest four bits that one's length.
Table = list[int]


def inflate64(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """What is compressed in blocks of bytes, in pieces. Raises Undecodable."""
    bits = _Bits(blocks)
    out = bytearray()
    last = False
    while not last:
        last = bits.take(1) == 1
        kind = bits.take(2)
        if kind == 0:
            pieces = bits.stored(out)
        elif kind == 1:
            pieces = bits.coded(out, *_fixed_tables())
        elif kind == 2:
            pieces = bits.coded(out, *_dynamic_tables(bits))
        else:
            raise Undecodable("a block in it is of no known kind")
        yield from pieces
    yield bytes(out)


class _Bits:
    """Bits of a stream, the lowest of each byte first, and what blocks of it hold."""

    def __init__(self, blocks: Iterable[bytes]) -> None:
        self._blocks = iter(blocks)
        self._data = b""
        self._at = 0
        self._bits = 0
        self._count = 0
        self._padded = False

    def _more(self) -> None:
        """Another block of bytes. After the last one there are zeros once: what is read ahead of the end."""
        block = next(self._blocks, b"")
        if not block:
            if self._padded:
                raise Undecodable("it ends too early")
            self._padded = True
            block = bytes(2 * _REFILL)
        self._data = self._data[self._at :] + block
        self._at = 0

    def _refill(self) -> None:
        while self._at + _REFILL > len(self._data):
            self._more()
        self._bits |= int.from_bytes(self._data[self._at : self._at + _REFILL], "little") << self._count
        self._at += _REFILL
        self._count += 8 * _REFILL

    def take(self, count: int) -> int:
        if self._count < count:
            self._refill()
        value = self._bits & (1 << count) - 1
        self._bits >>= count
        self._count -= count
        return value

    def symbol(self, table: Table) -> int:
        if self._count < 15:
            self._refill()
        entry = table[self._bits & len(table) - 1]
        self._bits >>= entry & 15
        self._count -= entry & 15
        return entry >> 4

    def stored(self, out: bytearray) -> Iterator[bytes]:
        """A block that is not compressed: its length, that once more with each bit turned, and bytes."""
        self.take(self._count % 8)
        length = self.take(16)
        if self.take(16) != length ^ 0xFFFF:
            raise Undecodable("a block in it is damaged")
        at_hand = min(length, self._count // 8)
        out += self.take(8 * at_hand).to_bytes(at_hand, "little")
        length -= at_hand
        while length:
            if self._at == len(self._data):
                self._more()
            part = self._data[self._at : self._at + length]
            out += part
            self._at += len(part)
            length -= len(part)
        yield from _let_go(out)

    def coded(self, out: bytearray, symbols: Table, distances: Table) -> Iterator[bytes]:
        """A block of codes. Most of the time is spent here: all that it takes is in variables of its own."""
        symbol_mask, distance_mask = len(symbols) - 1, len(distances) - 1
        bits, count = self._bits, self._count
        append = out.append
        full = _WINDOW + PIECE
        while True:
            if count < _AT_HAND:
                self._bits, self._count = bits, count
                self._refill()
                bits, count = self._bits, self._count
            entry = symbols[bits & symbol_mask]
            bits >>= entry & 15
            count -= entry & 15
            symbol = entry >> 4
            if symbol < 256:
                append(symbol)
                continue
            if symbol == _END_OF_BLOCK:
                break
            if symbol > 285:
                raise Undecodable("a code in it is none")
            length, more = _LENGTHS[symbol - 257]
            length += bits & (1 << more) - 1
            bits >>= more
            entry = distances[bits & distance_mask]
            used = more + (entry & 15)
            bits >>= entry & 15
            if entry >> 4 > 31:
                raise Undecodable("a code in it is none")
            distance, more = _DISTANCES[entry >> 4]
            distance += bits & (1 << more) - 1
            bits >>= more
            count -= used + more
            start = len(out) - distance
            if start < 0:
                raise Undecodable("it refers to what is before its beginning")
            if distance >= length:
                out += out[start : start + length]
            else:
                out += (out[start:] * (length // distance + 1))[:length]
            if len(out) > full:
                yield from _let_go(out)
        self._bits, self._count = bits, count
        yield from _let_go(out)


def _let_go(out: bytearray) -> Iterator[bytes]:
    """Gives what nothing refers to any longer, once that is a piece."""
    if len(out) > _WINDOW + PIECE:
        yield bytes(out[:-_WINDOW])
        del out[:-_WINDOW]


# --- tables -----------------------------------------------------------------------------------------------------------


def _table(lengths: list[int]) -> Table:
    """Of symbols whose codes have these lengths: the shorter ones come first, and of the same length the lower symbols."""
    longest = max(lengths, default=0) or 1
    table = [_NO_SYMBOL << 4 | 1] * (1 << longest)
    code = 0
    for length in range(1, longest + 1):
        for symbol, its_length in enumerate(lengths):
            if its_length == length:
                if code >> length:
                    raise Undecodable("its codes are damaged")
                first = int(f"{code:0{length}b}"[::-1], 2)
                table[first :: 1 << length] = [symbol << 4 | length] * (1 << longest - length)
                code += 1
        code <<= 1
    return table


def _fixed_tables() -> tuple[Table, Table]:
    return _table([8] * 144 + [9] * 112 + [7] * 24 + [8] * 8), _table([5] * 32)


def _dynamic_tables(bits: _Bits) -> tuple[Table, Table]:
    symbols, distances = 257 + bits.take(5), 1 + bits.take(5)
    lengths = [0] * 19
    for place in _ORDER[: 4 + bits.take(4)]:
        lengths[place] = bits.take(3)
    table = _table(lengths)
    found: list[int] = []
    while len(found) < symbols + distances:
        symbol = bits.symbol(table)
        if symbol < 16:
            found.append(symbol)
        elif symbol == 16 and found:
            found += found[-1:] * (3 + bits.take(2))
        elif symbol == 17:
            found += [0] * (3 + bits.take(3))
        elif symbol == 18:
            found += [0] * (11 + bits.take(7))
        else:
            raise Undecodable("its codes are damaged")
    if len(found) > symbols + distances:
        raise Undecodable("its codes are damaged")
    return _table(found[:symbols]), _table(found[symbols:])
