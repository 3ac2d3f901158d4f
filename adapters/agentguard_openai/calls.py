"""The tool calls of one model turn, read once out of whatever shape the turn has.

A turn is a Chat Completions response, one of its choices or its message, a Responses response, or a list of
Responses items; each as the SDK's object or as plain data. Everything is read by key and kept as text, so
what the guard looks at later cannot change under it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from agentguard import ConfigurationError

__all__ = ["ModelCall", "get", "items_of", "printable", "read_calls"]

Shape = Literal["chat", "chat-legacy", "responses", "responses-custom"]

CUT_OFF: Final = "the model's turn was cut off before it was complete; send the whole call again"
_ID_LIMIT: Final = 256


@dataclass(frozen=True, slots=True)
class ModelCall:
    """One call that the model asked for.

    `text` is the arguments' JSON, or with `custom` the free text of a custom tool. `problem` says why it
    cannot run, whatever it asks for. `shape` is the form its answer has to have. `names` are the keys under
    which a tool may be meant, best first. `place` says where it stands, in a turn that has an id.
    """

    shape: Shape
    id: str
    name: str
    text: str
    custom: bool = False
    problem: str | None = None
    names: tuple[str, ...] = ()
    place: str = ""

    @property
    def record_id(self) -> str | None:
        """What it is known by: its id, or else its place; None where neither is fit for a record."""
        found = self.id or self.place
        return found if found and usable_id(found) else None


def usable_id(id: str) -> bool:
    """Whether an id can name a call: neither long nor with characters that hide."""
    return len(id) <= _ID_LIMIT and id.isprintable()


def get(value: Any, name: str) -> Any:
    """A field of an SDK object or of a mapping; None where there is none."""
    return value.get(name) if isinstance(value, Mapping) else getattr(value, name, None)


def items_of(value: object) -> list[Any]:
    """A list or tuple as a list; nothing for anything else."""
    return list(value) if isinstance(value, (list, tuple)) else []


def printable(text: str, limit: int = 300) -> str:
    """Text that came from the model, fit for a record and a message: escaped where it is not plain."""
    cut = text[:limit] + ("…" if len(text) > limit else "")
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in cut
    )


def read_calls(turn: Any) -> list[ModelCall]:
    """The calls of a turn, in the order asked.

    Raises:
        ConfigurationError: this is no turn, or one with several choices.
    """
    if isinstance(turn, (list, tuple)):
        calls = _from_items(list(turn), None)
    elif isinstance(get(turn, "choices"), list):
        calls = _from_choices(get(turn, "choices"))
    elif get(turn, "message") is not None:
        calls = _from_choice(turn)
    elif get(turn, "role") == "assistant" and get(turn, "type") is None:
        calls = _from_message(turn, None)
    elif isinstance(get(turn, "output"), list):
        complete = get(turn, "status") in ("completed", None) and get(turn, "error") is None
        calls = _from_items(get(turn, "output"), None if complete else CUT_OFF)
    else:
        raise ConfigurationError(
            f"a {type(turn).__name__} is not a model's turn: pass the response (collect a stream first with "
            "`collect_chat` or `collect_response`), its message, or the list of its output items"
        )
    asked = Counter(call.id for call in calls if call.id)
    twice = "two calls of one turn have the same id; give each its own"
    turn_id = get(turn, "id")
    return [
        replace(
            call,
            problem=call.problem or (twice if asked[call.id] > 1 else None),
            place=f"{turn_id}#{index}" if isinstance(turn_id, str) and turn_id else "",
        )
        for index, call in enumerate(calls)
    ]


# -- Chat Completions


def _from_choices(choices: list[Any]) -> list[ModelCall]:
    if len(choices) > 1:
        raise ConfigurationError(
            f"the response has {len(choices)} choices; pass the one that goes on, `response.choices[i]`"
        )
    return _from_choice(choices[0]) if choices else []


def _from_choice(choice: Any) -> list[ModelCall]:
    finished = get(choice, "finish_reason") in ("stop", "tool_calls", "function_call")
    return _from_message(get(choice, "message"), None if finished else CUT_OFF)


def _from_message(message: Any, problem: str | None) -> list[ModelCall]:
    calls: list[ModelCall] = []
    for asked in items_of(get(message, "tool_calls")):
        custom = get(asked, "type") == "custom"
        known = get(asked, "type") in ("function", "custom", None)
        own = problem if known else "this type of tool call is not known here"
        body = get(asked, "custom" if custom else "function")
        text = get(body, "input" if custom else "arguments")
        calls.append(_call("chat", get(asked, "id"), get(body, "name"), None, text, custom, own))
    legacy = get(message, "function_call")
    if legacy is not None:
        calls.append(
            _call("chat-legacy", "", get(legacy, "name"), None, get(legacy, "arguments"), False, problem)
        )
    return calls


# -- Responses


def _from_items(items: list[Any], problem: str | None) -> list[ModelCall]:
    answered = {
        get(item, "call_id") for item in items if str(get(item, "type")).endswith("_call_output")
    }  # a transcript holds earlier calls beside their outputs
    calls: list[ModelCall] = []
    for item in items:
        kind = get(item, "type")
        if get(item, "tool_calls") is not None:
            raise ConfigurationError("pass the assistant's message itself, not a list of messages")
        if kind not in ("function_call", "custom_tool_call") or get(item, "call_id") in answered:
            continue
        custom = kind == "custom_tool_call"
        own = problem if get(item, "status") in ("completed", None) else CUT_OFF
        calls.append(
            _call(
                "responses-custom" if custom else "responses",
                get(item, "call_id"),
                get(item, "name"),
                get(item, "namespace"),
                get(item, "input" if custom else "arguments"),
                custom,
                own,
            )
        )
    return calls


def _call(
    shape: Shape, id: object, name: object, namespace: object, text: object, custom: bool, problem: str | None
) -> ModelCall:
    known_id = str.__str__(id) if isinstance(id, str) else ""
    known_name = str.__str__(name) if isinstance(name, str) else ""
    known_text = str.__str__(text) if isinstance(text, str) else ""
    if not isinstance(text, str):
        problem = problem or "its arguments are not a text of JSON"
    if not usable_id(known_id):
        problem = problem or "its id is not a usable name"
    names: tuple[str, ...] = (known_name,)
    if isinstance(namespace, str) and namespace:
        # A function of a namespace is not the function of the same name outside it.
        names = (f"{namespace}.{known_name}",) + (names if namespace == known_name else ())
    return ModelCall(shape, known_id, known_name, known_text, custom, problem, names)
