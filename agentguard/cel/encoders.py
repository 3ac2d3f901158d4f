"""``base64`` of cel-go's encoders extension."""

from __future__ import annotations

import binascii
from base64 import b64decode, b64encode
from typing import Final

from .context import Context
from .errors import CelError
from .functions import Function, typed


def _encode(context: Context, value: bytes) -> str:
    context.check_size(len(value) * 4 // 3 + 4)
    return b64encode(value).decode("ascii")


def _decode(context: Context, text: str) -> bytes:
    context.check_size(len(text))
    try:
        return b64decode(text.rstrip("=") + "=" * (-len(text.rstrip("=")) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise CelError("text is not base64") from None


GLOBALS: Final[dict[str, Function]] = {
    "base64.encode": typed("base64.encode", _encode, bytes),
    "base64.decode": typed("base64.decode", _decode, str),
}
