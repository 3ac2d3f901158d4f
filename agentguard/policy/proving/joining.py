"""What a set decides, symbolically: the rules joined in one pass and, after constraints, in two.

The register of exceptions and grants is empty, no counter is exhausted; other decision points say nothing, or
permit where that is configured.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass

from agentguard.decision import Effect
from agentguard.policy.default import Default
from agentguard.policy.proving.consulted import Consulted, Permitting
from agentguard.policy.proving.inputs import Inputs
from agentguard.policy.proving.solver import Truth, both, choose, either, free, negated
from agentguard.policy.proving.translating import Translator
from agentguard.policy.proving.worlds import World
from agentguard.policy.proving.writing import Writer, changing, constructs_of, refusing, written_by
from agentguard.policy.rules import Rule

__all__ = ["Decided", "Fired", "Joiner", "Met", "signature"]


@dataclass(frozen=True, slots=True)
class Decided:
    """What becomes of a request: exactly one of them holds."""

    runs: Truth
    asks: Truth
    denied: Truth


@dataclass(frozen=True, slots=True)
class Met:
    """Constructs of a rule that are outside the model."""

    rule: str
    at: str | None
    constructs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Fired:
    """A rule in one pass: when its condition is true, when it joins the decision, and what it then does."""

    rule: Rule
    true: Truth
    writes: Truth
    permits: Truth
    denies: Truth
    asks: Truth


@dataclass(slots=True)
class _Pass:
    denied: Truth
    asks: Truth
    writing: Truth
    fired: list[Fired]


def signature(rule: Rule) -> Hashable:
    """Everything of a rule that the model of its decision reads."""
    reserve = rule.reserve
    taken = None
    if reserve is not None:
        amount = reserve.amount if isinstance(reserve.amount, int) else reserve.amount.source
        taken = (tuple(part.source for part in reserve.per), amount)
    sets = tuple((one.path, one.program.source if one.program else repr(one.constant)) for one in rule.sets)
    times = (rule.observe_until, rule.converts_on, rule.converted.effect if rule.converted else None)
    return (rule.text, rule.effect, rule.grants, times, sets, taken)


class Joiner:
    """Joins the rules of sets about one tool; rules that two sets share are translated once."""

    def __init__(self, inputs: Inputs, engines: Iterable[Consulted] = ()) -> None:
        self.inputs = inputs
        engines = tuple(engines)
        self.others = Permitting.of(engines, inputs)
        self.plain = Translator(inputs, World())
        self.met = {
            f"engine/{one.name}": Met(f"engine/{one.name}", None, (one.construct,)) for one in engines
        }
        self._fired: dict[tuple[Hashable, Hashable], Fired] = {}
        self._worlds: dict[Hashable, Translator] = {}

    def decided(self, rules: Iterable[Rule], default: Default) -> Decided:
        """What a set decides."""
        listed = list(rules)
        first = self._pass(listed, default, self.plain)
        denied, asks = first.denied, first.asks
        if any(rule.sets for rule in listed):
            writers = self._writers(first, self.plain)
            refused = refusing(writers, self.plain)
            again = both(first.writing, negated(first.denied), negated(refused))
            second = self._second(listed, default, first)
            denied = either(denied, refused, both(again, second.denied))
            asks = either(asks, both(again, second.asks))
            self._meet_writes(listed)
        return Decided(both(negated(denied), negated(asks)), both(negated(denied), asks), denied)

    def _second(self, rules: list[Rule], default: Default, first: _Pass) -> _Pass:
        """The pass over what the constraints wrote; sets with the same constraints write the same."""
        writing = [one for one in first.fired if one.rule.sets]
        name = frozenset(signature(one.rule) for one in writing)
        translator = self._worlds.get(name)
        if translator is None:
            world = self._world(name, self._writers(first, self.plain, ordered=True))
            translator = self._worlds[name] = Translator(self.inputs, world)
        found = self._pass(rules, default, translator)
        found.denied = either(found.denied, changing(self._writers(found, translator), translator))
        return found

    def _writers(self, found: _Pass, translator: Translator, *, ordered: bool = False) -> list[Writer]:
        """What the constraints of a pass want; in an order that two sets with the same ones share."""
        fired = [one for one in found.fired if one.rule.sets]
        if ordered:
            fired.sort(key=lambda one: repr(signature(one.rule)))
        listed: list[Writer] = []
        for one in fired:
            translator.met = {}
            listed.append(written_by(one.rule, one.writes, translator))
            self._meet(one.rule, tuple(translator.met))
        return listed

    def _world(self, name: Hashable, writers: Sequence[Writer]) -> World:
        world = World(("written", name))
        for writer in writers:
            for one in writer.written:
                others = world.written.setdefault(("args", *one.assignment.steps), [])
                guard = both(writer.writes, negated(either(*[other for other, _ in others])))
                others.append((guard, one.value))
        return world

    def _meet_writes(self, rules: Iterable[Rule]) -> None:
        """Note what of the assignments was left to unknowns."""
        met = set(self.inputs.possible.constructs.values())
        for rule in rules:
            named = [text for one in rule.sets for text in constructs_of(one)]
            self._meet(rule, tuple(text for text in named if text in met))

    def _meet(self, rule: Rule, constructs: tuple[str, ...]) -> None:
        """Note the constructs of a rule that are outside the model."""
        if constructs:
            before = self.met[rule.name].constructs if rule.name in self.met else ()
            self.met[rule.name] = Met(rule.name, rule.at, tuple(dict.fromkeys([*before, *constructs])))

    # One pass

    def _pass(self, rules: list[Rule], default: Default, translator: Translator) -> _Pass:
        fired = [self.fired(rule, translator) for rule in rules]
        others = self.others
        asks = either(*[one.asks for one in fired], others.asks)
        granted = either(*[one.permits for one in fired], asks, others.allows)
        denied = either(*[one.denies for one in fired], both(negated(granted), self._default(default)))
        writing = either(*[one.writes for one in fired if one.rule.sets])
        return _Pass(denied, asks, writing, fired)

    def _default(self, default: Default) -> Truth:
        """Whether the default denies."""
        if default.effect is Effect.DENY or default.until is None:
            return True
        return negated(self.inputs.before(default.until))

    def fired(self, rule: Rule, translator: Translator) -> Fired:
        """One rule in one world."""
        key = (signature(rule), translator.world.name)
        found = self._fired.get(key)
        if found is None:
            verdict, constructs = translator.condition(rule.condition)
            self._meet(rule, constructs)
            found = self._fired[key] = self._firing(rule, verdict.true, verdict.error, translator)
        return found

    def _firing(self, rule: Rule, true: Truth, error: Truth, translator: Translator) -> Fired:
        converted: Truth = False
        later = rule.effect
        if rule.converts_on is not None:
            converted = negated(self.inputs.before(rule.converts_on))
            later = rule.converted.effect if rule.converted is not None else rule.effect
        permitting = both(rule.grants, negated(converted))
        joins = either(true, both(error, negated(permitting)))
        if rule.observe_until is not None:
            joins = both(joins, negated(self.inputs.before(rule.observe_until)))
        denies = both(joins, choose(converted, later is Effect.DENY, rule.effect is Effect.DENY))
        asks = both(joins, choose(converted, later is Effect.STEP_UP, rule.effect is Effect.STEP_UP))
        taken = self._taken(rule, translator)
        # A counter that cannot be named or taken from: an allow rule does not apply, any other denies.
        permits = both(joins, permitting, taken)
        fails = both(joins, negated(permitting), negated(taken), negated(denies))
        constrains = choose(converted, later is Effect.CONSTRAIN, rule.effect is Effect.CONSTRAIN)
        writes = both(joins, constrains, taken) if rule.sets else False
        return Fired(rule, true, writes, permits, either(denies, fails), both(asks, taken))

    def _taken(self, rule: Rule, translator: Translator) -> Truth:
        """Whether what `reserve` says can be computed."""
        plan = rule.reserve
        if plan is None:
            return True
        good: list[Truth] = []
        for part in plan.per:
            value = translator.value(part.ast)
            unknown = [both(one.guard, free(f"{one.payload!r} is a key")) for one in value.of("any")]
            good.append(either(value.guard("string", "int", "uint"), *unknown))
        if not isinstance(plan.amount, int):
            value = translator.value(plan.amount.ast)
            numbers = [
                both(one.guard, one.payload >= 0, one.payload <= 2**53)
                for one in value.of("int", "uint", "double")
            ]
            unknown = [both(one.guard, free(f"{one.payload!r} is an amount")) for one in value.of("any")]
            good.append(either(*numbers, *unknown))
        return both(*good)
