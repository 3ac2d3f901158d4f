"""The tools that a guard knows, by name; and the ways around it that can be seen from inside the process."""

from __future__ import annotations

import functools
import gc
import inspect
import sys
import types
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from agentguard.annotations import annotated_classes, signature_check
from agentguard.binding import Binder, signature_text
from agentguard.errors import ConfigurationError
from agentguard.implementation import code_of
from agentguard.tools import ArgumentCheck, Tool, ToolFacts, definition_digest, tool_name

if TYPE_CHECKING:
    from agentguard.provenance.definitions import Definition

__all__ = ["Registry"]


class Registry:
    """Tools by name. `entries` is what a tool-facts file says of them, `raw` the functions behind decorated
    ones. With `infer`, what nobody declared is inferred."""

    def __init__(self, entries: Mapping[str, Mapping[str, Any]], *, infer: bool = False) -> None:
        self.entries = entries
        self.infer = infer
        self.described: dict[str, Mapping[str, Any]] = {}
        self.tools: dict[str, Tool] = {}
        self.raw: dict[str, types.FunctionType] = {}

    def register(
        self,
        name: str,
        run: Callable[..., Any] | None,
        *,
        secrets: Iterable[str],
        facts: ToolFacts | Mapping[str, Any] | None,
        injected: Iterable[str],
        resource: Callable[[Mapping[str, Any]], Mapping[str, Any] | None] | None,
        definition: Mapping[str, Any] | None,
        arguments: Iterable[str] | None,
        check: ArgumentCheck | None,
    ) -> Tool:
        """Make a tool known; see `Guard.register`.

        Raises:
            ConfigurationError: the name or a fact is refused, or another tool has this name.
        """
        name = tool_name(name)
        entry = self.entries.get(name, {})
        where = f"tool `{name}`"
        given = ToolFacts.parse(facts, where).model_dump(exclude_defaults=True)
        filed = ToolFacts.parse(entry.get("facts"), where).model_dump(exclude_defaults=True)
        scopes = tuple(dict.fromkeys((*secrets, *entry.get("secrets", ()))))
        if isinstance(secrets, str) or not all(isinstance(scope, str) and scope for scope in scopes):
            raise ConfigurationError(f"{where}: secrets must be a list of scope names")
        described = dict(definition or {})
        binder = None
        if run is not None:
            binder = _binder(run, {*injected, *entry.get("injected", ())}, where)
            described.setdefault("signature", signature_text(binder.signature))
            described.setdefault("doc", inspect.getdoc(run) or "")
            described.setdefault("of", f"{run.__module__}:{getattr(run, '__qualname__', '')}")
        declared = {**given, **filed}
        wanted = self.infer or entry.get("definition") is not None
        found = _definition(name, described, binder) if wanted else None
        if self.infer:
            from agentguard.provenance.declaring import declared_over
            from agentguard.provenance.facts import infer

            declared = declared_over(declared, infer({"name": name} if found is None else found.plain()))
        pinned = entry.get("definition")
        if pinned is not None and (found is None or found.digest != pinned):
            declared["changed"] = True
        tool = Tool(
            name=name,
            digest=definition_digest(name, described, run),
            facts=ToolFacts.parse(declared, where).to_facts(),
            secrets=scopes,
            arguments=tuple(arguments) if arguments is not None else binder.names if binder else None,
            run=run,
            binder=binder,
            check=check if check is not None else signature_check(binder, run),
            classes=annotated_classes(run) if run is not None else {},
            resource=resource,
            where=described.get("of", ""),
            code=code_of(run),
        )
        known = self.tools.get(name)
        same = known is None or (known.where == tool.where and (tool.where or known.digest == tool.digest))
        if known is not None and not same:
            raise ConfigurationError(
                f"two tools are called `{name}`: {known.where or 'one registered before'} and "
                f"{tool.where or 'this one'}; give one another name"
            )
        self.tools[name] = tool
        self.described[name] = described
        return tool

    def definition(self, name: str) -> Definition | None:
        """How a tool is defined, as far as it was registered with a schema, a text or a signature."""
        return _definition(name, self.described[name], self.tools[name].binder)

    def bypasses(self) -> list[str]:
        """Ways around the guard that can be seen from here: who else holds an undecorated function, which
        module's name no longer leads to the guarded one. An empty list is no proof: one process cannot
        fence off its own code."""
        found: list[str] = []
        for name in list(self.raw):
            function = self.raw[name]
            if code_of(function) is not self.tools[name].code:
                found.append(f"the code of `{name}` was replaced after it was registered")
            for holder in gc.get_referrers(function):
                if holder is not self.raw:
                    places = _held(holder, function)
                    found.extend(f"{place} the unguarded function of `{name}`" for place in places)
            module = sys.modules.get(function.__module__)
            here: Any = module
            for part in function.__qualname__.split("."):
                here = None if part == "<locals>" else getattr(here, part, None)
                if here is None:
                    break
            if here is not None and here is not function and not hasattr(here, "__agentguard__"):
                where = f"{function.__module__}.{function.__qualname__}"
                found.append(f"`{where}` was replaced by something that is not guarded")
        return sorted(set(found))

    def missing(self, named: Iterable[str]) -> list[str]:
        """Of these names the ones that nobody registered and no file knows."""
        return sorted(set(named) - set(self.tools) - set(self.entries))


def _held(holder: Any, function: object) -> list[str]:
    """How a referrer holds a function, in words; nothing where it is the guard's own or a running call."""
    kind = type(holder).__name__
    if isinstance(holder, dict):
        held = any(value is function for value in list(holder.values()))
        for module in list(sys.modules.values()):
            if getattr(module, "__dict__", None) is holder:
                names = [name for name in dir(module) if getattr(module, name, None) is function]
                return [f"`{module.__name__}.{name}` is" for name in names]
        return ["a dict holds"] if held else []
    if isinstance(holder, (list, tuple, set, frozenset, functools.partial, types.MethodType)):
        return [f"a {kind} holds"]
    if isinstance(holder, (Tool, types.FrameType, types.CellType)) or not hasattr(holder, "__dict__"):
        return []
    held = any(value is function for value in list(vars(holder).values()))
    return [f"a {kind} holds"] if held else []


def _binder(run: Callable[..., Any], hidden: set[str], where: str) -> Binder:
    """How arguments bind to a callable; `self` and `cls` of a method are no arguments."""
    try:
        signature = inspect.signature(run)
    except (TypeError, ValueError):
        problem = f"{where}: its signature cannot be read; wrap it in a function"
        raise ConfigurationError(problem) from None
    first = next(iter(signature.parameters), None)
    qualified = getattr(run, "__qualname__", "").rpartition(".")[0]
    if first in ("self", "cls") and qualified and not qualified.endswith("<locals>"):
        hidden.add(str(first))
    return Binder(signature, hidden)


def _definition(name: str, described: Mapping[str, Any], binder: Binder | None) -> Definition | None:
    from agentguard.provenance.definitions import registered

    signature = binder.signature if binder is not None else None
    return registered(name, described, signature, binder.injected if binder is not None else ())
