"""A compiled condition: evaluate it, trace it, ask what it reads."""

from __future__ import annotations

from collections.abc import Mapping

from . import ast
from .access import Run
from .adapt import export
from .closures import Builder
from .context import Context
from .environment import UNDECLARED, Environment
from .errors import CelError, CelException, CelSyntaxError
from .facts import CalledWith, Facts, facts
from .parser import parse
from .resolver import resolve
from .trace import Trace, trace


class Program:
    """One compiled source, immutable and safe to share between threads.

    Attributes
    ----------
    source, ast:
        The text and its syntax tree; offsets of nodes index the text.
    environment:
        What it was compiled under.

    """

    __slots__ = ("_facts", "_steps", "ast", "environment", "source")

    def __init__(self, source: str, tree: ast.Node, environment: Environment) -> None:
        self.source = source
        self.ast = tree
        self.environment = environment
        # Both are made when first wanted; two threads may make the same one, and either is kept.
        self._facts: Facts | None = None
        self._steps: tuple[Run, int] | None = None

    def __repr__(self) -> str:
        return f"Program({self.source!r})"

    @property
    def facts(self) -> Facts:
        """What it reads, in one object."""
        if self._facts is None:
            self._facts = facts(self.ast)
        return self._facts

    @property
    def names(self) -> frozenset[str]:
        """The free top-level names it reads."""
        return self.facts.names

    @property
    def paths(self) -> frozenset[str]:
        """The free paths it reads, such as ``args.amount``; ``args["amount"]`` is the same path."""
        return self.facts.paths

    @property
    def calls(self) -> frozenset[CalledWith]:
        """The functions it calls, each with its arguments: the text of a constant string, else ``None``."""
        return self.facts.calls

    @property
    def cost(self) -> int:
        """An estimate of the nodes that one evaluation visits; lists of unknown length count 100 elements."""
        return self.facts.cost

    def _compiled(self) -> tuple[Run, int]:
        builder = Builder(self.environment)
        self._steps = builder.build(self.ast, {}), builder.slots
        return self._steps

    def evaluate(self, bindings: Mapping[str, object]) -> object:
        """The value under ``bindings``; raises ``CelError`` or ``Unsupported``, and nothing else."""
        try:
            run, slots = self._steps or self._compiled()
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
        tree = resolve(parse(source, environment.limits), source, environment)
        return Program(source, tree, environment)
    except RecursionError:
        raise CelSyntaxError("condition too deep for the stack that is left", source, 0) from None
