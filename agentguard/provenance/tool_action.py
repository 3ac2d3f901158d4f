"""What a tool mainly does, by the verbs of its name and of the beginning of its description."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from agentguard.provenance.tool_names import TEXT_LIMIT, base_forms, name_words, text_words
from agentguard.provenance.tool_phrases import describes, messages
from agentguard.provenance.tool_things import names_a_thing
from agentguard.provenance.tool_words import COMPUTE, ToolWords
from agentguard.tools import Action

__all__ = ["DANGER", "UNKNOWN", "Told", "told_by"]

DANGER: Final[tuple[Action, ...]] = (
    "execute", "delete", "pay", "credential", "grant", "send", "book", "update", "create", "fetch", "read",
)  # fmt: skip
"""Actions, the most dangerous first."""

_GRAVE: Final = frozenset({"execute", "delete", "pay", "send"})
"""What a description may add to a name that only reads."""
_OBJECTS: Final = frozenset(
    {"a", "an", "the", "to", "your", "one", "all", "someone", "somebody", "something", "any"}
)
_LOOKED_AT: Final = 14
_ARTICLES: Final = frozenset({"a", "an", "the"})


@dataclass(frozen=True, slots=True)
class Told:
    """An action, and the words that told it. `known` is false where none did.

    `computes` says that the tool only works out something from its arguments, `soft` that it may as well be
    named and described as a thing that it returns.
    """

    action: Action
    why: str
    known: bool = True
    computes: bool = False
    soft: bool = False
    verb: str = ""


UNKNOWN: Final = Told("update", "no known verb", known=False)


def told_by(name: str, description: str, words: ToolWords) -> Told:
    """The action; what cannot be told is an `update`. Of two verbs that are joined the more dangerous counts,
    and so does a description that says something grave of a tool that is named as if it only read."""
    tokens = name_words(name)
    named = _of_name(tokens, words)
    thing = names_a_thing(tokens, _said(description), words)
    thing = thing and not (named is None and _of_deeds(tokens, words))
    described = None if thing else _of_text(text_words(_said(description)), words)
    if (thing and (named is None or _only_things(tokens, words))) or _opens(
        named, tokens, description, words
    ):
        return replace(named or UNKNOWN, soft=True)
    if named is None:
        return described if described is not None else UNKNOWN
    if described is not None and described.action == "read" and named.verb == "open":
        return described  # to open is to look at, or to begin: what comes back tells which
    plain = named.verb == "" and not named.computes and named.action == "read"
    if plain and described is not None and described.action not in ("read", "fetch"):
        return described  # a name that only describes things; what is done with them is said
    grave = (
        described is not None and described.action in _GRAVE and not _noun_first(_said(description), words)
    )
    if described is not None and named.action == "read" and grave:
        return Told(described.action, f"{described.why}, although {named.why}")
    return named


def _only_things(tokens: tuple[str, ...], words: ToolWords) -> bool:
    """Whether every verb of a name may be a thing, and none begins it: `class_register`."""
    verbs = [token for token in tokens if token in words.classes]
    return all(token in words.nouns_too for token in verbs) and tokens[0] not in words.classes


def _of_deeds(tokens: tuple[str, ...], words: ToolWords) -> bool:
    """Whether a word of a name is the plural of a deed: `refunds`, `deploys`, `submits`."""
    forms = {form for one in tokens for form in base_forms(one) if form in words.classes}
    return any(
        words.classes[form] in ("pay", "execute", "delete")
        or (words.classes[form] == "send" and form not in words.nouns_too)
        for form in forms
    )


def _opens(named: Told | None, tokens: tuple[str, ...], description: str, words: ToolWords) -> bool:
    """Whether something that exists is opened, to be looked at."""
    if named is None or named.verb != "open":
        return False
    said = text_words(_said(description))
    return not words.opened.isdisjoint(tokens) and words.begun.isdisjoint((*tokens, *said))


def _noun_first(description: str, words: ToolWords) -> bool:
    """Whether a description begins with a verb that is a noun here: `Purchase order with its lines`."""
    said = text_words(description)[:2]
    verb = said and any(form in words.nouns_too for form in base_forms(said[0]))
    return bool(verb) and len(said) > 1 and said[1] not in _OBJECTS


def _told(word: str, kind: str, where: str) -> Told:
    if kind == COMPUTE:
        return Told("read", f"`{word}` in the {where}", computes=True)
    action: Action = kind  # type: ignore[assignment]  # validated with the lists
    return Told(action, f"`{word}` in the {where}", verb=word)


def _of_name(tokens: tuple[str, ...], words: ToolWords) -> Told | None:
    classes = words.classes
    state = describes(tokens, words)
    if state is not None:
        return Told("read", f"`{state}` before `{tokens[-1]}` in the name")
    verbs = [(place, token) for place, token in enumerate(tokens) if token in classes]
    if not verbs:
        return None
    chosen = _chosen(verbs, words)
    message = messages(tokens, chosen, words)
    if message is not None:
        return Told("send", f"`{chosen}` with `{message}` in the name")
    found = _told(chosen, classes[chosen], "name")
    for other in _rivals(tokens, verbs, chosen, words):
        rival = _told(other, classes[other], "name")
        if DANGER.index(rival.action) < DANGER.index(found.action):
            found = Told(rival.action, f"{rival.why}, beside `{chosen}`")
    return found


def _chosen(verbs: list[tuple[int, str]], words: ToolWords) -> str:
    """The verb among the verbs. What may be a thing is one at the beginning, unless a verb that only reads
    comes right after it (`message_search`), or where there is nothing else."""
    plain = [(place, token) for place, token in verbs if token not in words.nouns_too]
    first, token = verbs[0]
    if first != 0 or token not in words.nouns_too or not plain:
        return (plain or verbs)[0][1]
    place, verb = plain[0]
    return verb if place == 1 and words.classes[verb] in ("read", "update") else token


def _rivals(
    tokens: tuple[str, ...], verbs: list[tuple[int, str]], chosen: str, words: ToolWords
) -> list[str]:
    """Other verbs that say what the tool does as well: after `and`, or at the end of `list_delete`, where the
    first one may be a thing."""
    joined = [token for place, token in verbs if place and tokens[place - 1] in words.joints]
    last = tokens[-1]
    thing = chosen in words.nouns_too or chosen in {"list", "search", "set"}
    if thing and last in words.classes and last not in words.nouns_too:
        joined.append(last)
    return joined


def _said(description: str) -> str:
    """What follows `description:`, where the text has such a label."""
    text = description[:TEXT_LIMIT]
    place = text.lower().find("description:")
    return text if place < 0 else text[place + len("description:") :]


def _of_text(tokens: tuple[str, ...], words: ToolWords) -> Told | None:
    """The first verb of a description, past words such as `this tool allows you to`."""
    classes = words.classes
    if tokens[:1] and tokens[0] in _ARTICLES:
        return None  # it names a thing: what looks like a verb in it is a noun
    for token in tokens[:_LOOKED_AT]:
        if token in words.reads_in_texts:
            return Told("read", f"`{token}` in the description")
        known = next((form for form in base_forms(token) if form in classes), None)
        if token in words.fillers and not (token == tokens[0] and known is not None):
            continue
        if known is not None:
            return _told(known, classes[known], "description")
        return None
    return None
