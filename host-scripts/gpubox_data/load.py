"""Runs a command of the data program from its sources, which come on standard input.

Run as `python3 -I -S -c TEXT_OF_THIS COMMAND`. Each module comes after a line `# ==== gpubox_data.NAME ====`, and is compiled once it is
imported: what a run does not need costs it nothing.
"""
import sys
from importlib.machinery import ModuleSpec

SOURCES = {}
for part in sys.stdin.buffer.read().decode().split("# ==== ")[1:]:
    name, _, text = part.partition(" ====\n")
    SOURCES[name] = text


class Sources:
    """Finds and loads what is in SOURCES."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        return ModuleSpec(name, Sources, is_package="." not in name) if name in SOURCES else None

    @staticmethod
    def create_module(spec):
        return None

    @staticmethod
    def exec_module(module):
        exec(compile(SOURCES[module.__name__], module.__name__, "exec"), module.__dict__)


sys.meta_path.insert(0, Sources)

from gpubox_data.main import main  # noqa: E402

sys.exit(main(sys.argv[1]))
