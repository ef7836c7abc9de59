"""What a file is: what the server said of it, its name, its kind, whether it is a page in place of a file."""

from __future__ import annotations

import re
from typing import Callable

from .ours import RESERVED
from .say import quoted

# The endings of what is unpacked.
ZIP = (".zip",)
TAR = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz", ".tbz2", ".tar.xz", ".txz", ".tar.zst", ".tzst")
# Of programs that hand files out.
PROGRAMS = (".php", ".asp", ".aspx", ".ashx", ".jsp", ".cgi", ".do")
# Formats that are a zip, or compressed, inside, and are wanted so.
PACKED_INSIDE = tuple(
    f".{each}"
    for each in (
        [
            "npz",
            "pt",
            "pth",
            "ckpt",
            "keras",
            "docx",
            "xlsx",
            "pptx",
            "odt",
            "ods",
            "odp",
            "epub",
            "jar",
            "apk",
            "whl",
            "kmz",
            "rds",
            "rda",
            "svgz",
        ]
    )
)
COMPRESSED_ENDINGS = {"gzip": ".gz", "bzip2": ".bz2", "xz": ".xz", "zstd": ".zst"}
# As much of a file as tells what it is, in bytes.
BEGINNING = 1 << 16

# --- names ------------------------------------------------------------------------------------------------------------


def disposition_name(header: str) -> str:
    """
    The name in a Content-Disposition header (RFC 6266), as http.client reads it: in ISO 8859-1. Empty where there is none that can be
    the name of a file of the person's. A backslash that escapes nothing is the separator of a path.
    """
    plain = extended = ""
    for key, value in _parameters(_text_of(header)):
        if key == "filename":
            plain = value
        elif key == "filename*":
            extended = _extended(value)
    name = re.sub(r".*[/\\]", "", extended or plain, flags=re.DOTALL).strip(" \t")
    if name in RESERVED or any(ord(each) < 32 or ord(each) == 127 for each in name) or len(name.encode()) > 255:
        return ""
    return name


def _text_of(header: str) -> str:
    """Many servers send UTF-8, whatever the standard says."""
    try:
        return header.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return header


def _parameters(header: str) -> list[tuple[str, str]]:
    found = re.findall(r'([^=;]*?)\s*=\s*(?:"((?:[^"\\]|\\.|\\)*)"[^;]*|([^;]*))(?:;|$)', header.partition(";")[2])
    return [
        (key.strip().lower(), re.sub(r'\\(["\\])', r"\1", inside) if inside else bare.strip().lstrip('"')) for key, inside, bare in found
    ]


def _extended(value: str) -> str:
    """RFC 8187: the encoding, the language, the name."""
    from urllib.parse import unquote_to_bytes

    charset, _, rest = value.partition("'")
    if charset.lower() not in ("utf-8", "iso-8859-1"):
        return ""
    try:
        return unquote_to_bytes(rest.partition("'")[2]).decode(charset)
    except UnicodeError:
        return ""


def kind_by_name(name: str) -> str:
    """What a name says: "zip", "tar", "plain", or "unknown" where it has no ending, or that of a program that hands files out."""
    lower = name.lower()
    if lower.endswith(ZIP):
        return "zip"
    if lower.endswith(TAR):
        return "tar"
    if lower.endswith(PROGRAMS):
        return "unknown"
    # An ending is short and has a letter: "birds-1.0" and "v2. of all birds" have none.
    ending = re.search(r"\.([A-Za-z0-9]{1,12})$", name)
    return "plain" if ending and re.search("[A-Za-z]", ending.group(1)) else "unknown"


# --- kinds ------------------------------------------------------------------------------------------------------------


class Kind:
    """What becomes of a file: "zip", "tar" or "plain"; and lines to say where it is packed, and kept as it is."""

    def __init__(self, kind: str, note: tuple[str, ...] = ()) -> None:
        self.kind = kind
        self.note = note


def identify(name: str, found: str, holds_tar: Callable[[], bool], target: str) -> Kind:
    """
    Tells the kind by the name and, where that has no ending, by the bytes. Where it is a plain file's name, it is kept as one.

    found: the format that the first bytes show. holds_tar: whether what is compressed is a tar. target: the data set's folder.
    """
    kind = kind_by_name(name)
    compressed = found in COMPRESSED_ENDINGS
    if kind in ("zip", "unknown") and found == "tar":
        return Kind("tar")
    if kind in ("tar", "unknown") and found == "zip":
        return Kind("zip")
    if kind == "zip" and compressed and holds_tar():
        return Kind("tar")
    if kind == "unknown" and compressed:
        return Kind("tar") if holds_tar() else Kind("plain", _packed(name, f"compressed by {found}", "", target))
    if kind in ("unknown", "plain"):
        return Kind("plain", kept_note(name, found, holds_tar, target) if found else ())
    return Kind(kind)


def kept_note(name: str, found: str, holds_tar: Callable[[], bool], target: str) -> tuple[str, ...]:
    """What is to be known of a plain file that is packed: nothing where it is wanted so."""
    lower = name.lower()
    if lower.endswith(PACKED_INSIDE):
        return ()
    if found in ("zip", "tar"):
        return _packed(name, f"a {found} archive", found, target)
    if found in ("7z", "rar"):
        return _packed(name, f"a {found} archive", "", target)
    if holds_tar():
        return _packed(name, f"a tar archive, compressed by {found}", "tar", target)
    return () if lower.endswith(COMPRESSED_ENDINGS[found]) else _packed(name, f"compressed by {found}", "", target)


def _packed(name: str, what: str, ending: str, target: str) -> tuple[str, ...]:
    """`ending`: what its name takes where gpubox would unpack it."""
    said = f"{name} is {what}, and is kept as it is"
    if not ending:
        return (said,)
    stem = name.rpartition(".")[0] or name
    return (
        said,
        f"  to have it unpacked, give the entry of data a name that says so:  name: {quoted(f'{stem}.{ending}')}",
        f"  and remove this one:  rm -r {quoted(target)}",
    )


# --- pages ------------------------------------------------------------------------------------------------------------

_TAGS = re.compile(rb"<(!doctype[ ]+html|html|head|title|meta|script|style|body|iframe|frameset|noscript)[ />]")


def is_page(name: str, media_type: str, found: str, beginning: bytes) -> bool:
    """
    Whether it is a page of a login, or of an error, that came with status 200. Some servers say of everything that it is a page.

    media_type: what the server calls it. found: the format that its bytes show. beginning: its first BEGINNING bytes.
    """
    if name.lower().endswith((".htm", ".html", ".xhtml")):
        return False
    if _looks_like_page(beginning):
        return True
    return media_type in ("text/html", "application/xhtml+xml") and not found and bool(beginning) and not _is_binary(beginning)


def _looks_like_page(beginning: bytes) -> bool:
    # UTF-16 is known by its NULs, which the letters of these tags are next to.
    text = re.sub(rb"[\x00\xef\xbb\xbf\xfe\xff]", b"", beginning).lower()
    text = re.sub(rb"[\t\r\n\f]", b" ", text)
    while True:
        before = len(text)
        text = text.lstrip()
        for start, end in ((b"<!--", b"-->"), (b"<?xml", b"?>")):
            if text.startswith(start) and end in text:
                text = text.partition(end)[2]
        if len(text) == before:
            return _TAGS.match(text) is not None


def _is_binary(beginning: bytes) -> bool:
    """What is neither text nor UTF-16. No page has a NUL byte."""
    return beginning[:2] not in (b"\xff\xfe", b"\xfe\xff") and b"\0" in beginning[:4096]


# --- what the server said ---------------------------------------------------------------------------------------------


class Answer:
    """What a server said of a file: each is empty, or None, where it was not said."""

    def __init__(self, size: int | None = None, version: str = "", media_type: str = "", name: str = "") -> None:
        # Of the whole file, in bytes.
        self.size = size
        # Another one for another file.
        self.version = version
        self.media_type = media_type
        self.name = name
