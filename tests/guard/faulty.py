"""A store whose n-th use of one method fails, before it did its work or after."""

from __future__ import annotations

from typing import Any

METHODS = (
    "now",
    "append",
    "open_approval",
    "approval",
    "update_approval",
    "claim",
    "reserve",
    "changes_since",
)


class FaultyStore:
    """Passes everything on, and raises once it is armed."""

    def __init__(self, real: Any) -> None:
        self.real = real
        self.fired = False
        self.disarm()

    def arm(self, method: str, nth: int, after: bool, error: BaseException) -> None:
        self.method, self.left, self.after, self.error = method, nth, after, error
        self.fired = False

    def disarm(self) -> None:
        self.method, self.left, self.after, self.error = "", 0, False, Exception()

    def __getattr__(self, name: str) -> Any:
        real = getattr(self.real, name)
        if name not in METHODS:
            return real

        def call(*args: Any, **kwargs: Any) -> Any:
            hit = name == self.method
            if hit:
                self.left -= 1
            if hit and self.left == 0 and not self.after:
                self.fired = True
                raise self.error
            result = real(*args, **kwargs)
            if hit and self.left == 0:
                self.fired = True
                raise self.error
            return result

        return call
