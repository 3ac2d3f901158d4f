"""Whether a condition can ever be true, and whether one follows from another: what is certain of both.

"Cannot" and "follows" are proofs; the opposite answers say nothing. Values are tried on the real evaluator.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, Final

from agentguard.policy.atoms import All, Atom, Form, atoms_of, kinds_wanted, value_at
from agentguard.policy.presence import Path

__all__ = ["Clash", "clash", "follows", "impossible", "values_of", "ways"]

_MOST_WAYS: Final = 128
_MOST_ATOMS: Final = 48

Clash = tuple[Atom, Atom | None]
"""Two parts that exclude each other, or one that cannot be."""


def clash(form: Form) -> Clash | None:
    """Why a form cannot be met, by an example; None where it perhaps can."""
    found: Clash | None = None
    listed = ways(form)
    if listed is None:
        return None
    for way in listed:
        found = _clash(way)
        if found is None:
            return None
    return found


def impossible(form: Form) -> bool:
    """Whether a form cannot be met at all."""
    listed = ways(form)
    return listed is not None and all(_clash(way) is not None for way in listed)


def ways(form: Form) -> list[tuple[Atom, ...]] | None:
    """The alternatives, each a list of atoms that have to be met together; None where they are too many."""
    if isinstance(form, Atom):
        return [(form,)]
    if not isinstance(form, All):
        listed = [ways(part) for part in form.parts]
        if any(one is None for one in listed):
            return None
        flat = [way for one in listed for way in one or ()]
        return flat if len(flat) <= _MOST_WAYS else None
    found: list[tuple[Atom, ...]] = [()]
    for part in form.parts:
        more = ways(part)
        if more is None or len(found) * len(more) > _MOST_WAYS:
            return None
        found = [(*one, *other) for one in found for other in more]
    return found


def _clash(way: Sequence[Atom]) -> Clash | None:
    """Why these atoms cannot all be met at once."""
    seen: dict[Any, Atom] = {}
    for atom in way:
        other = seen.setdefault(atom.key, atom)
        if other.wanted is not atom.wanted:
            return other, atom
    return _absent(way) or _valued(way)


def _absent(way: Sequence[Atom]) -> Clash | None:
    """A path that is read and must not be there."""
    for gone in way:
        if gone.says is None or gone.says.relation != "has" or gone.wanted:
            continue
        path = gone.says.path
        for atom in way:
            says = atom.says
            if says is None or says.path[: len(path)] != path:
                continue
            # Presence further in is an error where the way there is not.
            if says.strict or len(says.path) > len(path) or atom.wanted:
                return gone, atom
    return None


def _valued(way: Sequence[Atom]) -> Clash | None:
    groups: dict[Path, list[Atom]] = defaultdict(list)
    for atom in way:
        if atom.says is not None and atom.says.strict:
            groups[atom.says.path].append(atom)
    for atoms in groups.values():
        found = _one_value(atoms)
        if found is not None:
            return found
    return None


def _one_value(atoms: Sequence[Atom]) -> Clash | None:
    """Why no value has all that is wanted of it."""
    for atom in atoms:
        candidates = values_of(atom)
        if candidates is None:
            continue
        if not candidates:
            return atom, None
        others = [other for other in atoms if other is not atom]
        if any(all(value_at(one, value) is one.wanted for one in others) for value in candidates):
            return None
        for other in others:
            if not any(value_at(other, value) is other.wanted for value in candidates):
                return atom, other
        return atom, others[0]
    return _kinds(atoms) or _between(atoms)


def values_of(atom: Atom) -> list[Any] | None:
    """All values that meet an atom, numbers in each of their types; None where they are not a few."""
    says = atom.says
    if says is None or says.relation not in ("is", "in") or not atom.wanted:
        return None
    found: list[Any] = []
    for constant in says.constants:
        found.append(constant)
        if type(constant) is int and float(constant) == constant:
            found.append(float(constant))
        elif type(constant) is float and constant.is_integer() and abs(constant) < 2.0**63:
            found.append(int(constant))
        if type(constant) in (int, float) and constant == 0:
            found += [0.0, -0.0]
    return found


def _kinds(atoms: Sequence[Atom]) -> Clash | None:
    first: Atom | None = None
    left: frozenset[Any] | None = None
    for atom in atoms:
        kinds = kinds_wanted(atom)
        if kinds is None:
            continue
        if left is not None and first is not None and not left & kinds:
            return first, atom
        left, first = (kinds if left is None else left & kinds), first or atom
    return None


def _between(atoms: Sequence[Atom]) -> Clash | None:
    """Bounds that leave nothing between them."""
    listed = [(bound, atom) for atom in atoms if (bound := _bound(atom)) is not None]
    # A number that is none (NaN) is not above and not below: it may be what `!(x > 5)` means.
    if not any(atom.wanted for _, atom in listed):
        return None
    for (up, low, open_low), one in listed:
        if up:
            continue
        for (up_too, high, open_high), other in listed:
            if up_too and _nothing(low, high, open_low or open_high):
                return one, other
    return None


def _nothing(low: Any, high: Any, open_: bool) -> bool:
    try:
        return bool(low > high or (open_ and low == high))
    except TypeError:
        return False


def _bound(atom: Atom) -> tuple[bool, Any, bool] | None:
    """What an ordering says, wanted or not: does it bound from above, the bound, is that left out."""
    says = atom.says
    if says is None or says.relation not in ("<", "<=", ">", ">="):
        return None
    above = says.relation in ("<", "<=")
    outside = says.relation in ("<", ">")
    return (above, says.constants[0], outside) if atom.wanted else (not above, says.constants[0], not outside)


def follows(given: Form, then: Form) -> bool:
    """Whether `then` is met wherever `given` is; exactly, with no error in either."""
    if sum(1 for form in (given, then) for _ in atoms_of(form)) > _MOST_ATOMS:
        return False
    return _follows(given, then)


def _follows(given: Form, then: Form) -> bool:
    if isinstance(then, All):
        return all(_follows(given, part) for part in then.parts)
    if not isinstance(given, (All, Atom)):
        return all(_follows(part, then) for part in given.parts)
    if isinstance(given, All) and any(_follows(part, then) for part in given.parts):
        return True
    if not isinstance(then, Atom):
        return any(_follows(given, part) for part in then.parts)
    return isinstance(given, Atom) and _atom_follows(given, then)


def _atom_follows(given: Atom, then: Atom) -> bool:
    if given.key == then.key:
        return given.wanted is then.wanted
    mine, other = given.says, then.says
    if mine is None or other is None:
        return False
    if other.relation == "has":
        # Whoever reads a path has found all that leads there.
        inside = mine.path[: len(other.path)] == other.path
        return then.wanted and inside and (mine.strict or given.wanted)
    if mine.path != other.path or not mine.strict:
        return False
    candidates = values_of(given)
    if candidates is not None:
        return all(value_at(then, value) is then.wanted for value in candidates)
    if mine.relation in ("is", "in") and other.relation in ("is", "in") and not then.wanted:
        return all(_among(one, mine.constants) for one in other.constants)
    return _narrower(given, then)


def _among(value: object, constants: Iterable[object]) -> bool:
    return any(type(one) is type(value) and one == value for one in constants)


def _narrower(given: Atom, then: Atom) -> bool:
    """Whether one interval lies in the other."""
    mine, other = _bound(given), _bound(then)
    if mine is None or other is None or mine[0] is not other[0]:
        return False
    if kinds_wanted(given) != kinds_wanted(then):
        return False
    if then.wanted and not given.wanted:
        return False  # a number that is none is not above, and not below either
    (above, bound, open_), (_, wider, left_out) = mine, other
    inside = bound < wider if above else bound > wider
    return bool(inside or (bound == wider and (open_ or not left_out)))
