"""
How archives are compressed, each with one interface: that of the standard library's bz2, lzma and compression.zstd.

What is decompressed comes in pieces of a bounded size, whatever the compressed bytes ask for.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from typing import Callable, Protocol

# Of what is decompressed at a time, in bytes.
PIECE = 1 << 18
# What a decoder may take, in bytes: xz -9 has a dictionary of 64 MiB.
_MOST_MEMORY = 512 << 20


class Undecodable(Exception):
    """The compressed bytes are damaged, or end too early: why."""


class Decoder(Protocol):
    """
    eof: the end of the compressed bytes was seen, and what follows it is `unused_data`.

    needs_input: nothing more comes without further compressed bytes.
    """

    @property
    def eof(self) -> bool: ...

    @property
    def needs_input(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, max_length: int) -> bytes: ...


class _Zlib:
    """zlib, in the interface of the others. bits: as of zlib.decompressobj."""

    def __init__(self, bits: int) -> None:
        self._decoder = zlib.decompressobj(bits)
        self.needs_input = True

    @property
    def eof(self) -> bool:
        return self._decoder.eof

    @property
    def unused_data(self) -> bytes:
        return self._decoder.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        decoder = self._decoder
        piece = decoder.decompress(decoder.unconsumed_tail + data if decoder.unconsumed_tail else data, max_length)
        self.needs_input = not decoder.unconsumed_tail and len(piece) < max_length
        return piece


class _ZipLzma:
    """LZMA in a zip: two bytes of version, two that say that five bytes of properties follow, those, and what is compressed."""

    def __init__(self, size: int) -> None:
        import lzma

        self._size = size
        self._start = b""
        # Of a file of the old format, which has the size after the properties.
        self._decoder = lzma.LZMADecompressor(lzma.FORMAT_ALONE, memlimit=_MOST_MEMORY)
        self.unused_data = b""

    @property
    def eof(self) -> bool:
        return self._decoder.eof

    @property
    def needs_input(self) -> bool:
        return self._decoder.needs_input

    def decompress(self, data: bytes, max_length: int) -> bytes:
        if len(self._start) < 9:
            missing = 9 - len(self._start)
            self._start, data = self._start + data[:missing], data[missing:]
            if len(self._start) < 9:
                return b""
            data = self._start[4:9] + self._size.to_bytes(8, "little") + data
        return self._decoder.decompress(data, max_length)


def _zstd() -> Decoder:
    from .zstandard import decoder

    return decoder()


def _bzip2() -> Decoder:
    import bz2

    return bz2.BZ2Decompressor()


def _xz() -> Decoder:
    import lzma

    return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_MOST_MEMORY)


STORED, DEFLATED, DEFLATE64, ZSTD = 0, 8, 9, 93
# What of a zip can be unpacked besides what is stored, by its number: of the size of what is decompressed.
_ZIP_METHODS: dict[int, Callable[[int], Decoder]] = {
    DEFLATED: lambda size: _Zlib(-15),
    12: lambda size: _bzip2(),
    14: _ZipLzma,
    ZSTD: lambda size: _zstd(),
    95: lambda size: _xz(),
}
# The others that have a name.
_NAMES = {1: "shrinking", 6: "imploding", 9: "Deflate64", 93: "Zstandard", 97: "WavPack", 98: "PPMd"}


def method_name(method: int) -> str:
    name = _NAMES.get(method)
    return f"{name} (method {method})" if name else f"method {method}"


def is_known(method: int) -> bool:
    return method in (STORED, DEFLATE64) or method in _ZIP_METHODS


def zip_pieces(method: int, blocks: Iterable[bytes], size: int) -> Iterator[bytes]:
    """What an entry of a zip holds. Raises Undecodable."""
    if method == STORED:
        return iter(blocks)
    if method == DEFLATE64:
        from .deflate64 import inflate64

        return inflate64(blocks)
    return _decoded(lambda: _ZIP_METHODS[method](size), blocks, ())


# How a frame of zstd begins: one that holds something, and those that are to be skipped.
_ZSTD = (b"\x28\xb5\x2f\xfd", *(bytes([0x50 + n]) + b"\x2a\x4d\x18" for n in range(16)))
# The formats that a tar can be compressed in: how a part of each begins.
_FORMATS: dict[str, tuple[Callable[[], Decoder], tuple[bytes, ...]]] = {
    "gzip": (lambda: _Zlib(31), (b"\x1f\x8b\x08",)),
    "bzip2": (_bzip2, (b"BZh",)),
    "xz": (_xz, (b"\xfd7zXZ\0",)),
    "zstd": (_zstd, _ZSTD),
}


def format_of(start: bytes) -> str:
    """The format of something compressed that begins so: "gzip", "bzip2", "xz", "zstd", or nothing."""
    for name, (_, magic) in _FORMATS.items():
        if start.startswith(magic):
            return name
    return ""


def pieces(packing: str, blocks: Iterable[bytes]) -> Iterator[bytes]:
    """What is compressed in a format, in one part or several; as it is where the format is none of these. Raises Undecodable."""
    if packing not in _FORMATS:
        return iter(blocks)
    make, magic = _FORMATS[packing]
    return _decoded(make, blocks, magic)


def _decoded(make: Callable[[], Decoder], blocks: Iterable[bytes], magic: tuple[bytes, ...]) -> Iterator[bytes]:
    """
    magic: how a further part may begin; what follows a part, and does not begin so, is no part. Zeros between them are padding. Without
    any there is one part.
    """
    rest = iter(blocks)
    data = next(rest, b"")
    while True:
        decoder = make()
        yield from _part(decoder, data, rest)
        data = _further_part(decoder.unused_data, rest, magic)
        if not data:
            return


def _part(decoder: Decoder, data: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    while True:
        piece = _decompress(decoder, data)
        if piece:
            yield piece
        if decoder.eof:
            return
        data = b""
        if decoder.needs_input:
            data = next(rest, b"")
            if not data:
                raise Undecodable("it ends too early")


def _decompress(decoder: Decoder, data: bytes) -> bytes:
    try:
        return decoder.decompress(data, PIECE)
    except MemoryError as error:
        raise Undecodable("it takes more memory to decompress than there is") from error
    except (zlib.error, OSError, EOFError, ValueError) as error:
        raise Undecodable(str(error)) from error
    except Exception as error:
        # Not imported for this alone.
        if type(error).__name__ in ("LZMAError", "ZstdError"):
            raise Undecodable(str(error)) from error
        raise


def _further_part(data: bytes, rest: Iterator[bytes], magic: tuple[bytes, ...]) -> bytes:
    """Where another part begins: all that was read of it. Nothing where none does."""
    if not magic:
        return b""
    while True:
        data = data.lstrip(b"\0")
        if len(data) >= max(map(len, magic)):
            return data if data.startswith(magic) else b""
        block = next(rest, b"")
        if not block:
            return b""
        data += block
