"""Where every command begins, and how it ends.

Exit: 0 done, 1 failed, 2 bad parameter, 3 the person's files are in the way.
"""

from __future__ import annotations

import errno
import os
import sys
from importlib import import_module

from .say import Failure, say, shown_path


def main(command: str) -> int:
    """Runs the module of this name; whatever goes wrong is told in words."""
    try:
        _open_standard_files()
        os.umask(0o022)
        # Files are named by bytes, whatever the locale says; what is printed is UTF-8.
        import_module(f"gpubox_data.{command}").run()
    except Failure as failure:
        for line in failure.lines:
            say(line)
        return failure.status
    except KeyboardInterrupt:
        say("interrupted")
        return 130
    except OSError as error:
        if error.errno == errno.EPIPE:
            return 1
        about = f"{shown_path(error.filename)}: " if error.filename is not None else ""
        say(f"{about}{error.strerror or error}")
        return 1
    except MemoryError:
        say("there is not enough memory on this machine")
        return 1
    except Exception as error:  # Nobody is shown a stack trace; developers ask for it.
        if os.environ.get("GPUBOX_TRACE"):
            raise
        say(f"{type(error).__name__}: {error}")
        say("  this is an error in gpubox itself; its trace:  run again with GPUBOX_TRACE=1 in the environment")
        return 1
    finally:
        try:
            # None where it was closed from the beginning.
            if sys.stdout is not None:
                sys.stdout.flush()
        except OSError:
            os._exit(1)
    return 0


def _open_standard_files() -> None:
    """The number of one that is closed would be that of the next file that is opened, and what is said would be written into it."""
    for file in (0, 1, 2):
        try:
            os.fstat(file)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
