"""CEL: conditions with the semantics of the Common Expression Language specification."""

from .context import Context
from .environment import Environment
from .errors import CelError, CelException, CelSyntaxError, LimitExceeded, Unsupported
from .functions import Function, PathFunction
from .limits import Limits
from .network import Cidr, Ip
from .program import Program, compile
from .temporal import Duration, Timestamp
from .trace import Trace, Unshown
from .values import CelType, Optional, UInt

__all__ = [
    "CelError",
    "CelException",
    "CelSyntaxError",
    "CelType",
    "Cidr",
    "Context",
    "Duration",
    "Environment",
    "Function",
    "Ip",
    "LimitExceeded",
    "Limits",
    "Optional",
    "PathFunction",
    "Program",
    "Timestamp",
    "Trace",
    "UInt",
    "Unshown",
    "Unsupported",
    "compile",
]
