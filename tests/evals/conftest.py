"""The working folder of the command line's tests."""

from tests.cli.conftest import project, work

__all__ = ["project", "work"]
