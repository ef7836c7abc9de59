"""What is said: lines on standard error, each of which begins with what it is about."""

from __future__ import annotations

import os

# Loading these takes as long as all that a run does which has nothing to do.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

# What every line begins with, such as "data pets"; each command sets its own.
topic = ""

_LONGEST = 2000


class Failure(Exception):
    """Ends the command with these lines: status 1 failed, 2 bad parameter, 3 the person's files are in the way."""

    def __init__(self, status: int, *lines: str) -> None:
        super().__init__(*lines)
        self.status = status
        self.lines = lines


def legible(text: str) -> str:
    """
    What was written by others (names, logs, answers), as a terminal can be given it: each control character becomes a "?", as ls shows
    it, and so does what changes the direction of writing; what is too long is cut. They are not taken out: what is around one could be
    the halves of another.
    """
    made = "".join(each if not _is_control(ord(each)) else " " if each == "\t" else "?" for each in text)
    encoded = made.encode("utf-8", "surrogateescape")
    end = _LONGEST
    if len(encoded) <= end:
        return made
    # Not within a character.
    while end > _LONGEST - 3 and 0x80 <= encoded[end] < 0xC0:
        end -= 1
    return encoded[:end].decode("utf-8", "surrogateescape") + "..."


def _is_control(code: int) -> bool:
    return code < 32 or 127 <= code <= 159 or code in (0x200E, 0x200F) or 0x2028 <= code <= 0x202E or 0x2066 <= code <= 0x2069


def say(text: str) -> None:
    """A line. Nothing that is in it makes another line."""
    _write(legible(f"{topic}: {text}".replace("\n", " ")))


def show_lines(lines: Iterable[str]) -> None:
    """Lines of others, such as names of files: indented, so that none looks like a line of ours."""
    for line in lines:
        _write("  " + legible(line))


def _write(line: str) -> None:
    data = (line + "\n").encode("utf-8", "surrogateescape")
    try:
        while data:
            data = data[os.write(2, data) :]
    except OSError:
        # Whoever listened is gone; the work goes on.
        pass


def result(line: str) -> None:
    """The command's result: a line on standard output."""
    data = os.fsencode(line + "\n")
    while data:
        data = data[os.write(1, data) :]


def quoted(text: str) -> str:
    """A text as one word of a shell, for the commands that messages suggest."""
    return "'" + text.replace("'", "'\\''") + "'"


def say_kept(path: str, why: str, lines: Iterable[str] = ()) -> None:
    """That a folder is not removed, after what of it there is to see."""
    show_lines(lines)
    say(f"kept: {path} {why}")
    say(f"  to remove it all the same:  rm -rf {quoted(path)}")


def shown_path(path: object) -> str:
    """A path for a message, whatever its bytes."""
    return path.decode("utf-8", "surrogateescape") if isinstance(path, bytes) else str(path)


# --- how far a long step is -------------------------------------------------------------------------------------------


def megabytes(count: float) -> str:
    """Bytes, in MB of 1,000,000."""
    return f"{count / 1_000_000:.1f} MB"


def time_left(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.0f} s"
    if seconds < 5940:
        return f"{seconds / 60:.0f} min"
    return f"{int(seconds // 3600)} h {int(seconds % 3600 // 60):02d} min"


class Watch:
    """
    A line every five seconds while a step lasts: of what `report` gives, or of how long it has lasted.

    >>> with Watch("writing to the disk"):
    ...     flush(folder)
    """

    INTERVAL = 5

    def __init__(self, what: str, report: Callable[[], str] | None = None) -> None:
        self._what = what
        self._report = report

    def __enter__(self) -> Watch:
        # Loaded here: a run that has nothing to do watches nothing.
        import threading

        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        seconds = 0
        while not self._ended.wait(self.INTERVAL):
            seconds += self.INTERVAL
            say(self._report() if self._report else f"{self._what}, {seconds} s so far")
