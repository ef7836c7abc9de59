from __future__ import annotations

import ast
import subprocess
import sys
import unittest
from pathlib import Path

FOLDER = Path(__file__).parents[2] / "host-scripts/gpubox_data"
LOADER = (FOLDER / "load.py").read_text("utf-8")

# The commands' beginning and end, of which the loader knows nothing.
MAIN = "def main(command):\n    from .told import told\n    print(command, told)\n    return 3\n"
TOLD = "told = 'told'\n"


def sources(**modules: str) -> str:
    return "# ==== gpubox_data ====\n" + "".join(f"# ==== gpubox_data.{name} ====\n{text}" for name, text in modules.items())


def load(loader: str, given: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-I", "-S", "-c", loader, "pets"], check=False, input=given, capture_output=True, text=True)


class Load(unittest.TestCase):
    def test_it_runs_what_it_is_handed_and_ends_as_that_does(self) -> None:
        ended = load(LOADER, sources(main=MAIN, told=TOLD))
        self.assertEqual((ended.returncode, ended.stdout, ended.stderr), (3, "pets told\n", ""))

    def test_what_is_not_imported_is_not_compiled(self) -> None:
        ended = load(LOADER, sources(main=MAIN, told=TOLD, broken="def ("))
        self.assertEqual(ended.returncode, 3, ended.stderr)

    def test_an_error_is_told_with_the_module_it_is_in(self) -> None:
        ended = load(LOADER, sources(main=MAIN, told="raise KeyError"))
        self.assertIn('File "gpubox_data.told", line 1', ended.stderr)

    def test_a_python_that_is_too_old_can_read_it_and_says_so_once_all_is_read(self) -> None:
        ast.parse(LOADER, feature_version=(3, 6))
        self.assertNotIn("__future__", LOADER)
        old = LOADER.replace("sys.version_info <", "(3, 8, 20) <")
        self.assertNotEqual(old, LOADER)
        ended = load(old, sources(main=MAIN, told=TOLD, much="#" * 1_000_000))
        self.assertEqual((ended.returncode, ended.stdout, ended.stderr), (69, "", ""))


class Modules(unittest.TestCase):
    def test_each_is_for_python_3_9(self) -> None:
        modules = sorted(FOLDER.glob("*.py"))
        self.assertGreater(len(modules), 5)
        for module in modules:
            text = module.read_text("utf-8")
            ast.parse(text, str(module), feature_version=(3, 9))
            if module.name not in ("__init__.py", "load.py"):
                self.assertIn("\nfrom __future__ import annotations\n", text, module.name)

    def test_none_has_a_line_that_the_loader_takes_for_the_next_one(self) -> None:
        for module in FOLDER.glob("*.py"):
            if module.name != "load.py":
                self.assertNotIn("# ==== ", module.read_text("utf-8"), module.name)


if __name__ == "__main__":
    unittest.main()
