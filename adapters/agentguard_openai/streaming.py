"""A streamed turn put together again: only a whole turn is worth a decision.

Nothing runs while a stream comes in. A stream that ends early yields a turn that says so, whose calls
`run_tool_calls` refuses.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterable
from typing import Any

from agentguard_openai.calls import get, items_of

try:
    from openai.types.chat import ChatCompletion
    from openai.types.responses import Response
except ImportError as error:
    raise ImportError(
        "agentguard_openai needs the OpenAI SDK: pip install 'agentguard[openai]'", name=error.name
    ) from error

__all__ = ["acollect_chat", "acollect_response", "collect_chat", "collect_response"]


def collect_chat(stream: Iterable[Any]) -> ChatCompletion:
    """The Chat Completions turn of a stream: of `create(stream=True)` or of the SDK's `stream(...)` helper.

    A choice whose end did not come, or whose parts contradict each other, has the `finish_reason` None.
    """
    turn = _Chat()
    for event in stream:
        turn.add(event)
    return turn.result()


async def acollect_chat(stream: AsyncIterable[Any]) -> ChatCompletion:
    """The same as `collect_chat`, of an asynchronous stream."""
    turn = _Chat()
    async for event in stream:
        turn.add(event)
    return turn.result()


def collect_response(stream: Iterable[Any]) -> Response:
    """The Responses turn of a stream: of `create(stream=True)` or of the SDK's `stream(...)` helper.

    A turn whose end did not come, or whose parts contradict each other, has the status `incomplete`.
    """
    turn = _Responses()
    for event in stream:
        turn.add(event)
    return turn.result()


async def acollect_response(stream: AsyncIterable[Any]) -> Response:
    """The same as `collect_response`, of an asynchronous stream."""
    turn = _Responses()
    async for event in stream:
        turn.add(event)
    return turn.result()


# -- Chat Completions


class _Parts:
    """One call that grows; the parts of its arguments are joined in the order they came."""

    def __init__(self) -> None:
        self.id = ""
        self.type = ""
        self.name = ""
        self.text: list[str] = []

    def dump(self) -> dict[str, Any]:
        text = "".join(self.text)
        if self.type == "custom":
            return {"id": self.id, "type": "custom", "custom": {"name": self.name, "input": text}}
        return {
            "id": self.id,
            "type": self.type or "function",
            "function": {"name": self.name, "arguments": text},
        }


class _Choice:
    def __init__(self, index: int) -> None:
        self.index = index
        self.content: list[str] = []
        self.refusal: list[str] = []
        self.calls: list[_Parts] = []
        self.at: dict[int, _Parts] = {}
        self.legacy: _Parts | None = None
        self.finish: Any = None
        self.broken = False

    def add(self, choice: Any) -> None:
        delta = get(choice, "delta")
        # Whatever is asked for after the end, or two ends: nobody can tell what the turn was.
        more = bool(items_of(get(delta, "tool_calls"))) or get(delta, "function_call") is not None
        self.broken |= more and self.finish is not None
        for name, parts in (("content", self.content), ("refusal", self.refusal)):
            if isinstance(text := get(delta, name), str):
                parts.append(text)
        for part in items_of(get(delta, "tool_calls")):
            self._add_call(part)
        if (part := get(delta, "function_call")) is not None:
            self.legacy = self.legacy or _Parts()
            self._grow(self.legacy, None, None, part, "arguments")
        finish = get(choice, "finish_reason")
        if finish is not None:
            self.broken |= self.finish not in (None, finish)
            self.finish = finish

    def _add_call(self, part: Any) -> None:
        index, given = get(part, "index"), get(part, "id") or None
        body = get(part, "custom")
        kind = get(part, "type") or ("custom" if body is not None else None)
        custom = kind == "custom" or body is not None
        if not custom:
            body = get(part, "function")
        position = index if type(index) is int else len(self.calls) - (given is None)
        call = self.at.get(position)
        if call is not None and given is not None and call.id and given != call.id:
            # Some servers number every call 0; a new id with a name begins a new call. Without a name nobody
            # can tell whose part it is.
            self.broken |= not get(body, "name")
            call = None
        if call is None:
            call = self.at[position] = _Parts()
            self.calls.append(call)
        self._grow(call, given, kind, body, "input" if custom else "arguments")

    def _grow(self, call: _Parts, id: Any, kind: Any, body: Any, field: str) -> None:
        name, text = get(body, "name"), get(body, field)
        for found in (id, kind, name, text):
            self.broken |= found is not None and not isinstance(found, str)
        if self.broken:
            return
        call.id = call.id or id or ""
        self.broken |= bool(call.type and kind and call.type != kind)
        call.type = call.type or kind or ""
        if name and name != call.name:
            # A name comes whole, in pieces, or again with every part.
            call.name += name
        if text:
            call.text.append(text)

    def dump(self) -> dict[str, Any]:
        said: dict[str, Any] = {"role": "assistant", "content": "".join(self.content) or None}
        if self.refusal:
            said["refusal"] = "".join(self.refusal)
        if self.calls:
            said["tool_calls"] = [call.dump() for call in self.calls]
        if self.legacy is not None:
            said["function_call"] = {"name": self.legacy.name, "arguments": "".join(self.legacy.text)}
        finish = None if self.broken else self.finish
        return {"index": self.index, "finish_reason": finish, "logprobs": None, "message": said}


class _Chat:
    def __init__(self) -> None:
        self.head: dict[str, Any] = {"id": "", "created": 0, "model": ""}
        self.usage: Any = None
        self.choices: dict[int, _Choice] = {}

    def add(self, event: Any) -> None:
        if get(event, "type") == "chunk":
            event = get(event, "chunk")
        if not isinstance(get(event, "choices"), list):
            return
        for name in self.head:
            self.head[name] = self.head[name] or get(event, name) or self.head[name]
        self.usage = get(event, "usage") or self.usage
        for choice in get(event, "choices"):
            index = get(choice, "index")
            position = index if type(index) is int else 0
            found = self.choices.setdefault(position, _Choice(position))
            found.broken |= index is not None and type(index) is not int
            found.add(choice)

    def result(self) -> ChatCompletion:
        choices = [self.choices[index].dump() for index in sorted(self.choices)]
        return ChatCompletion.construct(
            **self.head, object="chat.completion", choices=choices, usage=self.usage
        )


# -- Responses


class _Responses:
    def __init__(self) -> None:
        self.begun: Any = None
        self.final: Any = None
        self.items: dict[int, Any] = {}
        self.broken = False

    def add(self, event: Any) -> None:
        match get(event, "type"):
            case "response.created" | "response.queued" | "response.in_progress":
                self.begun = get(event, "response")
            case "response.completed" | "response.incomplete" | "response.failed":
                self.broken |= self.final is not None
                self.final = get(event, "response")
            case "response.output_item.done":
                index = get(event, "output_index")
                position = index if type(index) is int else len(self.items)
                self.broken |= position in self.items
                self.items[position] = get(event, "item")
            case "error":
                self.broken = True
            case _:
                pass

    def result(self) -> Response:
        output = [self.items[index] for index in sorted(self.items)]
        source = self.final if self.final is not None else self.begun
        if self.final is not None and isinstance(get(self.final, "output"), list):
            final = get(self.final, "output")
            self.broken |= not _asked(output) <= _asked(final)
            output = final
        head = _fields(source)
        if self.final is None or self.broken:
            head["status"] = "incomplete"
        return Response.construct(**{"id": "", "object": "response", **head, "output": output})


def _asked(items: list[Any]) -> set[str]:
    """The calls among items, to be compared: what was streamed has to be what the turn says in the end."""
    names = ("type", "call_id", "name", "namespace", "arguments", "input")
    return {
        repr([get(item, name) for name in names])
        for item in items
        if get(item, "type") in ("function_call", "custom_tool_call")
    }


def _fields(source: Any) -> dict[str, Any]:
    if source is None:
        return {}
    return dict(source) if not isinstance(source, Response) else dict(iter(source))
