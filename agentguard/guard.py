"""The guard: policies, a store, people to ask, and the tools it stands before."""

from __future__ import annotations

import asyncio
import functools
import gc
import inspect
import json
import logging
import os
import queue
import sys
import threading
import types
import typing
import weakref
from collections.abc import Awaitable, Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, ParamSpec, Protocol, Self, TypeVar, overload

from agentguard.call import AgentIdentity, Principal
from agentguard.calls import Call
from agentguard.canonical import Frozen, freeze
from agentguard.decorate import check_function, guarded, kind_of
from agentguard.drivers import active, drive, drive_sync
from agentguard.errors import AgentGuardError, ArgumentsError, ConfigurationError, ToolCallDenied
from agentguard.flow import call_flow
from agentguard.ids import uuid7
from agentguard.implementation import code_of
from agentguard.ledger import events
from agentguard.ledger.keys import args_hmac, ledger_key
from agentguard.operations import Flow
from agentguard.recorder import Recorder
from agentguard.session import Pause, Session, current_session
from agentguard.stepping import Resumption, resume_flow
from agentguard.stepup import machine
from agentguard.stepup.ballot import Answer, cast, departed
from agentguard.stepup.channels import Question
from agentguard.stepup.waiting import ApprovalWaiter
from agentguard.store import open_store
from agentguard.tools import (
    ArgumentCheck,
    Binder,
    Tool,
    ToolFacts,
    annotated_classes,
    definition_digest,
    signature_text,
    tool_name,
)

if TYPE_CHECKING:
    import datetime as dt

    from agentguard.policy import PolicyPaths, Snapshot
    from agentguard.stepup.channels import Channel
    from agentguard.stepup.directory import Directory
    from agentguard.stepup.model import Approval
    from agentguard.store import Store

__all__ = ["FactProvider", "Guard"]

P = ParamSpec("P")
R = TypeVar("R")
F = TypeVar("F", bound=Callable[..., Any])

log = logging.getLogger("agentguard")
_CHANNEL_QUEUE: Final = 1_000
_guards: Final[weakref.WeakSet[Guard]] = weakref.WeakSet()


class FactProvider(Protocol):
    """Knows facts about a request: any function, synchronous or not.

    It is given the names that the tool's rules read (`secret`, `history`, `context`, ...) and answers a
    mapping from such names to mappings, merged into the request. It has two seconds; what fails is absent.
    """

    def __call__(
        self, request: Any, names: frozenset[str]
    ) -> Mapping[str, Any] | Awaitable[Mapping[str, Any]]:
        """What it knows."""
        ...


class Guard:
    """Stands before tools: every call is decided, recorded, and run or not.

    `policies` is a policy file or folder (or several), or pass a `snapshot`. `store` is a URL or a `Store`.
    `directory` is a file of people and groups, or a `Directory`. `tool_facts` is a file that says what tools
    of others do, or a mapping. `facts` are fact providers, `channels` tell people of questions. `record` is
    `before` (each decision is durable before its tool runs) or `batched` for calls declared read-only.
    `pause` says what a step-up does: wait for the vote, or raise `ApprovalPending`. `strict` refuses to start
    a session while a policy names an unknown tool or a tool can be reached around the guard.

    Raises:
        PolicyError: the policies were refused; ConfigurationError, StoreError: for the rest.
    """

    def __init__(
        self,
        policies: PolicyPaths | None = None,
        *,
        snapshot: Snapshot | None = None,
        store: str | Store = "sqlite:///agentguard.db",
        directory: str | Path | Directory | None = None,
        facts: Iterable[FactProvider] = (),
        tool_facts: str | Path | Mapping[str, Any] | None = None,
        channels: Iterable[Channel | Callable[[Question], None]] = (),
        clock: Callable[[], dt.datetime] | None = None,
        record: Literal["before", "batched"] = "before",
        pause: Pause = "wait",
        tenant: str = "default",
        environment: str | None = None,
        strict: bool = False,
    ) -> None:
        if (policies is None) == (snapshot is None):
            raise ConfigurationError("pass the policies' path, or a snapshot, and not both")
        if record not in ("before", "batched"):
            raise ConfigurationError(f"record must be `before` or `batched`, not {record!r}")
        if pause not in ("wait", "raise"):
            raise ConfigurationError(f"pause must be `wait` or `raise`, not {pause!r}")
        if snapshot is None:
            from agentguard.config import refuse_writable  # here: they bring the whole policy language
            from agentguard.policy import Snapshot

            assert policies is not None
            paths = [policies] if isinstance(policies, (str, os.PathLike)) else list(policies)
            refuse_writable(paths)
            snapshot = Snapshot.load(paths)
        self._snapshot = snapshot
        if directory is None or isinstance(directory, (str, Path)):
            from agentguard.stepup.directory import open_directory

            directory = open_directory(directory)
        self._entries = _tool_entries(tool_facts)
        self.directory: Final[Directory] = directory
        self._channels = [_ChannelThread(channel) for channel in channels]
        self._own_store = isinstance(store, str)
        self.store: Final[Store] = open_store(store, clock=clock) if isinstance(store, str) else store
        self.record: Final = record
        self.pause: Final[Pause] = pause
        self.tenant: Final = tenant
        self.environment = environment
        self.strict = strict
        self.providers: Final = tuple(facts)
        self.now: Final = self.store.now
        self.waiter: Final = ApprovalWaiter(self.store)
        self.recorder: Final = Recorder(self.store, tenant, self.now)
        self._tools: dict[str, Tool] = {}
        self._raw: dict[str, types.FunctionType] = {}
        self._non_waivable = _non_waivable(self._snapshot)
        self.closed = False
        self._forked()
        _guards.add(self)
        try:
            self._key = ledger_key(self.store.url)
            self.store.append(tenant, (self._loaded(None),))
        except BaseException:
            self.closed = True
            if self._own_store:
                self.store.close()
            raise

    @classmethod
    def from_config(cls, path: str | Path, **changes: Any) -> Guard:
        """A guard as an `agentguard.yaml` describes it; keyword arguments replace what the file says.

        Raises:
            ConfigurationError: the file was refused, with file and line.
        """
        from agentguard.config import guard_options

        return cls(**{**guard_options(Path(path)), **changes})

    # -- policies

    @property
    def snapshot(self) -> Snapshot:
        """The policies in force; one decision sees one snapshot."""
        return self._snapshot

    def swap(self, snapshot: Snapshot) -> None:
        """Put another snapshot in force, from the next decision on; recorded before it counts."""
        event = self._loaded(snapshot)
        self.store.append(self.tenant, (event,))
        self._non_waivable = _non_waivable(snapshot)
        self._snapshot = snapshot

    def _loaded(self, new: Snapshot | None) -> events.Event:
        snapshot = new if new is not None else self._snapshot
        return events.policy_loaded(
            id=uuid7(),
            tenant=self.tenant,
            at=self.now(),
            snapshot=snapshot.digest,
            rules=len(snapshot.rules),
            sources={},
            previous=self._snapshot.digest if new is not None else None,
        )

    def non_waivable(self, rule: str) -> bool:
        """Whether no exception can ever waive this rule (`policy/rule`)."""
        return rule in self._non_waivable

    # -- tools

    @overload
    def tool(self, name: F, /) -> F: ...

    @overload
    def tool(
        self,
        name: str | None = None,
        /,
        *,
        secrets: Iterable[str] = (),
        facts: ToolFacts | Mapping[str, Any] | None = None,
        injected: Iterable[str] = (),
        resource: Callable[[Mapping[str, Any]], Mapping[str, Any] | None] | None = None,
    ) -> Callable[[Callable[P, R]], Callable[P, R]]: ...

    def tool(
        self,
        name: Any = None,
        /,
        *,
        secrets: Iterable[str] = (),
        facts: ToolFacts | Mapping[str, Any] | None = None,
        injected: Iterable[str] = (),
        resource: Callable[[Mapping[str, Any]], Mapping[str, Any] | None] | None = None,
    ) -> Any:
        """Guard a function. `name` is the policy's name for it; by default the function's own.

        `secrets` are the scopes it needs, `facts` what it does, `injected` parameters that are no arguments
        (`self` is found by itself), `resource` a function from the arguments to the resource they touch.
        """
        if callable(name):
            return self.tool()(name)

        def decorate(function: Callable[P, R]) -> Callable[P, R]:
            check_function(function)
            tool = self.register(
                name if name is not None else getattr(function, "__name__", ""),
                function,
                secrets=secrets,
                facts=facts,
                injected=injected,
                resource=resource,
            )
            plain_function: Any = function
            self._raw[tool.name] = plain_function
            return guarded(self, tool, plain_function)

        return decorate

    def register(
        self,
        name: str,
        run: Callable[..., Any] | None = None,
        *,
        secrets: Iterable[str] = (),
        facts: ToolFacts | Mapping[str, Any] | None = None,
        injected: Iterable[str] = (),
        resource: Callable[[Mapping[str, Any]], Mapping[str, Any] | None] | None = None,
        definition: Mapping[str, Any] | None = None,
        arguments: Iterable[str] | None = None,
        check: ArgumentCheck | None = None,
    ) -> Tool:
        """Make a tool known, for a wrapper of another kind than a decorator.

        `run` is called with the arguments as keywords when an approved call is resumed. `definition` is what
        the tool's digest covers beside its code (a JSON schema, a description). `arguments` are the names of
        its arguments and `check` says whether arguments fit, where there is no signature to tell.

        Raises:
            ConfigurationError: the name or a fact is refused, or another tool has this name.
        """
        name = tool_name(name)
        entry = self._entries.get(name, {})
        where = f"tool `{name}`"
        given = ToolFacts.parse(facts, where).model_dump(exclude_defaults=True)
        filed = ToolFacts.parse(entry.get("facts"), where).model_dump(exclude_defaults=True)
        scopes = tuple(dict.fromkeys((*secrets, *entry.get("secrets", ()))))
        if isinstance(secrets, str) or not all(isinstance(scope, str) and scope for scope in scopes):
            raise ConfigurationError(f"{where}: secrets must be a list of scope names")
        binder, classes, described = None, {}, dict(definition or {})
        if run is not None:
            hidden = {*injected, *entry.get("injected", ())}
            try:
                signature = inspect.signature(run)
            except (TypeError, ValueError):
                problem = f"{where}: its signature cannot be read; wrap it in a function"
                raise ConfigurationError(problem) from None
            first = next(iter(signature.parameters), None)
            qualified = getattr(run, "__qualname__", "").rpartition(".")[0]
            if first in ("self", "cls") and qualified and not qualified.endswith("<locals>"):
                hidden.add(str(first))
            binder = Binder(signature, hidden)
            classes = annotated_classes(run)
            described.setdefault("signature", signature_text(signature))
            described.setdefault("doc", inspect.getdoc(run) or "")
            described.setdefault("of", f"{run.__module__}:{getattr(run, '__qualname__', '')}")
        tool = Tool(
            name=name,
            digest=definition_digest(name, described, run),
            facts=ToolFacts.parse({**given, **filed}, where).to_facts(),
            secrets=scopes,
            arguments=tuple(arguments) if arguments is not None else binder.names if binder else None,
            run=run,
            binder=binder,
            check=check if check is not None else _signature_check(binder, run),
            classes=classes,
            resource=resource,
            where=described.get("of", ""),
            code=code_of(run),
        )
        known = self._tools.get(name)
        same = known is None or (known.where == tool.where and (tool.where or known.digest == tool.digest))
        if known is not None and not same:
            raise ConfigurationError(
                f"two tools are called `{name}`: {known.where or 'one registered before'} and "
                f"{tool.where or 'this one'}; give one another name"
            )
        self._tools[name] = tool
        return tool

    @property
    def tools(self) -> Mapping[str, Tool]:
        """Every registered tool by name."""
        return types.MappingProxyType(self._tools)

    def bypasses(self) -> list[str]:
        """Ways around the guard that can be seen from here: who else holds an undecorated function, which
        module's name no longer leads to the guarded one. An empty list is no proof: one process cannot
        fence off its own code."""
        found: list[str] = []
        for name in list(self._raw):
            function = self._raw[name]
            if code_of(function) is not self._tools[name].code:
                found.append(f"the code of `{name}` was replaced after it was registered")
            for holder in gc.get_referrers(function):
                if holder is not self._raw:
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

    def unknown_tools(self) -> list[str]:
        """Exact tool names that a policy speaks of and nobody registered."""
        named: set[str] = set()
        for rule in self._snapshot.rules:
            named.update(pattern for pattern in rule.tools if not pattern.endswith("*"))
        return sorted(named - set(self._tools) - set(self._entries))

    # -- sessions and calls

    def session(
        self,
        *,
        agent: AgentIdentity,
        principal: str | Principal | None = None,
        id: str | None = None,
        environment: str | None = None,
        chain: Iterable[AgentIdentity] = (),
        prompt: str | None = None,
        context: Mapping[str, Any] | None = None,
        workload: Mapping[str, Any] | None = None,
        pause: Pause | None = None,
    ) -> Session:
        """Who acts from here on, in this task or thread: use it with `with` or `async with`.

        `principal` is the person on whose behalf, `chain` the delegating agents, outermost first, `prompt`
        the user's own words. `context` and `workload` are facts of the operator's for conditions.

        Raises:
            ConfigurationError: with `strict`, while a tool is unknown or can be reached around the guard.
        """
        if self.closed:
            raise ConfigurationError("the guard is closed; make another")
        if self.strict:
            problems = [f"a policy names `{name}`, which nobody registered" for name in self.unknown_tools()]
            problems += self.bypasses()
            if problems:
                raise ConfigurationError("strict: " + "; ".join(problems))
        session = Session(
            self,
            agent=agent,
            principal=principal,
            id=id or uuid7(),
            environment=environment if environment is not None else self.environment,
            chain=chain,
            context=context,
            workload=workload,
            pause=pause or self.pause,
        )
        if prompt is not None:
            session.observe(prompt, "prompt", "user")
        return session

    def begin(
        self,
        tool: Tool,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        streams: bool = False,
    ) -> tuple[Flow | None, Callable[[dict[str, Any]], Any]]:
        """The flow of one call of a decorated function, and how to run it; no flow where the call is part of
        a guarded call that runs already."""
        binder = tool.binder
        assert binder is not None
        problem: Exception | None = None
        arguments: dict[str, Any] = {}
        injected: dict[str, Any] = {}
        try:
            arguments, injected = binder.bind(args, kwargs)
        except (TypeError, ArgumentsError) as error:
            problem = error
        outer = active.get()
        if outer is not None and problem is None:
            inner = self._within(outer, tool, arguments)
            if inner is not None:
                return None, _runner(function, binder, injected, inner)
        session = current_session(self)
        call = Call(
            tool=tool,
            arguments=arguments,
            session=session,
            call_id=uuid7(),
            pause=session.pause if session is not None else self.pause,
            problem=problem,
            streams=streams,
            fresh=True,
            digest=tool.current,
        )
        return call_flow(self, call), _runner(function, binder, injected, None)

    def _within(self, outer: Any, tool: Tool, arguments: dict[str, Any]) -> dict[str, Any] | None:
        try:
            frozen = freeze(arguments)
            thawed = frozen.thaw()
        except ArgumentsError:
            return None
        same = tool.current == tool.digest and outer.take(self, tool.name, current_session(self), frozen)
        return thawed if same else None

    def call(
        self,
        tool: Tool | str,
        arguments: Mapping[str, Any],
        run: Callable[[dict[str, Any]], R],
        *,
        call_id: str | None = None,
        pause: Pause | None = None,
        session: Session | None = None,
        problem: Exception | None = None,
        approved: Callable[[Approval], None] | None = None,
    ) -> R:
        """Guard one call of any tool: for adapters. `run` gets the arguments that were decided on.

        With the same `call_id` a framework may come here again after a pause: the approval is found, not
        asked for twice. `problem` is what the adapter found wrong with the call: it is denied and recorded.
        `approved` is told of the call's approval before it is claimed.

        Raises:
            ToolCallDenied, ApprovalPending, OutcomeUnknown.
        """
        flow = self._flow(tool, arguments, call_id, pause, session, problem, approved)
        result: R = drive_sync(self, flow, run)
        return result

    async def acall(
        self,
        tool: Tool | str,
        arguments: Mapping[str, Any],
        run: Callable[[dict[str, Any]], Awaitable[R]],
        *,
        call_id: str | None = None,
        pause: Pause | None = None,
        session: Session | None = None,
        problem: Exception | None = None,
        approved: Callable[[Approval], None] | None = None,
    ) -> R:
        """The same as `call`, for a coroutine function."""
        flow = self._flow(tool, arguments, call_id, pause, session, problem, approved)
        result: R = await drive(self, flow, run)
        return result

    def _flow(
        self,
        tool: Tool | str,
        arguments: Mapping[str, Any],
        call_id: str | None,
        pause: Pause | None,
        session: Session | None,
        problem: Exception | None = None,
        approved: Callable[[Approval], None] | None = None,
    ) -> Flow:
        known = self._tools.get(tool) if isinstance(tool, str) else tool
        if known is None:
            raise ConfigurationError(f"no tool is called `{tool}`; `guard.register` it first")
        if call_id is not None and not _nameable(call_id):
            # It may come from a model: what cannot stand in a record names no call.
            call_id = None
            problem = ArgumentsError("the call's id is not 1 to 256 printable characters", "call_id")
        session = session if session is not None else current_session(self)
        call = Call(
            tool=known,
            arguments=arguments,
            session=session,
            call_id=call_id or uuid7(),
            pause=pause or (session.pause if session is not None else self.pause),
            problem=problem,
            approved=approved,
            digest=known.current,
        )
        return call_flow(self, call)

    @property
    def current(self) -> Session | None:
        """The session of this context, if one of this guard's was entered."""
        return current_session(self)

    def has_run(self, tool: Tool, arguments: Mapping[str, Any], *, call_id: str, session: Session) -> bool:
        """Whether the ledger has this very call of this session as run to its end, or to an unknown one.

        For adapters whose framework may repeat a call when it resumes. It reads the ledger: ask only then. A
        call that failed, and one that ran under an approval (claimed once anyway), do not count.
        """
        try:
            hmac = self.hmac(freeze(arguments).canonical)
        except ArgumentsError:
            return False
        self.flush()
        needle = json.dumps(call_id, ensure_ascii=False).encode()
        ran: dict[str, bool] = {}
        for event in self.store.events(self.tenant, types=("decision", "outcome")):
            if needle not in event.leaf:
                continue
            data = json.loads(event.leaf)
            if (data.get("call_id"), data.get("session"), data.get("tool")) != (
                call_id,
                session.id,
                tool.name,
            ):
                continue
            if event.type == "outcome":
                if data.get("status") == "failed":
                    ran.pop(data.get("decision_id"), None)
            elif data["runs"] and data["phase"] == "decide" and data["args_hmac"] == hmac:
                ran[data["id"]] = True
        return bool(ran)

    # -- approvals

    def approval(self, approval_id: str) -> Approval:
        """One approval of this tenant; NotFound when there is none."""
        return self.store.approval(self.tenant, approval_id)

    def vote(self, approval_id: str, answer: Answer) -> Approval:
        """Count an answer; VoteRefused when it does not count."""
        return cast(self.store, self.directory, self.tenant, approval_id, answer)

    def withdraw(self, approval_id: str, reason: str = "the caller gave up") -> Approval:
        """End a question that its caller does not want answered any more; nothing runs on it."""
        return self.store.update_approval(
            self.tenant, approval_id, lambda current, now: machine.withdraw(current, now, reason=reason)
        )

    def departed(self, approval: Approval) -> tuple[str, ...]:
        """Who approved and could not do so today."""
        return departed(self.directory, approval)

    def notify(self, approval: Approval) -> None:
        """Tell every channel of a question; nobody waits for them."""
        question = Question(
            approval=approval,
            current=lambda: self.approval(approval.id),
            cast=lambda answer: self.vote(approval.id, answer),
        )
        for channel in self._channels:
            channel.put(question)

    async def resume(
        self, approval_id: str, *, wait: bool = False, injected: Mapping[str, Any] | None = None
    ) -> Resumption:
        """Run the frozen call of an approval, at most once, in this or any other process.

        The tool must be registered under the same name and definition. `injected` are its injected
        parameters. With `wait` it waits for a vote that is still missing. What a generator yields is the
        result, as a list.

        Raises:
            ApprovalPending: nobody has decided yet. ToolCallDenied: it will not run. OutcomeUnknown: it was
                started once and how it ended is not known. NotFound: there is no such approval.
        """
        holder: dict[str, Any] = {}

        async def run(arguments: dict[str, Any]) -> Any:
            tool, call = holder["tool"], holder["run"]
            with holder["session"]:
                match kind_of(tool.run):
                    case "async":
                        return await call(arguments)
                    case "async generator":
                        return [item async for item in call(arguments)]
                    case "generator":
                        return await asyncio.to_thread(lambda: list(call(arguments)))
                    case _:
                        return await asyncio.to_thread(call, arguments)

        flow = resume_flow(self, self._restore(holder, injected or {}), approval_id, wait)
        found: Resumption = await drive(self, flow, run)
        return found

    def resume_sync(
        self, approval_id: str, *, wait: bool = False, injected: Mapping[str, Any] | None = None
    ) -> Resumption:
        """The same as `resume`, for synchronous tools."""
        holder: dict[str, Any] = {}

        def run(arguments: dict[str, Any]) -> Any:
            with holder["session"]:
                result = holder["run"](arguments)
                return list(result) if kind_of(holder["tool"].run) == "generator" else result

        flow = resume_flow(self, self._restore(holder, injected or {}, sync=True), approval_id, wait)
        found: Resumption = drive_sync(self, flow, run)
        return found

    def _restore(
        self, holder: dict[str, Any], injected: Mapping[str, Any], *, sync: bool = False
    ) -> Callable[[Approval], tuple[Call, Frozen]]:
        def restore(approval: Approval) -> tuple[Call, Frozen]:
            tool = self._tools.get(approval.tool)
            if tool is None or tool.run is None or tool.binder is None:
                raise ConfigurationError(
                    f"`{approval.tool}` is not registered with a function in this process; import the module "
                    "that decorates it, then resume"
                )
            kind = kind_of(tool.run)
            if sync and kind.startswith("async"):
                raise ConfigurationError(f"`{approval.tool}` is asynchronous; use `await guard.resume(...)`")
            unknown = sorted(set(injected) - tool.binder.injected)
            if unknown:
                raise ConfigurationError(
                    f"`{unknown[0]}` is not an injected parameter of `{approval.tool}`; "
                    "what runs is what was approved"
                )
            missing = sorted(tool.binder.injected - set(injected) - set(tool.binder.optional))
            if missing:
                raise ConfigurationError(
                    f"`{approval.tool}` has injected parameters: pass injected={{'{missing[0]}': ...}}"
                )
            if approval.arguments is None:
                raise ConfigurationError(
                    f"the arguments of approval `{approval.id}` were erased; it cannot run"
                )
            try:
                final = Frozen.from_canonical(approval.arguments, tool.classes)
            except ArgumentsError as error:
                raise ToolCallDenied(
                    approval.tool,
                    "agentguard/approval",
                    str(error),
                    remedy="ask_operator",
                    decision_id=approval.decision_id,
                ) from None
            session = _session_of(self, approval)
            raw = self._raw.get(tool.name, tool.run)
            holder.update(tool=tool, session=session, run=_runner(raw, tool.binder, dict(injected), None))
            call = Call(
                tool=tool,
                arguments=final.view,
                session=session,
                call_id=approval.call_id,
                pause="wait",
                streams=kind.endswith("generator"),
                digest=tool.current,
            )
            return call, final

        return restore

    # -- used by the flow

    def hmac(self, canonical: bytes) -> str:
        """The keyed digest under which arguments stand in the ledger."""
        return args_hmac(self._key, canonical)

    # -- the end

    def flush(self) -> None:
        """Write what the batched recorder holds."""
        self.recorder.flush()

    def close(self) -> None:
        """Write what is left and release the store; calls after this are denied."""
        if self.closed:
            return
        self.closed = True
        try:
            self.recorder.close()
        finally:
            for channel in self._channels:
                channel.stop()
            self.store_thread.shutdown(wait=True)
            if self._own_store:
                self.store.close()

    def _forked(self) -> None:
        """Threads that this process has; a forked child has none of its parent's."""
        self.store_thread = ThreadPoolExecutor(1, thread_name_prefix="agentguard-store")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await asyncio.to_thread(self.close)


class _ChannelThread:
    """Calls one channel, one question after the other, in a thread that lives while there are questions."""

    def __init__(self, channel: Any) -> None:
        self._notify: Callable[[Question], None] = getattr(channel, "notify", channel)
        self._forked()

    def _forked(self) -> None:
        self._questions: queue.Queue[Question | None] = queue.Queue(_CHANNEL_QUEUE)
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._pid = os.getpid()

    def put(self, question: Question) -> None:
        if os.getpid() != self._pid:
            self._forked()
        try:
            self._questions.put_nowait(question)
        except queue.Full:
            log.error("a channel is full; nobody was told of approval %s", question.approval.id)
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="agentguard-channel", daemon=True)
                self._thread.start()

    def _work(self) -> None:
        while (question := self._questions.get()) is not None:
            try:
                self._notify(question)
            except AgentGuardError as error:
                log.warning("a channel's answer does not count: %s", error)
            except Exception as error:
                log.error("a channel failed: %s", type(error).__name__)

    def stop(self) -> None:
        if self._thread is not None:
            try:
                self._questions.put_nowait(None)
            except queue.Full:
                pass


def _runner(
    function: Callable[..., Any], binder: Binder, injected: dict[str, Any], fixed: dict[str, Any] | None
) -> Callable[[dict[str, Any]], Any]:
    def run(arguments: dict[str, Any]) -> Any:
        given = {**(arguments if fixed is None else fixed), **injected}
        args, kwargs = binder.spread(given)
        return function(*args, **kwargs)

    return run


def _nameable(call_id: object) -> bool:
    return isinstance(call_id, str) and 0 < len(call_id) <= 256 and call_id.isprintable()


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


def _signature_check(binder: Binder | None, run: Callable[..., Any] | None) -> ArgumentCheck | None:
    """Whether rewritten arguments fit a function's annotations, as pydantic reads them."""
    if binder is None or run is None:
        return None
    made: list[dict[str, Any]] = []

    def adapters() -> dict[str, Any]:
        from pydantic import TypeAdapter

        found: dict[str, Any] = {}
        try:
            hints = typing.get_type_hints(run)
        except Exception:
            return found
        for name, hint in hints.items():
            if name in binder.names and name not in binder.collected:
                try:
                    found[name] = TypeAdapter(hint)
                except Exception:
                    continue  # a class that pydantic does not know is not checked
        return found

    def check(arguments: Mapping[str, Any]) -> str | None:
        from pydantic import ValidationError

        unknown = binder.unknown(arguments)
        if unknown is not None:
            return f"`{unknown}`: it has no such parameter"
        if not made:
            made.append(adapters())
        for name, value in arguments.items():
            adapter = made[0].get(name)
            if adapter is not None:
                try:
                    adapter.validate_python(value)
                except ValidationError as error:
                    return f"`{name}`: {error.errors()[0]['type']}"
        return None

    return check


def _session_of(guard: Guard, approval: Approval) -> Session:
    """The session of an approval, for the time of its run: the original agent, principal and chain."""
    request = approval.request

    def identity(data: Mapping[str, Any]) -> AgentIdentity:
        rest = {key: value for key, value in data.items() if key not in ("id", "owner", "tags")}
        return AgentIdentity(data["id"], owner=data.get("owner"), tags=data.get("tags", ()), **rest)

    principal = request.get("principal")
    person = None
    if principal is not None:
        rest = {key: value for key, value in principal.items() if key not in ("id", "groups")}
        person = Principal(principal["id"], tuple(principal.get("groups", ())), rest)
    session = request.get("session") or {}
    return Session(
        guard,
        agent=identity(request["agent"]),
        principal=person,
        id=session.get("id", ""),
        environment=request.get("environment"),
        chain=[identity(link) for link in request.get("chain", ())],
        context=request.get("context") or None,
        workload=request.get("workload"),
        pause="wait",
        labels=session.get("labels", ()),
    )


def _tool_entries(source: str | Path | Mapping[str, Any] | None) -> Mapping[str, Mapping[str, Any]]:
    if source is None:
        return {}
    if isinstance(source, Mapping):
        found = {tool_name(name): dict(entry) for name, entry in source.items()}
        for name, entry in found.items():
            unknown = sorted(set(entry) - {"facts", "secrets", "injected"})
            if unknown:
                raise ConfigurationError(
                    f"tool `{name}`: unknown key `{unknown[0]}`; known keys: facts, injected, secrets"
                )
        return found
    from agentguard.config import load_tool_facts

    return {
        name: {"facts": entry.facts, "secrets": entry.secrets, "injected": entry.injected}
        for name, entry in load_tool_facts(Path(source)).items()
    }


def _non_waivable(snapshot: Snapshot) -> frozenset[str]:
    return frozenset(rule.name for rule in snapshot.rules if rule.non_waivable)


def _after_fork() -> None:
    for guard in list(_guards):
        guard._forked()


if hasattr(os, "register_at_fork"):  # pragma: no branch
    os.register_at_fork(after_in_child=_after_fork)
