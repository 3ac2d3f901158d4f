"""What happened in one evaluation: the outcome of every sub-expression, as data for an explanation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from . import ast
from .access import Run
from .adapt import export
from .closures import Builder
from .context import Context
from .environment import Environment
from .errors import CelError, CelException
from .limits import Limits
from .resolver import path_of

State: TypeAlias = Literal["value", "error", "skipped"]
# A macro over a long list would make a trace of any size; later sub-expressions are counted, not kept.
_KEPT: Final = 2_000
_SHOWN: Final = Limits(steps=10_000)
_LOGIC: Final = frozenset({ast.AND, ast.OR, ast.NOT, ast.CONDITIONAL})


@dataclass(frozen=True, slots=True)
class Trace:
    """The outcome of one sub-expression.

    ``state`` is ``"value"`` (see ``value``, an ``Unshown`` where it is too large), ``"error"`` (see
    ``error``) or ``"skipped"``: not evaluated, because something else had decided. ``text`` is
    ``source[start:end]``. Inside a macro there is one child for each evaluation of its body; ``dropped``
    counts those that were not kept. Constants are no children.
    """

    text: str
    start: int
    end: int
    node: ast.Node
    state: State
    value: object
    error: CelError | None
    children: tuple[Trace, ...]
    dropped: int = 0

    def walk(self) -> Iterator[Trace]:
        """This outcome and all below it, parents first."""
        yield self
        for child in self.children:
            yield from child.walk()

    def conditions(self) -> Iterator[Trace]:
        """The sub-conditions that ``&&``, ``||``, ``!`` and ``? :`` combine, in the order of the source."""
        if isinstance(self.node, ast.Call) and self.node.function in _LOGIC:
            for child in self.children:
                yield from child.conditions()
        else:
            yield self

    def reads(self) -> dict[str, Trace]:
        """The variables and paths below, by their text: what the outcome rests on."""
        return {part.text: part for part in self.walk() if path_of(part.node) is not None}


@dataclass(frozen=True, slots=True)
class Unshown:
    """Stands for a value that is too large or too odd to be shown, and says why."""

    reason: str


class _Record:
    __slots__ = ("children", "dropped", "error", "node", "value")

    def __init__(self, node: ast.Node) -> None:
        self.node = node
        self.value: object = None
        self.error: CelError | None = None
        self.children: list[_Record] = []
        self.dropped = 0


class _Recorder:
    """Observes the steps of one evaluation and files their outcomes under the step that called them."""

    def __init__(self) -> None:
        self.stack: list[_Record] = []
        self.kept = 0
        self.root: _Record | None = None

    def __call__(self, node: ast.Node, run: Run, owner: ast.Node | None) -> Run:
        def observed(context: Context) -> object:
            record = _Record(node)
            self.file(record, owner)
            self.stack.append(record)
            try:
                record.value = run(context)
            except CelError as error:
                record.error = error
                raise
            finally:
                self.stack.pop()
            return record.value

        return observed

    def file(self, record: _Record, owner: ast.Node | None) -> None:
        if not self.stack:
            self.root = record
            return
        parent = self.stack[-1]
        if owner is not None:
            parent = next((open_ for open_ in reversed(self.stack) if open_.node is owner), parent)
        self.kept += 1
        if self.kept > _KEPT:
            parent.dropped += 1
        else:
            parent.children.append(record)


def trace(source: str, tree: ast.Node, environment: Environment, bindings: Mapping[str, object]) -> Trace:
    """Evaluate ``tree`` and report every sub-expression; errors are part of the report."""
    recorder = _Recorder()
    builder = Builder(environment, recorder)
    run = builder.build(tree, {})
    context = Context(bindings, builder.slots, environment.limits)
    failure: CelError | None = None
    value: object = None
    try:
        value = run(context)
    except CelError as error:
        failure = error
    except CelException:
        raise
    except Exception as error:
        failure = CelError(f"evaluation failed: {type(error).__name__}")
    report = _Reporter(source)
    root = recorder.root or _Record(tree)
    if failure is None:
        try:
            root.value = export(value, context)
        except CelError as error:
            failure = error
    root.error = failure
    return report.done(root)


class _Reporter:
    def __init__(self, source: str) -> None:
        self.source = source

    def done(self, record: _Record) -> Trace:
        """The outcome of an evaluated node; the parts that no record speaks of were not evaluated."""
        node = record.node
        children: list[Trace] = []
        if path_of(node) is None:
            children = [self.done(child) for child in record.children]
            seen = {id(child.node) for child in record.children}
            if not record.dropped:
                children += [self.skipped(part) for part in _parts(node) if id(part) not in seen]
            children.sort(key=lambda child: child.start)
        error = record.error
        value = _shown(record.value) if error is None else None
        return Trace(
            self.source[node.start : node.end], node.start, node.end, node,
            "value" if error is None else "error", value, error,
            tuple(children), record.dropped,
        )  # fmt: skip

    def skipped(self, node: ast.Node) -> Trace:
        """A node that was not evaluated, with all below it."""
        children = () if path_of(node) is not None else tuple(self.skipped(part) for part in _parts(node))
        return Trace(
            self.source[node.start : node.end], node.start, node.end, node, "skipped", None, None, children
        )


def _shown(value: object) -> object:
    try:
        return export(value, Context({}, 0, _SHOWN))
    except CelError as error:
        return Unshown(error.message)


def _parts(node: ast.Node) -> list[ast.Node]:
    """The direct parts that a reader would want to see: no constants, the entries of maps opened."""
    parts: list[ast.Node] = []
    for child in ast.children(node):
        if isinstance(child, ast.Entry):
            parts += _parts(child)
        elif not isinstance(child, ast.Literal):
            parts.append(child)
    return parts
