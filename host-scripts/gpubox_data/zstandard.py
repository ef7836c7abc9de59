"""Decompresses zstd: by the standard library from Python 3.14 on, else by the library that most machines have."""

from __future__ import annotations

import ctypes
import functools
from typing import TYPE_CHECKING, Any

from .entries import Unusable

if TYPE_CHECKING:
    from .decoders import Decoder

# Where it is on Linux, and on a Mac by Homebrew or MacPorts.
_LIBRARIES = (
    "libzstd.so.1",
    "libzstd.dylib",
    "libzstd.1.dylib",
    "/opt/homebrew/lib/libzstd.1.dylib",
    "/usr/local/lib/libzstd.1.dylib",
    "/opt/local/lib/libzstd.1.dylib",
)


class ZstdError(Exception):
    """The compressed bytes are damaged."""


class _Buffer(ctypes.Structure):
    """ZSTD_inBuffer and ZSTD_outBuffer."""

    _fields_ = [("start", ctypes.c_void_p), ("size", ctypes.c_size_t), ("used", ctypes.c_size_t)]


class _Zstd:
    """A frame, in the interface of compression.zstd.ZstdDecompressor."""

    def __init__(self, library: Any) -> None:
        self._library = library
        self._stream = ctypes.c_void_p(library.ZSTD_createDStream())
        if not self._stream:
            raise MemoryError
        self._left = b""
        self._out: ctypes.Array[ctypes.c_char] | None = None
        self.eof = False
        self.needs_input = True

    def __del__(self) -> None:
        self._library.ZSTD_freeDStream(self._stream)

    @property
    def unused_data(self) -> bytes:
        return self._left if self.eof else b""

    def decompress(self, data: bytes, max_length: int) -> bytes:
        data = self._left + data if self._left else data
        if self._out is None or len(self._out) < max_length:
            self._out = ctypes.create_string_buffer(max_length)
        out = _Buffer(ctypes.cast(self._out, ctypes.c_void_p), max_length, 0)
        source = _Buffer(ctypes.cast(ctypes.c_char_p(data), ctypes.c_void_p), len(data), 0)
        while out.used < max_length and not self.eof:
            before = (source.used, out.used)
            state = self._library.ZSTD_decompressStream(self._stream, ctypes.byref(out), ctypes.byref(source))
            if self._library.ZSTD_isError(state):
                raise ZstdError(self._library.ZSTD_getErrorName(state).decode("ascii", "replace"))
            self.eof = state == 0
            if (source.used, out.used) == before:
                break
        self._left = data[source.used :]
        # Where the room for it was all taken there may be more.
        self.needs_input = out.used < max_length and not self.eof
        return ctypes.string_at(self._out, out.used)


def decoder() -> Decoder:
    """A decoder of one frame. Raises Unusable where this machine has none."""
    try:
        from compression import zstd  # type: ignore[import-not-found,unused-ignore]

        found: Decoder = zstd.ZstdDecompressor()
        return found
    except ImportError:
        pass
    return _Zstd(_library())


@functools.cache
def _library() -> Any:
    for name in _LIBRARIES:
        try:
            return _declared(ctypes.CDLL(name))
        except OSError:
            continue
    raise Unusable("needs libzstd to be unpacked", "for instance:  sudo apt-get install libzstd1")


def _declared(library: Any) -> Any:
    library.ZSTD_createDStream.restype = ctypes.c_void_p
    library.ZSTD_freeDStream.argtypes = [ctypes.c_void_p]
    library.ZSTD_decompressStream.restype = ctypes.c_size_t
    library.ZSTD_decompressStream.argtypes = [ctypes.c_void_p, ctypes.POINTER(_Buffer), ctypes.POINTER(_Buffer)]
    library.ZSTD_isError.argtypes = [ctypes.c_size_t]
    library.ZSTD_getErrorName.argtypes = [ctypes.c_size_t]
    library.ZSTD_getErrorName.restype = ctypes.c_char_p
    return library
