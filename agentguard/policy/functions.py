"""What a condition can name: the variables of a request, and the functions beyond CEL's own.

Nothing else exists, so that a misspelt name is refused at load. Every function is bounded and pure: it reads
the request and nothing besides.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any, Final

from agentguard import cel
from agentguard.policy import locators
from agentguard.policy.argument_values import arguments_of_role, texts_in
from agentguard.policy.scalars import tool_matches
from agentguard.policy.windows import parse_windows

__all__ = [
    "BASELINE", "BASELINE_FACTS", "CONSTANTS", "ENVIRONMENT", "FUNCTIONS", "PROVENANCE", "SUPPLIED",
    "VARIABLES", "bindings_for", "needs_of",
]  # fmt: skip

VARIABLES: Final[dict[str, str]] = {
    "tool": "name of the tool",
    "facts": "facts about the tool: `writes`, `reads`, `destructive`, `external`, `action`, `roles`, ...",
    "args": "the arguments by name",
    "resource": "what the call acts on: `type`, `id`, `data_class`",
    "agent": "the acting agent: `id`, `owner`, `tags` and its attributes",
    "principal": "the person on whose behalf it acts: `id`, `groups` and attributes",
    "chain": "the delegating agents, outermost first, each with `id`",
    "environment": "name of the environment, such as `prod`",
    "workload": "facts about the process: attestation, device, network",
    "secrets": "names of the secret scopes that the tool needs",
    "session": "the session: `id`, `labels`, `calls`",
    "history": "earlier calls of the session: `repeats`, `rejected`, `of_tool`, `last_minute`; and what "
    "providers say",
    "baseline": "how the call differs from what is normal for the agent: `new_tool`, `rate_ratio`, ...",
    "rates": "what fact providers count",
    "engines": "the answers of other decision points by name",
    "asked": "whether the user's words ask for this, and where its values come from: `grade`, `values`",
    "context": "further facts from the operator's fact providers",
    "now": "the time of the decision",
}
"""Every variable, and what it holds."""

FUNCTIONS: Final[dict[str, str]] = {
    "provenance": "`provenance(args.payee)`: where an argument's value came from, such as `.from_user`",
    "history.before": '`history.before("read_*", "send_*")`: whether one ran before another, or this',
    "session.untrusted_since": '`session.untrusted_since("prompt")`: whether words of others came since then',
    "secret": '`secret("payments:write")`: facts about a credential: `.age` (a duration), `.rotated_days`',
    "within": '`within("Mon-Fri 07:00-20:00 Europe/Berlin")`: whether it is that time',
    "glob": '`glob(args.path, "/srv/*/**")`: `*` and `?` stay within a segment, `**` spans segments',
    "in_network": '`in_network(args.ip, "10.0.0.0/8")`: whether an address lies in a network',
    "host": "`host(args.url)`: the host of an absolute URL in lower case; an error where it misleads",
    "path_within": '`path_within(args.path, "/srv/data")`: whether a path lies in a folder; an error on `..`',
    "ascii_only": "`ascii_only(args.payee)`: whether a text has printable ASCII characters only",
    "has_hidden": "`has_hidden(args.note)`: whether a text holds characters that cannot be seen",
    "arguments": '`arguments("recipient")`: the values of the arguments that have this role, at any depth',
    "texts": "`texts(args)`: every text in a value, at any depth, names of fields among them",
}
"""Every function beyond CEL's own, and what it is for."""

BASELINE: Final = "baseline"
"""The variable that makes a rule one about deviations."""

BASELINE_FACTS: Final[dict[str, str]] = {
    "known": "whether a baseline of the agent is in force",
    "new_tool": "it never used this tool",
    "new_scope": "it never used one of the tool's secret scopes",
    "new_environment": "it never acted in this environment",
    "unusual_hour": "it was never seen at this hour of this day of the week",
    "rate_ratio": "its calls of this tool in the last hour over the 95th percentile of the baseline",
    "new_argument_shape": "names, kinds, sizes or words of the arguments are others than ever before",
    "age_days": "full days since the baseline was approved",
}
"""Every fact that the guard supplies under `baseline`, and what it says."""

SUPPLIED: Final = "@supplied"
"""The binding under which functions find supplied facts; no condition can spell it."""

_FACT_VARIABLES: Final = frozenset(
    {"history", "rates", "baseline", "engines", "asked", "context", "resource", "workload"}
)
_FACT_FUNCTIONS: Final = frozenset({"provenance", "secret"})
_HISTORY_FUNCTIONS: Final = frozenset({"history.before", "session.untrusted_since"})
_SUPPLIED_VARIABLES: Final = ("history", "rates", "baseline", "engines", "asked")
PROVENANCE: Final = frozenset({"asked", "provenance", "history"})
"""The facts that come from what a session has seen."""

_AGE_LIMIT_S: Final = 1e9


def bindings_for(request: Any, *, facts: bool = True) -> dict[str, Any]:
    """The bindings of a request: its variables, and beside them the supplied facts, where they are read."""
    bindings: dict[str, Any] = request.bindings()
    supplied = request.supplied
    if facts and supplied:
        bindings[SUPPLIED] = supplied
        for name in _SUPPLIED_VARIABLES:
            found = supplied.get(name)
            if found is not None:
                bindings[name] = found
    return bindings


def needs_of(program: cel.Program) -> frozenset[str]:
    """The names of the facts that an expression reads and that somebody has to supply."""
    needed = (program.names & _FACT_VARIABLES) | (program.functions & _FACT_FUNCTIONS)
    return needed | {"history"} if program.functions & _HISTORY_FUNCTIONS else needed


def _supplied(context: cel.Context, kind: str, name: str, what: str) -> Any:
    try:
        # The binding is ours and always a mapping of mappings; what is in it may be anything.
        return context.bindings[SUPPLIED][kind][name]  # type: ignore[index]
    except KeyError:
        raise cel.CelError(f"nobody supplied {what} `{name[:80]}`") from None


def _provenance(context: cel.Context, path: str) -> object:
    return _supplied(context, "provenance", path, "the provenance of")


def _secret(context: cel.Context, scope: object) -> object:
    if type(scope) is not str:
        raise cel.CelError("the argument is not a text")
    found = _supplied(context, "secret", scope, "facts about the secret")
    age = found.get("age_s")
    if age is None:
        return found
    if type(age) not in (int, float) or not 0 <= age < _AGE_LIMIT_S:
        raise cel.CelError(f"the supplied age of the secret `{scope[:60]}` is not a number of seconds")
    return {**found, "age": cel.Duration(int(age * 1_000_000_000))}


def _trail(context: cel.Context, key: str) -> tuple[Any, ...]:
    found = _supplied(context, "history", key, "the history of")
    if not isinstance(found, tuple):
        raise cel.CelError("the history of the session is not known")
    context.charge(len(found))
    return found


def _before(context: cel.Context, first: object, second: object) -> object:
    earlier, later = _texts((first, second))
    seen = False
    for tool in (*_trail(context, "tools"), context.bindings["tool"]):
        if seen and tool_matches(later, str(tool)):
            return True
        seen = seen or tool_matches(earlier, str(tool))
    return False


def _untrusted_since(context: cel.Context, name: object) -> object:
    (pattern,) = _texts((name,))
    for tool, untrusted in zip(
        reversed(_trail(context, "trail")), reversed(_trail(context, "untrusted")), strict=True
    ):
        if tool_matches(pattern, str(tool)):
            return False
        if untrusted is True:
            return True
    return False


def _within(context: cel.Context, text: object) -> object:
    if type(text) is not str:
        raise cel.CelError("the argument is not a text")
    now = context.bindings.get("now")
    if not isinstance(now, dt.datetime) or now.tzinfo is None:
        raise cel.CelError("the time of the decision is not known")
    windows = parse_windows(text)
    return windows[0].holds(now) if len(windows) == 1 else any(window.holds(now) for window in windows)


def _texts(values: tuple[object, ...]) -> list[str]:
    texts = [value for value in values if type(value) is str]
    if len(texts) != len(values):
        raise cel.CelError("the argument is not a text")
    return texts


def _on_texts(function: Callable[..., object]) -> Callable[..., object]:
    def call(context: cel.Context, *values: object) -> object:
        texts = _texts(values)
        context.charge(sum(len(text) for text in texts) >> 4)
        return function(*texts)

    return call


def _refusing(name: str, function: Callable[..., object]) -> Callable[..., object]:
    """The same function with every refusal as an error of the evaluation, without the values."""

    def call(context: cel.Context, *values: object) -> object:
        try:
            return function(context, *values)
        except cel.CelError:
            raise
        except ValueError as error:
            raise cel.CelError(f"{name}: {error}") from None
        except Exception as error:
            raise cel.CelError(f"{name}: cannot be evaluated ({type(error).__name__})") from None

    return call


_CALLS: Final[dict[str, tuple[Callable[..., object], int]]] = {
    "secret": (_secret, 1),
    "history.before": (_before, 2),
    "session.untrusted_since": (_untrusted_since, 1),
    "within": (_within, 1),
    "glob": (_on_texts(locators.glob), 2),
    "in_network": (_on_texts(locators.in_network), 2),
    "host": (_on_texts(locators.host), 1),
    "path_within": (_on_texts(locators.path_within), 2),
    "ascii_only": (_on_texts(locators.ascii_only), 1),
    "has_hidden": (_on_texts(locators.has_hidden), 1),
    "arguments": (arguments_of_role, 1),
    "texts": (texts_in, 1),
}

CONSTANTS: Final[dict[str, tuple[int, Callable[[str], object]]]] = {
    "within": (0, parse_windows),
    "glob": (1, locators.parse_glob),
    "in_network": (1, locators.parse_network),
    "path_within": (1, locators.parse_base),
}
"""Functions with an argument that is read at load where it is constant: its position, and what reads it."""

ENVIRONMENT: Final = cel.Environment(
    VARIABLES,
    closed=True,
    functions={
        name: cel.Function(_refusing(name, call), arguments, arguments)
        for name, (call, arguments) in _CALLS.items()
    },
    path_functions={"provenance": cel.PathFunction(_refusing("provenance", _provenance))},
)
"""What conditions are compiled against."""
