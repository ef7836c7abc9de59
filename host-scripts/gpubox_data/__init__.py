"""What puts data sets and repositories on a host, and looks after them: docs/internals/data.md says how it is built.

A host needs nothing of gpubox's: the modules that a command takes are sent as text, see load.py. Python 3.9 or newer, and of that the
standard library alone.
"""
