"""What only a checkout has, and its server has not: what keeps it from being removed."""

from __future__ import annotations

from .places import Place


def why_kept(place: Place) -> tuple[str, list[str]] | None:
    """
    Why the checkout at place.target, which is gpubox's (.git/gpubox) and whose lock is held, cannot be removed without a loss.

    None where nothing would be lost. Otherwise what a message goes on with after the name of the folder, such as "with what only it has
    (above)", and lines to show before it, ten at most, which may be none.
    """
    return "as nobody has looked into it yet", []
