"""A guarded function looks, types and binds as before; every argument is decided on."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime as dt
import decimal
import enum
import functools
import inspect
import pathlib
import typing
import uuid
from typing import Any

import pytest
from pydantic import BaseModel

from agentguard import ConfigurationError, Guard, InvalidArguments, ToolCallDenied
from tests.guard import annotated_tools
from tests.guard.support import AGENT, ANY, EVIL, WAYS, Way, bank, events, make_guard, rules


@pytest.mark.parametrize("name", annotated_tools.ORIGINALS)
def test_signature_annotations_and_kind_are_kept(name: str) -> None:
    """For plain functions, coroutines, generators and asynchronous generators, with annotations as text."""
    before, after = annotated_tools.ORIGINALS[name], annotated_tools.GUARDED[name]
    assert inspect.signature(after) == inspect.signature(before)
    assert typing.get_type_hints(after) == typing.get_type_hints(before)
    assert (after.__name__, after.__qualname__, after.__module__, after.__doc__) == (
        before.__name__, before.__qualname__, before.__module__, before.__doc__,
    )  # fmt: skip
    for is_kind in (
        inspect.iscoroutinefunction,
        asyncio.iscoroutinefunction,
        inspect.isgeneratorfunction,
        inspect.isasyncgenfunction,
        inspect.isfunction,
    ):
        assert is_kind(after) == is_kind(before), is_kind


def test_the_function_below_is_not_handed_out_T32() -> None:
    """No `__wrapped__`, also where the function had one of another decorator."""

    @functools.wraps(print)
    def wrapped(text: str) -> None: ...

    guard = make_guard(ANY)
    for function in (guard.tool("t")(wrapped), *annotated_tools.GUARDED.values()):
        assert not hasattr(function, "__wrapped__")
        assert inspect.unwrap(function) is function


# Binding


def everything(a: Any, /, b: Any, c: Any = 3, *rest: Any, d: Any, e: Any = 5, **extra: Any) -> Any:
    return a, b, c, rest, d, e, extra


CALLS: list[tuple[tuple[Any, ...], dict[str, Any]]] = [
    ((1, 2), {"d": 4}),
    ((1,), {"b": 2, "d": 4}),
    ((1, 2, 30, 31, 32), {"d": 4, "e": 50, "f": 6}),
    ((1, 2), {"d": 4, "guard": 1, "tool": 2, "flow": 3, "self": 4, "args": 5, "kwargs": 6}),
]


def variants(guard: Guard) -> dict[str, Any]:
    """The same body in all four kinds, each called to its end."""

    @guard.tool("sync")
    def sync(a: Any, /, b: Any, c: Any = 3, *rest: Any, d: Any, e: Any = 5, **extra: Any) -> Any:
        return a, b, c, rest, d, e, extra

    @guard.tool("async")
    async def coroutine(a: Any, /, b: Any, c: Any = 3, *rest: Any, d: Any, e: Any = 5, **extra: Any) -> Any:
        return a, b, c, rest, d, e, extra

    @guard.tool("generator")
    def generator(a: Any, /, b: Any, c: Any = 3, *rest: Any, d: Any, e: Any = 5, **extra: Any) -> Any:
        yield a, b, c, rest, d, e, extra

    @guard.tool("agen")
    async def agen(a: Any, /, b: Any, c: Any = 3, *rest: Any, d: Any, e: Any = 5, **extra: Any) -> Any:
        yield a, b, c, rest, d, e, extra

    async def first(*args: Any, **kwargs: Any) -> Any:
        (found,) = [item async for item in agen(*args, **kwargs)]
        return found

    return {
        "sync": sync,
        "async": lambda *args, **kwargs: asyncio.run(coroutine(*args, **kwargs)),
        "generator": lambda *args, **kwargs: next(iter(list(generator(*args, **kwargs)))),
        "async generator": lambda *args, **kwargs: asyncio.run(first(*args, **kwargs)),
    }


KINDS = ("sync", "async", "generator", "async generator")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("args", "kwargs"), CALLS)
def test_every_way_of_passing_arguments_arrives_T29(
    kind: str, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> None:
    """Positional only, positional, defaults, collected, keyword only and extra."""
    with make_guard(ANY) as guard, guard.session(agent=AGENT):
        assert variants(guard)[kind](*args, **kwargs) == everything(*args, **kwargs)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("args", "kwargs"),
    [((), {}), ((1,), {"d": 4}), ((1, 2), {}), ((1, 2), {"b": 3, "d": 4}), ((1, 2), {"d": 4, "a": 9})],
)
def test_what_does_not_fit_is_denied_as_a_type_error_T29(
    kind: str, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> None:
    """Missing, given twice, and a keyword with the name of a positional-only parameter."""
    with make_guard(ANY) as guard, guard.session(agent=AGENT):
        with pytest.raises(TypeError) as caught:
            variants(guard)[kind](*args, **kwargs)
        assert isinstance(caught.value, InvalidArguments)
        (event,) = events(guard)
        assert (event["type"], event["runs"]) == ("decision", False)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("args", "kwargs"),
    [(("ACME", 101), {}), (("ACME",), {"amount": 101}), ((), {"payee": "ACME", "amount": 101})],
)
def test_a_second_positional_argument_cannot_slip_by_T29(
    way: Way, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> None:
    """However it is passed, the rule sees it under its name."""
    deny = {"id": "large", "effect": "deny", "when": "args.amount > 100"}
    with make_guard(ANY, deny) as guard, guard.session(agent=AGENT):
        transfer, ran = bank(guard, way)
        with pytest.raises(ToolCallDenied, match="bank/large"):
            transfer(*args, **kwargs)
        assert not ran


@pytest.mark.parametrize("way", WAYS)
def test_an_argument_given_twice_is_denied_T29(way: Way) -> None:
    """Neither of the two is picked."""
    with make_guard(ANY) as guard, guard.session(agent=AGENT):
        transfer, ran = bank(guard, way)
        for args, kwargs in (
            (("ACME", 1), {"amount": 500}),
            (("ACME", 1, "", 4), {}),
            ((), {"payee": "ACME"}),
        ):
            with pytest.raises(InvalidArguments):
                transfer(*args, **kwargs)
        assert not ran


def test_a_dangerous_default_is_decided_on_T29() -> None:
    """A default stands in the request as if it had been given; swapping it later changes nothing."""
    deny = {"id": "force", "effect": "deny", "when": "args.force"}
    guard = make_guard(ANY, deny)

    @guard.tool("wipe")
    def wipe(path: str, force: bool = True) -> str:
        return f"wiped {path} {force}"

    with guard, guard.session(agent=AGENT):
        with pytest.raises(ToolCallDenied, match="bank/force"):
            wipe("/tmp")
        assert wipe("/tmp", False) == "wiped /tmp False"


def test_extra_keywords_are_decided_on_T29() -> None:
    """`**extra` is no way around a rule."""
    deny = {"id": "admin", "effect": "deny", "when": "has(args.admin) && args.admin"}
    guard = make_guard(ANY, deny)

    @guard.tool("grant")
    def grant(who: str, **extra: Any) -> Any:
        return extra

    with guard, guard.session(agent=AGENT):
        assert grant("ana", note=1) == {"note": 1}
        with pytest.raises(ToolCallDenied):
            grant("ana", admin=True)


def test_methods_and_injected_parameters_stay_outside_the_request() -> None:
    """`self` and handles are passed as they are, whatever they are."""
    guard = make_guard({"id": "any", "effect": "allow", "when": "size(args) == 1 && args.x == 1"})

    class Account:
        @guard.tool("account.add", injected=["handle"])
        def add(self, x: int, handle: Any = None) -> Any:
            return self, x, handle

        @guard.tool("account.late", injected=["handle"])
        async def late(self, handle: Any, x: int) -> Any:
            return self, x, handle

        @staticmethod
        @guard.tool("account.static")
        def static(x: int) -> int:
            return x

        @classmethod
        @guard.tool("account.cls")
        def made(cls, x: int) -> Any:
            return cls, x

    account, handle = Account(), object()
    with guard, guard.session(agent=AGENT):
        assert account.add(1) == (account, 1, None)
        assert account.add(1, handle) == (account, 1, handle)
        assert account.add(1, handle=handle) == (account, 1, handle)
        assert asyncio.run(account.late(handle, 1)) == (account, 1, handle)
        assert Account.static(1) == 1
        assert Account.made(1) == (Account, 1)
        with pytest.raises(ToolCallDenied):
            account.add(2, handle)


def test_an_extra_keyword_cannot_pass_for_an_injected_parameter_T29() -> None:
    """Nor for the name under which `*rest` stands."""
    guard = make_guard(ANY)

    @guard.tool("t", injected=["handle"])
    def tool(handle: Any, /, *rest: Any, **extra: Any) -> Any:
        return handle

    with guard, guard.session(agent=AGENT):
        for extra in ({"handle": "forged"}, {"rest": (1,)}):
            with pytest.raises(InvalidArguments, match="another parameter"):
                tool(object(), **extra)


class Kind(enum.Enum):
    A = "a"


@dataclasses.dataclass
class Item:
    name: str
    price: decimal.Decimal


class Order(BaseModel):
    items: list[str]
    when: dt.datetime


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "value",
    [
        Item("a", decimal.Decimal("1.5")), Order(items=["x"], when=dt.datetime(2026, 1, 1)), Kind.A,
        dt.datetime(2026, 1, 1, tzinfo=dt.UTC), decimal.Decimal("2.50"), b"raw", pathlib.Path("a/b"),
        uuid.UUID(int=1), (1, [2]), {1, 2},
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_arguments_of_every_class_arrive_as_equal_copies(way: Way, value: Any) -> None:
    """Of the same type, and nothing mutable is the caller's own."""
    guard = make_guard(ANY)
    got: list[Any] = []

    @guard.tool("sync")
    def sync(value: Any) -> None:
        got.append(value)

    @guard.tool("async")
    async def coroutine(value: Any) -> None:
        got.append(value)

    with guard, guard.session(agent=AGENT):
        sync(value) if way == "sync" else asyncio.run(coroutine(value))
    assert got == [value]
    assert type(got[0]) is type(value)
    assert got[0] is not value or not isinstance(value, (Item, Order, set))


def test_streams_are_guarded_before_their_first_item() -> None:
    """And what is sent in or thrown in arrives."""
    guard = make_guard(ANY, {**EVIL, "when": 'args.who == "EVIL"'})
    started: list[str] = []

    @guard.tool("talk")
    def talk(who: str) -> Any:
        started.append(who)
        said = yield "hello"
        try:
            yield f"you said {said}"
        except KeyError:
            yield "caught"
        return "bye"

    @guard.tool("atalk")
    async def atalk(who: str) -> Any:
        started.append(who)
        said = yield "hello"
        try:
            yield f"you said {said}"
        except KeyError:
            pass

    async def conversation() -> list[Any]:
        stream = atalk("ana")
        heard = [await stream.asend(None), await stream.asend("x")]
        with pytest.raises(StopAsyncIteration):
            await stream.athrow(KeyError("x"))
        with pytest.raises(ToolCallDenied):
            await anext(atalk("EVIL"))
        return heard

    with guard, guard.session(agent=AGENT):
        with pytest.raises(ToolCallDenied):
            next(talk("EVIL"))
        assert not started
        stream = talk("ana")
        assert not events(guard, "outcome")
        assert [next(stream), stream.send("x"), stream.throw(KeyError("x"))] == [
            "hello",
            "you said x",
            "caught",
        ]
        with pytest.raises(StopIteration) as end:
            next(stream)
        assert end.value.value == "bye"
        assert asyncio.run(conversation()) == ["hello", "you said x"]
        assert started == ["ana", "ana"]
        assert [event["status"] for event in events(guard, "outcome")] == ["succeeded", "succeeded"]


def test_only_functions_are_decorated() -> None:
    """A class, a partial or a static method is refused, and nothing stays registered."""
    guard = make_guard(ANY)
    with guard:
        for thing in (int, functools.partial(print), staticmethod(print), classmethod(print)):
            with pytest.raises(ConfigurationError, match="only functions"):
                guard.tool("t")(thing)  # type: ignore[arg-type]
        assert not guard.tools
        with pytest.raises(ConfigurationError, match="no such parameter"):
            guard.tool("t", injected=["nope"])(lambda x: x)
        with pytest.raises(ConfigurationError, match="signature"):
            guard.register("t", type)


def test_the_bare_decorator_takes_the_functions_name() -> None:
    """`@guard.tool` and `@guard.tool()` are the same."""
    guard = make_guard(snapshot=rules(ANY))
    with guard:

        @guard.tool
        def one() -> None: ...

        @guard.tool()
        def two() -> None: ...

        assert set(guard.tools) == {"one", "two"}
