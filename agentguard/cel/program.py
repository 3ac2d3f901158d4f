"""A compiled condition: evaluate it, trace it, ask what it reads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from . import ast
from .access import Run
from .adapt import export
from .closures import Builder
from .context import Context
from .environment import UNDECLARED, Environment
from .errors import CelError, CelException, CelSyntaxError
from .facts import CalledWith, Facts, cost_of, facts
from .forms import Form, find, learn
from .parser import parse
from .resolver import resolve
from .template import Template
from .trace import Trace, trace
from .values import UNDECIDED

if TYPE_CHECKING:
    from .compiler import Compiled


class Program:
    """One compiled source, immutable and safe to share between threads.

    Attributes
    ----------
    source:
        The text.
    environment:
        What it was compiled under.
    form, values:
        What it has in common with sources that differ only in constants, if that is known, and its own.
    compiled:
        The compiled function, once there is one. It is called with the bindings and the ``constants`` and
        returns what ``evaluate`` returns, or it raises anything or returns ``UNDECIDED``: then ``interpret``
        has to answer.

    """

    __slots__ = (
        "_ast", "_evaluated", "_facts", "_steps", "compiled", "constants", "environment", "form", "source",
        "values",
    )  # fmt: skip

    def __init__(
        self,
        source: str,
        environment: Environment,
        tree: ast.Node | None = None,
        form: Form | None = None,
        values: tuple[object, ...] = (),
    ) -> None:
        self.source = source
        self.environment = environment
        self.form = form
        self.values = values
        # These are made when first wanted; two threads may make the same one, and either is kept.
        self._ast = tree
        self._facts: Facts | None = None
        self._steps: tuple[Run, int] | None = None
        self._evaluated = 0
        self.constants: tuple[object, ...] = ()
        self.compiled: Compiled | None = None

    def __repr__(self) -> str:
        return f"Program({self.source!r})"

    @property
    def ast(self) -> ast.Node:
        """The syntax tree; offsets of nodes index the source."""
        if self._ast is None:
            self._ast = resolve(parse(self.source, self.environment.limits), self.source, self.environment)
        return self._ast

    @property
    def facts(self) -> Facts:
        """What it reads, in one object."""
        if self._facts is None:
            self._facts = facts(self.ast)
        return self._facts

    @property
    def names(self) -> frozenset[str]:
        """The free top-level names it reads."""
        return (self.form or self.facts).names

    @property
    def paths(self) -> frozenset[str]:
        """The free paths it reads, such as ``args.amount``; ``args["amount"]`` is the same path."""
        return (self.form or self.facts).paths

    @property
    def functions(self) -> frozenset[str]:
        """The names of the functions it calls."""
        return (self.form or self.facts).functions

    @property
    def calls(self) -> frozenset[CalledWith]:
        """The functions it calls, each with its arguments: the text of a constant string, else ``None``."""
        return self.facts.calls

    @property
    def cost(self) -> int:
        """An estimate of the nodes that one evaluation visits; lists of unknown length count 100 elements."""
        return cost_of(self.ast)

    def template(self) -> tuple[Template, tuple[object, ...]]:
        """The shape of its compiled code, and the constants for it."""
        if self.form is not None:
            return self.form.template, self.form.template.filled(self.values)
        found = Template(self.ast)
        return found, tuple(found.constants)

    def _built(self) -> tuple[Run, int]:
        builder = Builder(self.environment)
        self._steps = builder.build(self.ast, {}), builder.slots
        return self._steps

    def _prepare(self) -> None:
        """Compile, when it pays: a new shape takes about a millisecond, so only from its second time on."""
        if self._evaluated >= 2:
            return
        self._evaluated += 1
        try:
            from .compiler import compiled  # what is never evaluated needs no compiler

            template, constants = self.template()
            made = compiled(template, self.environment, only_known=self._first())
        except (RecursionError, MemoryError):
            # Too little stack is left to the caller: the interpreter says what that means.
            return
        if made is not None:
            # Two threads may make one; what is there never goes away again. The function comes last.
            self.constants = constants
            self.compiled = made

    def _first(self) -> bool:
        """Whether this is the first evaluation, of any source of the form."""
        if self.form is None:
            return self._evaluated == 1
        first, self.form.evaluated = not self.form.evaluated, True
        return first

    def evaluate(self, bindings: Mapping[str, object]) -> object:
        """The value under ``bindings``; raises ``CelError`` or ``Unsupported``, and nothing else.

        Functions of the host are taken to be pure: where the compiled code gives up they are called again.
        """
        if self.compiled is None:
            self._prepare()
        if self.compiled is not None:
            try:
                value = self.compiled(bindings, self.constants)
            except Exception:
                value = UNDECIDED
            if value is not UNDECIDED:
                return value
        return self.interpret(bindings)

    def interpret(self, bindings: Mapping[str, object]) -> object:
        """The value as the exact interpreter has it: what ``evaluate`` returns and raises, slower."""
        try:
            run, slots = self._steps or self._built()
            context = Context(bindings, slots, self.environment.limits)
            value = run(context)
            return value if value is True or value is False else export(value, context)
        except CelException:
            raise
        except RecursionError:
            raise CelError("evaluation too deep for the stack that is left") from None
        except Exception as error:
            raise CelError(f"evaluation failed: {type(error).__name__}") from error

    def trace(self, bindings: Mapping[str, object]) -> Trace:
        """The outcome of every sub-expression under ``bindings``; slower than ``evaluate``."""
        return trace(self.source, self.ast, self.environment, bindings)


def compile(source: str, *, environment: Environment | None = None) -> Program:
    """Compile one CEL expression.

    Without an ``environment`` nothing is declared: unknown names and functions are errors of the
    evaluation, as for an expression that is not type-checked. With one, they are refused here.

    Raises
    ------
    CelSyntaxError
        The source is not an expression, or names what the environment does not have.
    Unsupported
        The source uses a part of CEL that is left out.

    """
    environment = UNDECLARED if environment is None else environment
    try:
        known = find(source, environment)
        if known is not None:
            return Program(source, environment, None, *known)
        tree = resolve(parse(source, environment.limits), source, environment)
        learn(source, tree, environment)
        return Program(source, environment, tree)
    except RecursionError:
        raise CelSyntaxError("condition too deep for the stack that is left", source, 0) from None
