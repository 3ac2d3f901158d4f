"""Evaluating one expression for one request, whatever happens in it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

from agentguard import cel
from agentguard.decision import Reserve
from agentguard.policy.rules import ReservePlan

__all__ = ["exact_truth", "reservation", "truth", "value_of"]

_LONGEST: Final = 200
_LARGEST: Final = 2**53


def truth(program: cel.Program, bindings: Mapping[str, Any]) -> bool | str:
    """True, false, or the text of the error; a value that is neither true nor false is an error."""
    if program.compiled is not None:
        try:
            value = program.compiled(bindings, program.constants)
        except Exception:
            value = None
        if value is True or value is False:
            return value
    return exact_truth(program, bindings)


def exact_truth(program: cel.Program, bindings: Mapping[str, Any]) -> bool | str:
    """The same where there is no compiled code, or where it did not say true or false."""
    evaluate = program.evaluate if program.compiled is None else program.interpret
    try:
        value = evaluate(bindings)
    except cel.CelException as error:
        return str(getattr(error, "message", error))[:_LONGEST] or "error"
    except Exception as error:
        # Whatever a host object or a bug raises: what cannot be evaluated is an error (DESIGN 3.3).
        return f"evaluation failed: {type(error).__name__}"
    if value is True or value is False:
        return value
    return f"the condition yields a {type(value).__name__}, not true or false"


def value_of(program: cel.Program, bindings: Mapping[str, Any]) -> Any:
    """The value of an expression.

    Raises:
        CelError: there is none.
    """
    try:
        return program.evaluate(bindings)
    except cel.CelError:
        raise
    except Exception as error:
        raise cel.CelError(f"evaluation failed: {type(error).__name__}") from None


def reservation(plan: ReservePlan, rule: str, bindings: Mapping[str, Any]) -> Reserve:
    """What to take from which counter for this call.

    Raises:
        CelError: the key or the amount cannot be computed.
    """
    key = plan.key
    for program in plan.per:
        part = value_of(program, bindings)
        if isinstance(part, bool) or not isinstance(part, (str, int)):
            raise cel.CelError("`reserve.per` yields neither text nor a whole number")
        key += ":" + str(part).replace("%", "%25").replace(":", "%3A")
    amount: Any = plan.amount if isinstance(plan.amount, int) else value_of(plan.amount, bindings)
    if isinstance(amount, bool) or not isinstance(amount, (int, float)) or not 0 <= amount <= _LARGEST:
        raise cel.CelError("`reserve.amount` is not a number from 0 to 2^53")
    return Reserve(key=key, amount=math.ceil(amount), limit=plan.limit, rule=rule, window_s=plan.window_s)
