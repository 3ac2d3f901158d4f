"""The guard: policies, a store, people to ask, and the tools it stands before."""

from __future__ import annotations

import types
import weakref
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, ParamSpec, Self, TypeVar, overload

from agentguard.audience import Audience
from agentguard.call import AgentIdentity, Principal
from agentguard.calling import decorated_call, handed_call
from agentguard.canonical import freeze
from agentguard.decorate import decorator
from agentguard.drivers import drive_sync
from agentguard.errors import ArgumentsError, ConfigurationError
from agentguard.forks import begin_in_child
from agentguard.gaps import gaps, unregistered
from agentguard.ids import uuid7
from agentguard.inforce import InForce
from agentguard.ledger.keys import args_hmac, ledger_key
from agentguard.ledger.lookback import has_run
from agentguard.loading import loaded, watch_of
from agentguard.operations import Flow
from agentguard.recent import Recent
from agentguard.recorder import Recorder
from agentguard.registry import Registry
from agentguard.remembering import Remembering
from agentguard.resuming import resume, resume_sync
from agentguard.session import Pause, Session, current_session
from agentguard.stepping import Resumption
from agentguard.stepup import machine
from agentguard.stepup.ballot import Answer, cast, departed
from agentguard.stepup.channels import Question
from agentguard.stepup.waiting import ApprovalWaiter
from agentguard.store import open_store
from agentguard.sweeping import Sweeper, sweep
from agentguard.terms import STRICT, Terms
from agentguard.tools import ArgumentCheck, Tool, ToolFacts, tool_entries

if TYPE_CHECKING:
    import datetime as dt

    from agentguard.channels.channel import OutboxChannel
    from agentguard.engines import Engine
    from agentguard.fetching import RemoteBundle
    from agentguard.ledger.checkpoint_options import CheckpointOptions
    from agentguard.ledger.periodic import PeriodicCheckpoints
    from agentguard.policy import PolicyPaths, Snapshot
    from agentguard.providers import FactProvider
    from agentguard.refetching import BundleWatch
    from agentguard.reloading import PolicyWatch
    from agentguard.stepup.channels import Channel
    from agentguard.stepup.directory import Directory
    from agentguard.stepup.model import Approval
    from agentguard.store import Store
    from agentguard.watching import Watch

__all__ = ["Guard"]

P = ParamSpec("P")
R = TypeVar("R")
F = TypeVar("F", bound=Callable[..., Any])

_guards: Final[weakref.WeakSet[Guard]] = weakref.WeakSet()


class Guard:
    """Stands before tools: every call is decided, recorded, and run or not.

    `policies` is a policy file or folder (or several; `pack:NAME` is a pack), or pass a `snapshot`. `store`
    is a URL or a `Store`. `directory` is a file of people and groups, or a `Directory`. `tool_facts` is a
    file that says what tools of others do, or a mapping; with `infer_facts` what nobody declared is inferred
    from how a tool is defined, and marked as that. `facts` are fact providers, `engines` other
    decision points that are asked beside the policies (`agentguard.engines`), `channels` tell people of
    questions. `record` is `before` (each decision is durable before its tool runs) or `batched` for calls
    declared read-only. `pause` says what a step-up does: wait for the vote, or raise `ApprovalPending`.
    `strict` refuses to start a session while a policy names an unknown tool or a tool can be reached around
    the guard. `replayable`
    keeps, erasable beside each record, what else the decision looked at, for `agentguard replay`.
    `max_pending` is how many questions of one agent may wait under one rule; a further one is a denial.
    `sweep_s` is how often, in seconds, `sweep` runs on a thread of its own; None is never.
    `governance` says how long exceptions and grants may last and who may approve them.

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
        infer_facts: bool = False,
        engines: Iterable[Engine] = (),
        channels: Iterable[Channel | Callable[[Question], None]] = (),
        clock: Callable[[], dt.datetime] | None = None,
        record: Literal["before", "batched"] = "before",
        pause: Pause = "wait",
        tenant: str = "default",
        environment: str | None = None,
        strict: bool = False,
        replayable: bool = False,
        max_pending: int | None = 100,
        sweep_s: float | None = None,
        governance: Terms = STRICT,
    ) -> None:
        if (policies is None) == (snapshot is None):
            raise ConfigurationError("pass the policies' path, or a snapshot, and not both")
        _check(record, max_pending, pause)
        if snapshot is None:
            assert policies is not None
            snapshot = loaded(policies)
        self.engines: Final = tuple(engines)
        if self.engines:
            from agentguard.engines.model import check_engines

            check_engines(self.engines)
        if directory is None or isinstance(directory, (str, Path)):
            from agentguard.stepup.directory import open_directory

            directory = open_directory(directory)
        self.registry: Final = Registry(tool_entries(tool_facts), infer=infer_facts)
        self.directory: Final[Directory] = directory
        self._audience: Final = Audience(channels)
        self._own_store = isinstance(store, str)
        self.store: Final[Store] = open_store(store, clock=clock) if isinstance(store, str) else store
        self.record: Final = record
        self.pause: Final[Pause] = pause
        self.max_pending: Final = max_pending
        self.tenant: Final = tenant
        self.environment = environment
        self.strict = strict
        self.providers: Final = tuple(facts)
        self.now: Final = self.store.now
        self.waiter: Final = ApprovalWaiter(self.store)
        self.recorder: Final = Recorder(self.store, tenant, self.now)
        self.recent: Final = Recent(self.store, tenant)
        self.in_force: Final = InForce(
            snapshot, self.store, tenant, self.now, directory=directory, governance=governance
        )
        self.closed = False
        self.halted = ""
        self.checkpoints: PeriodicCheckpoints | None = None
        self._watches: list[Watch | Sweeper] = []
        self._forked()
        _guards.add(self)
        try:
            self._key = ledger_key(self.store.url)
            self.memory: Final = Remembering(self.hmac) if replayable else None
            self.in_force.begin()
            if sweep_s is not None:
                self._watches.append(Sweeper(self, sweep_s))
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

        options = {**guard_options(Path(path)), **changes}
        watch = options.pop("watch", None)
        checkpoint = options.pop("checkpoint", None)
        outbox = options.pop("outbox", ())
        guard = cls(**options)
        try:
            if outbox:
                guard.deliver(outbox)
            if checkpoint is not None:
                guard.keep_checkpoints(checkpoint)
            if watch is not None and "snapshot" not in changes:
                guard.watch(watch.paths, load=watch.load, every_s=watch.every_s)
        except BaseException:
            guard.close()
            raise
        return guard

    def keep_checkpoints(self, options: CheckpointOptions) -> PeriodicCheckpoints:
        """Make signed checkpoints of the ledger from now on, beside the calls and never in their way.

        While they fail that is logged; with `options.required` every call is denied (`halted` says why).

        Raises:
            ConfigurationError: the key cannot be used, or checkpoints are made already.
            CheckpointRefused, StoreError: `options.required`, and the first one fails.
        """
        from agentguard.ledger.periodic import PeriodicCheckpoints

        if self.checkpoints is not None:
            raise ConfigurationError("this guard makes checkpoints already")
        self.checkpoints = PeriodicCheckpoints(self, options)
        return self.checkpoints

    def deliver(self, channels: Sequence[OutboxChannel]) -> None:
        """Tell channels from the outbox from now on, each on a thread of its own and never in a call's way.

        Raises:
            ConfigurationError: this guard delivers already, or the extra `remote` is missing.
            StoreError: the store could not begin a channel.
        """
        self._audience.deliver(self.store, self.tenant, channels)

    # -- policies

    @property
    def snapshot(self) -> Snapshot:
        """The policies in force, with the register as it was last read; one decision sees one snapshot."""
        return self.in_force.pair[0]

    def swap(self, snapshot: Snapshot) -> None:
        """Put another snapshot in force, from the next decision on; recorded before it counts.

        Raises:
            PolicyError: it is an older signed bundle than one that was in force.
        """
        self.in_force.swap(snapshot)

    def check_version(self, snapshot: Snapshot) -> None:
        """Refuse a signed bundle that is older than one that was in force here: the ledger remembers.

        Raises:
            PolicyError: it is older, or another one of the same version.
        """
        self.in_force.check_version(snapshot)

    @overload
    def watch(
        self,
        paths: PolicyPaths,
        *,
        every_s: float = 2.0,
        load: Callable[[], Snapshot] | None = None,
    ) -> PolicyWatch: ...

    @overload
    def watch(self, paths: RemoteBundle, *, every_s: float = 2.0) -> BundleWatch: ...

    def watch(
        self,
        paths: PolicyPaths | RemoteBundle,
        *,
        every_s: float = 2.0,
        load: Callable[[], Snapshot] | None = None,
    ) -> Watch:
        """Look at policy files, or ask for a bundle, every `every_s` seconds and put what changed in force.

        `load` makes the new snapshot; by default all of `paths` is loaded, and refused where anybody may
        change it. A set that does not load leaves the old one in force, logged and recorded as
        `policy.refused`. The returned watch can look at once (`look`) and stop.

        Raises:
            ConfigurationError: `every_s` is below 0.05 (1 for a bundle), or a URL is no `RemoteBundle`.
        """
        watch = watch_of(self, paths, every_s, load)
        self._watches.append(watch)
        return watch

    def non_waivable(self, rule: str) -> bool:
        """Whether no exception can ever waive this rule (`policy/rule`)."""
        return self.in_force.non_waivable(rule)

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
        return decorator(self, name, secrets=secrets, facts=facts, injected=injected, resource=resource)

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
        return self.registry.register(
            name,
            run,
            secrets=secrets,
            facts=facts,
            injected=injected,
            resource=resource,
            definition=definition,
            arguments=arguments,
            check=check,
        )

    @property
    def tools(self) -> Mapping[str, Tool]:
        """Every registered tool by name."""
        return types.MappingProxyType(self.registry.tools)

    def bypasses(self) -> list[str]:
        """Ways around the guard that can be seen from here: who else holds an undecorated function, which
        module's name no longer leads to the guarded one. An empty list is no proof: one process cannot
        fence off its own code."""
        return self.registry.bypasses()

    def unknown_tools(self) -> list[str]:
        """Exact tool names that a policy or an engine speaks of and nobody registered."""
        return unregistered(self)

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
        if self.strict and (problems := gaps(self)):
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
        return decorated_call(self, tool, function, args, kwargs, streams)

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
        `approved` is told of the call's approval before it is claimed. A name that nobody registered is a
        denial like any other.

        Raises:
            ToolCallDenied, ApprovalPending, OutcomeUnknown, ToolFailed.
        """
        flow = handed_call(self, tool, arguments, call_id, pause, session, problem, approved)
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
        flow = handed_call(self, tool, arguments, call_id, pause, session, problem, approved)
        from agentguard.asyncdriver import drive  # here: synchronous programs need no event loop

        result: R = await drive(self, flow, run)
        return result

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
        return has_run(
            self.store, self.tenant, tool=tool.name, session=session.id, call_id=call_id, hmac=hmac
        )

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
        self._audience.ask(question)

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
        return await resume(self, approval_id, wait, injected or {})

    def resume_sync(
        self, approval_id: str, *, wait: bool = False, injected: Mapping[str, Any] | None = None
    ) -> Resumption:
        """The same as `resume`, for synchronous tools."""
        return resume_sync(self, approval_id, wait, injected or {})

    def sweep(self) -> int:
        """Make records of what happened by itself, and tell who may answer now; returns how many changed.

        Who vouches for exceptions and grants is looked up again in the directory.

        With `sweep_s` a running guard does it every so many seconds; several at once do no harm.

        Raises:
            StoreError: the store could not do it; what was done before stays.
        """
        return sweep(self, self._audience.flag)

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
            for watch in self._watches:
                watch.stop()
            self._audience.stop()
            if self.engines:
                from agentguard.engines.model import release

                release(self.engines)
            self.store_thread.shutdown(wait=True)
            if self.checkpoints is not None:
                self.checkpoints.stop()
            if self._own_store:
                self.store.close()

    def _forked(self) -> None:
        """Threads that this process has; a forked child has none of its parent's."""
        self.in_force.forked()  # before any thread: these have locks of the parent's
        self.recent.forked()
        self.store_thread = ThreadPoolExecutor(1, thread_name_prefix="agentguard-store")
        for watch in self._watches:
            watch.start()
        if self.checkpoints is not None:
            self.checkpoints.start()
        if not self.closed:
            self._audience.forked()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        import asyncio

        await asyncio.to_thread(self.close)


def _check(record: object, max_pending: object, pause: object) -> None:
    if record not in ("before", "batched"):
        raise ConfigurationError(f"record must be `before` or `batched`, not {record!r}")
    if max_pending is not None and not (type(max_pending) is int and max_pending >= 1):
        raise ConfigurationError(f"max_pending must be a number from 1, or None, not {max_pending!r}")
    if pause not in ("wait", "raise"):
        raise ConfigurationError(f"pause must be `wait` or `raise`, not {pause!r}")


def _after_fork() -> None:
    for guard in list(_guards):
        guard._forked()


begin_in_child(_after_fork)
