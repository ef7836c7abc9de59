"""Runs a command of the data program from its sources, which come on standard input.

Run as `python3 -I -S -c TEXT_OF_THIS COMMAND`. Each module comes after a line `# ==== gpubox_data.NAME ====`, and is compiled once it is
imported: what a run does not need costs it nothing.

Exit: what the command ends with; 69 where this Python is too old for it, which is all that this text, of Python 3.6, is for then.
"""

import sys
from importlib.machinery import ModuleSpec
from types import ModuleType

SOURCES = {}
for part in sys.stdin.buffer.read().decode().split("# ==== ")[1:]:
    name, _, text = part.partition(" ====\n")
    SOURCES[name] = text
# Once all is read: whoever writes is not left with a pipe that nobody reads.
if sys.version_info < (3, 9):
    sys.exit(69)


class Sources:
    """Finds and loads what is in SOURCES."""

    @staticmethod
    def find_spec(name: str, path: object = None, target: object = None) -> "ModuleSpec | None":
        if name not in SOURCES:
            return None
        # Python asks for no more of a loader than it has; the class that types ask for takes long to import.
        return ModuleSpec(name, Sources, is_package="." not in name)  # type: ignore[arg-type]

    @staticmethod
    def create_module(spec: ModuleSpec) -> None:
        return None

    @staticmethod
    def exec_module(module: ModuleType) -> None:
        exec(compile(SOURCES[module.__name__], module.__name__, "exec"), module.__dict__)


sys.meta_path.insert(0, Sources)

from gpubox_data.main import main  # noqa: E402

sys.exit(main(sys.argv[1]))
