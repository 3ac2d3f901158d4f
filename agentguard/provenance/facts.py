"""The facts of a tool, inferred from how it is defined: name, description, JSON Schema and MCP hints.

All of it was written by whoever offers the tool, so this is a first reading for a person to correct, not a
promise. What cannot be told counts as the more dangerous, and nothing is inferred that would make a tool
`read_only`: that is the operator's word.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from agentguard.provenance.tool_action import Told, told_by
from agentguard.provenance.tool_hints import Hints
from agentguard.provenance.tool_names import TEXT_LIMIT, name_words, text_words
from agentguard.provenance.tool_phrases import opens_page
from agentguard.provenance.tool_roles import Argument, Judged, arguments_of, role_of, speaks
from agentguard.provenance.tool_words import ToolWords, tool_words
from agentguard.tools import Action, Role

__all__ = ["Inference", "infer", "inference"]

_MESSAGES: Final = frozenset({"message", "messages", "sms", "dm", "dms", "mail", "email", "emails", "mails"})
_DOORS: Final = frozenset({"access", "guest", "entry", "door", "gate", "lock", "visitor"})
_OPENERS: Final = frozenset({"code", "codes", "pin", "key", "keys", "pass", "passes", "keycard", "badge"})
_KEPT: Final = frozenset({"draft", "drafts", "template", "templates", "folder", "label", "filter", "rule"})
_READING: Final = frozenset({"read", "fetch"})
_TITLES: Final = frozenset({("title",), ("name",), ("subject",), ("topic",)})
_SET: Final = frozenset(
    {"value", "target", "status", "state", "mode", "position", "level", "version", "role"}
)
_PAGED: Final = frozenset(
    {"id", "ids", "page", "limit", "offset", "count", "number", "no", "size", "year", "week"}
)
_OUTWARD: Final = frozenset({"send", "pay", "book", "fetch", "grant"})


@dataclass(frozen=True, slots=True)
class Inference:
    """Inferred facts, why each is what it is, and whether a word told what the tool does.

    `why` is keyed by fact; reasons of roles are under `roles.NAME`.
    """

    facts: Mapping[str, Any]
    why: Mapping[str, str]
    known: bool


@dataclass(slots=True)
class _Reading:
    """What is gathered about one definition."""

    name: str
    text: str
    told: Told
    hints: Hints
    arguments: list[Argument]
    roles: dict[str, Judged] = field(default_factory=dict)
    topics: tuple[str, ...] = ()
    why: dict[str, str] = field(default_factory=dict)

    def has(self, *roles: Role) -> bool:
        return any(judged.role in roles for judged in self.roles.values())


def infer(definition: Mapping[str, Any], *, trusted: bool = False) -> Mapping[str, Any]:
    """Facts of a tool, as keys of `agentguard.ToolFacts`.

    `definition` has `name`, `description`, `parameters` (JSON Schema) and `annotations` (MCP hints); whatever
    is missing or of another type counts as not said. `trusted` says that the operator trusts the server's
    hints: only then may they make a tool less dangerous.
    """
    return inference(definition, trusted=trusted).facts


def inference(definition: Mapping[str, Any], *, trusted: bool = False) -> Inference:
    """The same with the reasons."""
    words = tool_words()
    read = _gathered(definition, words)
    complete = _judged(read, definition, words)
    if read.told.soft and not _takes(read) and not _sets(read, definition.get("parameters")):
        read.told = Told("read", "its name and its description are those of a thing")
    action = _corrected(read, words)
    if action not in (*_READING, "create", "send"):
        _acted_on(read, definition.get("parameters"))
    if action == "send":
        _sent(read)
    known = read.told.known and complete
    if not complete:
        read.why["uncertain"] = "its schema is too large or too deep to be read whole"
    facts = _facts(read, action, known, words)
    _claimed(facts, read, trusted)
    return Inference(facts=facts, why=read.why, known=known)


def _sets(read: _Reading, schema: object) -> bool:
    """Whether it cannot do without something that could be set: a number, a choice, a state."""
    required = schema.get("required") if isinstance(schema, Mapping) else None
    found = required[:50] if isinstance(required, (list, tuple)) else []
    wanted = {one for one in found if isinstance(one, str)}
    return any(
        one.path in wanted
        and (
            one.closed
            or bool(one.types & {"number", "boolean"})
            or not _SET.isdisjoint(name_words(one.name))
            or (one.types == {"integer"} and _PAGED.isdisjoint(name_words(one.name)))
        )
        for one in read.arguments
    )


def _acted_on(read: _Reading, schema: object) -> None:
    """What a tool acts on, where no name tells: the first text that it cannot do without."""
    if read.has("object", "path", "recipient", "destination", "command", "attachment"):
        return
    required = schema.get("required") if isinstance(schema, Mapping) else None
    wanted = [one for one in required if isinstance(one, str)] if isinstance(required, (list, tuple)) else []
    texts = {
        one.path for one in read.arguments if not one.closed and one.types <= {"string"} and one.format == ""
    }
    for path in wanted:
        titled = path in texts and read.roles[path].role == "content" and name_words(path)[-1:] in _TITLES
        if path in texts and (read.roles[path].role == "other" or titled):
            read.roles[path] = Judged("object", "the first text that it needs")
            read.why[f"roles.{path}"] = read.roles[path].why
            return


def _sent(read: _Reading) -> None:
    """What a name means in a tool that sends: a number is somebody's, and a script is spoken, no program."""
    reached = read.has("recipient", "destination")
    for path, one in read.roles.items():
        last = name_words(path.rpartition(".")[2])[-1:]
        if one.role == "command" and last == ("script",):
            read.roles[path] = Judged("content", "`script` of what is sent")
        elif one.role == "object" and last == ("number",) and not reached:
            read.roles[path] = Judged("recipient", "`number` of who is sent something")
        else:
            continue
        read.why[f"roles.{path}"] = read.roles[path].why


def _takes(read: _Reading) -> bool:
    """Whether it is given something to keep, send, spend or run, and so does more than return a thing."""
    given = any(
        one.role == "content" and name_words(path.rpartition(".")[2])[-1:] not in _TITLES
        for path, one in read.roles.items()
    )
    return given or read.has("amount", "permission", "credential", "command", "attachment")


def _gathered(definition: Mapping[str, Any], words: ToolWords) -> _Reading:
    name, text = definition.get("name"), definition.get("description")
    name = name if isinstance(name, str) else ""
    text = text[:TEXT_LIMIT] if isinstance(text, str) else ""
    told = told_by(name, text, words)
    return _Reading(name, text.lower(), told, Hints.of(definition.get("annotations")), [])


def _judged(read: _Reading, definition: Mapping[str, Any], words: ToolWords) -> bool:
    """Topics and roles; whether the whole schema was read."""
    read.topics = words.topics_of(name_words(read.name)) or words.topics_of(text_words(read.text)[:14])
    read.arguments, complete = arguments_of(definition.get("parameters"))
    about = frozenset(read.topics)
    runs = read.told.action == "execute" or speaks(read.text, words)
    for argument in read.arguments:
        judged = role_of(argument, words, topics=about, runs=runs)
        read.roles[argument.path] = judged
        read.why[f"roles.{argument.path}"] = judged.why
    return complete


def _corrected(read: _Reading, words: ToolWords) -> Action:
    """The action, where arguments say more than the verb."""
    action, why = read.told.action, read.told.why
    tokens = {*name_words(read.name)}
    paid = not (tokens | {*text_words(read.text)[:14]}).isdisjoint(words.money)
    switch = _switch(read, words)
    if _opens(read, words):
        action, why = "fetch", f"{why}; of {_named(read, 'destination')}"
    elif read.told.computes and read.has("path") and read.has("content"):
        action, why = "update", f"{why}; with content and {_named(read, 'path')} it may write"
    elif action in _READING and read.has("command") and not read.told.computes:
        action, why = "execute", f"{why}; it runs {_named(read, 'command')}"
    elif action in _READING and switch:
        action, why = "update", f"{why}; `{switch}` switches on an effect"
    elif action in ("create", "update", "send") and paid and read.has("amount"):
        action, why = "pay", f"{why}; about money, with {_named(read, 'amount')}"
    elif action == "create" and _writes_to_somebody(read, tokens):
        action, why = "send", f"{why}; a message, to {_named(read, 'recipient')}"
    elif action in ("create", "update") and read.has("credential") and _sets_secret(read, words):
        action, why = "credential", f"{why}; it sets {_named(read, 'credential')}"
    elif action in ("create", "update") and not tokens.isdisjoint(_DOORS) and not tokens.isdisjoint(_OPENERS):
        action, why = "grant", f"{why}; whoever has it gets in"
    elif action in ("create", "update") and not tokens.isdisjoint(
        {"public", "publicly", "anyone", "everyone"}
    ):
        action, why = "grant", f"{why}; it opens something to the public"
    elif action in ("create", "update") and _gives(read, words):
        action, why = "grant", f"{why}; it gives {_named(read, 'recipient', 'permission')} something"
    elif action == "read" and read.has("destination") and not read.told.computes:
        action, why = "fetch", f"{why}; from {_named(read, 'destination')}"
    read.why["action"] = why
    return action


def _writes_to_somebody(read: _Reading, tokens: set[str]) -> bool:
    """`add_message(channel, text)`, `messages.create(to, body)`: what is made goes out at once."""
    told = not _MESSAGES.isdisjoint(tokens) and _KEPT.isdisjoint(tokens)
    return told and read.has("recipient") and read.has("content")


def _opens(read: _Reading, words: ToolWords) -> bool:
    """A page is opened: by the name, or by an argument that names one; nothing is written to it."""
    targets = [name_words(path) for path, judged in read.roles.items() if judged.role == "destination"]
    paged = any(opens_page(target, read.told.verb, words) for target in targets)
    named = bool(targets) and opens_page(name_words(read.name), read.told.verb, words)
    return (paged or named) and not read.has("content", "command", "amount", "recipient", "permission")


def _named(read: _Reading, *roles: Role) -> str:
    found = [path for path, judged in read.roles.items() if judged.role in roles]
    return ", ".join(f"`{path}`" for path in found[:3])


def _switch(read: _Reading, words: ToolWords) -> str | None:
    for argument in read.arguments:
        if (
            argument.types == {"boolean"}
            and name_words(argument.name)[:1]
            and (name_words(argument.name)[0] in words.switches)
        ):
            return argument.path
    return None


def _sets_secret(read: _Reading, words: ToolWords) -> bool:
    """A name about a credential, or a registration with a password; a secret that is only shown to get in is
    not set."""
    tokens = {*name_words(read.name)}
    chosen = any(
        name_words(one.name)[-1:] in (("password",), ("passphrase",), ("pin",)) for one in read.arguments
    )
    registers = not tokens.isdisjoint({"register", "signup", "enroll", "create", "add"})
    return not tokens.isdisjoint(words.secrets) or (registers and chosen)


def _gives(read: _Reading, words: ToolWords) -> bool:
    """`add_user_to_channel(user)`: somebody becomes a member or gets a right."""
    tokens = name_words(read.name)
    joins = not {"add", "assign", "transfer", "join", "set", "update", "approve"}.isdisjoint(tokens)
    joined = not {"group", "groups", "role", "roles", "team", "org", "organization"}.isdisjoint(tokens)
    someone = (joined or not words.person.isdisjoint(tokens)) and read.has("recipient")
    adds = not {"add", "assign", "transfer"}.isdisjoint(tokens)
    return (adds and someone) or (joins and read.has("permission") and read.has("recipient"))


def _facts(read: _Reading, action: Action, known: bool, words: ToolWords) -> dict[str, Any]:
    tokens = {*name_words(read.name), *("_".join(pair) for pair in _pairs(name_words(read.name)))}
    reading = action in _READING
    executes = action == "execute" or read.has("command")
    final = not (tokens | {*text_words(read.text)[:14]}).isdisjoint(words.irreversible)
    facts: dict[str, Any] = {
        "action": action,
        "reads": reading or executes or not known,
        "writes": not reading or (action == "fetch" and read.has("path")),
        "destructive": action == "delete" or executes or not known or (final and not reading),
        "external": action in _OUTWARD or read.has("destination") or _outward(read, action, words),
        "executes": executes,
        "touches_secrets": action == "credential" or read.has("credential") or _secret(read, tokens, words),
        "topics": read.topics,
        "roles": {path: judged.role for path, judged in read.roles.items()},
        "sensitive": _sensitive(read, words),
    }
    if (reading or executes or not known) and not read.told.computes:
        facts["untrusted_output"] = True
    if not known:
        facts["uncertain"] = True
    return facts


def _outward(read: _Reading, action: Action, words: ToolWords) -> bool:
    """Whether somebody else gets something: an invitation, a share. Whoever logs in names only himself."""
    if action in _READING or action == "delete" or read.has("credential"):
        return False
    recipients = [path for path, judged in read.roles.items() if judged.role == "recipient"]
    return any(not words.outward.isdisjoint(_spoken(path)) for path in recipients)


def _spoken(path: str) -> frozenset[str]:
    """The words of an argument's name; `to` counts where it begins the name."""
    tokens = name_words(path.rpartition(".")[2])
    return frozenset(tokens) - (frozenset() if tokens[:1] == ("to",) else {"to"})


def _sensitive(read: _Reading, words: ToolWords) -> tuple[str, ...]:
    """Arguments that are masked, whole where a part of them has to be."""
    found = (
        path.partition(".")[0]
        for path, judged in read.roles.items()
        if judged.role == "credential" or "_".join(name_words(path.rpartition(".")[2])) in words.masked
    )
    return tuple(dict.fromkeys(found))


def _pairs(tokens: tuple[str, ...]) -> list[tuple[str, str]]:
    return list(itertools.pairwise(tokens))


def _secret(read: _Reading, tokens: set[str], words: ToolWords) -> bool:
    found = tokens & words.secrets
    if "trade" in read.topics:
        found -= {"token", "tokens", "vault"}
    return bool(found)


def _claimed(facts: dict[str, Any], read: _Reading, trusted: bool) -> None:
    """What the server claims: more danger always counts, less only from a trusted server."""
    hints, why = read.hints, read.why
    if (hints.read_only is False or hints.destructive is True) and facts["action"] in _READING:
        facts["action"], facts["writes"] = "update", True
        why["action"] = f"{why['action']}; the server claims that it writes"
    if hints.destructive is True:
        facts["destructive"] = True
        why["destructive"] = "the server claims so"
    if hints.open_world is True:
        facts["external"] = True
        why["external"] = "the server claims so"
    if not trusted:
        return
    if hints.read_only is True and hints.destructive is not True:
        action = facts["action"] if facts["action"] in _READING else "read"
        facts.update(action=action, reads=True, writes=False, destructive=False)
        facts.pop("uncertain", None)
        why["action"] = "the server, which is trusted, says that it only reads"
    if hints.destructive is False and not facts["executes"]:
        facts["destructive"] = False
    if hints.open_world is False:
        facts["external"] = False
    if hints.idempotent is True:
        facts["idempotent"] = True
