"""Draws the sample data set: small pictures of circles and triangles, the same ones on every run.

    make-samples.py OUTDIR

writes OUTDIR/{train,valid}/{circle,triangle}/NNN.png, 64 x 64 pixels. Needs nothing but Python.
"""

import math
import random
import struct
import sys
import zlib
from pathlib import Path

SIZE = 64
COUNTS = {"train": 200, "valid": 50}  # pictures of each class


def png(pixels: bytes) -> bytes:
    """An RGB PNG of SIZE x SIZE pixels, three bytes each, row by row."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    row = SIZE * 3
    lines = b"".join(b"\0" + pixels[start : start + row] for start in range(0, len(pixels), row))
    header = struct.pack(">IIBBBBB", SIZE, SIZE, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(lines, 9)) + chunk(b"IEND", b"")


def between(rng: random.Random, low: float, high: float) -> float:
    # Only random() is promised to give the same numbers in every version of Python.
    return low + (high - low) * rng.random()


def colours(rng: random.Random) -> tuple[list[float], list[float]]:
    """A shape's bright colour, and its background's dark one."""
    return [between(rng, 130, 255) for _ in range(3)], [between(rng, 0, 90) for _ in range(3)]


def circle(rng: random.Random):
    """Whether a point lies in a circle of random size and position."""
    radius = between(rng, 12, 26)
    x, y = (between(rng, radius + 2, SIZE - radius - 2) for _ in range(2))
    return lambda px, py: (px - x) ** 2 + (py - y) ** 2 <= radius**2


def triangle(rng: random.Random):
    """Whether a point lies in a triangle of random size, position and turn."""
    radius = between(rng, 16, 29)
    x, y = (between(rng, radius + 2, SIZE - radius - 2) for _ in range(2))
    turn = between(rng, -0.4, 0.4) - math.pi / 2  # more or less upright
    angles = [turn + third * 2 * math.pi / 3 + between(rng, -0.2, 0.2) for third in range(3)]
    corners = [(x + radius * math.cos(a), y + radius * math.sin(a)) for a in angles]
    edges = list(zip(corners, corners[1:] + corners[:1]))
    return lambda px, py: all((bx - ax) * (py - ay) >= (by - ay) * (px - ax) for (ax, ay), (bx, by) in edges)


def picture(rng: random.Random, shape) -> bytes:
    inside = shape(rng)
    front, back = colours(rng)
    noise = between(rng, 5, 30)
    pixels = bytearray()
    for y in range(SIZE):
        for x in range(SIZE):
            for value in front if inside(x, y) else back:
                pixels.append(min(255, max(0, round(value + between(rng, -noise, noise)))))
    return png(bytes(pixels))


def main(out: Path) -> None:
    rng = random.Random(8888)
    for part, count in COUNTS.items():
        for shape in (circle, triangle):
            folder = out / part / shape.__name__
            folder.mkdir(parents=True, exist_ok=True)
            for number in range(count):
                (folder / f"{number:03}.png").write_bytes(picture(rng, shape))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: make-samples.py OUTDIR")
    main(Path(sys.argv[1]))
