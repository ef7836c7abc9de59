"""Says what packages take, with their bytecode: each line of standard input is a group, which counts only what no group before it has.

    docker run --rm -i --entrypoint python3 IMAGE -c "$(cat docker/package-sizes.py)" < GROUPS
"""

import sys
from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import cache_from_source

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name


def needs(name: str, extras: frozenset) -> set:
    """Itself and what it depends on, as far as installed."""
    found, todo = set(), [(canonicalize_name(name), extras)]
    while todo:
        each = name, extras = todo.pop()
        try:
            requires = distribution(name).requires or []
        except PackageNotFoundError:
            continue
        if each in found:
            continue
        found.add(each)
        for requirement in map(Requirement, requires):
            marker = requirement.marker
            if marker is None or any(marker.evaluate({"extra": extra}) for extra in extras | {""}):
                todo.append((canonicalize_name(requirement.name), frozenset(requirement.extras)))
    return {name for name, _ in found}


def size(name: str) -> int:
    files = {str(file.locate()) for file in distribution(name).files or []}
    files |= {cache_from_source(file) for file in files if file.endswith(".py")}
    total = 0
    for file in files:
        try:
            with open(file, "rb") as opened:
                total += opened.seek(0, 2)
        except FileNotFoundError:
            pass
    return total


seen: set = set()
for line in filter(str.strip, sys.stdin):
    group = set().union(*(needs(name, frozenset()) for name in line.split())) - seen
    seen |= group
    print(f"{sum(map(size, group)) / 1e6:8.1f} MB  {line.strip()}")
