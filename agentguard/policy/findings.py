"""What is wrong with a policy file: one finding for one problem, with the place and what to do.

`EXPLANATIONS` holds a paragraph for every code. AG0xx are about files and YAML, AG1xx about the shape of a
document, AG2xx about what a rule means.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, Literal

__all__ = ["EXPLANATIONS", "Finding", "Severity", "closest", "suggestion"]

Severity = Literal["error", "warning"]

EXPLANATIONS: Final[dict[str, str]] = {
    "AG001": "The path does not exist. A policy path is always a file or a folder and never policy text, "
    "so a mistyped path is an error and not an empty policy.",
    "AG002": "The file cannot be used: it is not a regular file, cannot be read, or is a symbolic link "
    "that leads out of the folder that was named. Name the real folder, or copy the file into it.",
    "AG003": "The file holds bytes or characters that a person cannot see or that break lines differently "
    "in different programs: invalid UTF-8, control characters, bidirectional overrides. What a "
    "reviewer reads would not be what is enforced. Remove them, or write them as an escape in a "
    "double-quoted string.",
    "AG004": "The file is not YAML: the parser stopped at this place. Look at indentation, quotes and "
    "brackets on this line and the one before; a condition that begins with `!`, `{`, `[`, `*`, "
    '`&` or `"` needs quotes.',
    "AG005": "The same key stands twice in one mapping. Most YAML parsers keep the last one without a "
    "word; here it is an error, because one of the two was meant and nobody can tell which.",
    "AG006": "Anchors, aliases, tags, merge keys and directives are left out of policy files: what a "
    "reviewer reads on a line must be what it means. Write the value out.",
    "AG007": "This plain value means different things to different YAML versions, or is no value that a "
    "policy can hold (`012`, `1_000`, `.nan`, `.inf`). Put quotes around text; write numbers in "
    "decimal.",
    "AG008": "The file is too large or nested too deeply to be a policy. Split it.",
    "AG009": "There is more than one YAML document in the file. One policy is one file, so that a file can "
    "be reviewed, tested and owned as one thing.",
    "AG010": "The key is not text. `1:`, `null:` and `true:` are a number, nothing and a truth value in "
    "YAML; put quotes around the key when text was meant.",
    "AG011": "No policy at all was loaded. With no rules everything is denied, and a guard that was "
    "pointed at the wrong folder looks the same as one that works; so this is an error.",
    "AG012": "The file holds no rule. Delete the file, or finish it: a policy without rules does nothing.",
    "AG013": "The file holds a policy, but its name says that it holds tests (`*_test.yaml`) or proofs "
    "(`*_proofs.yaml`), and those are not loaded: what it denies would be allowed. Rename it.",
    "AG014": "A name that begins with a dot is left out of a folder, as an editor's or a system's own. If it "
    "is a policy, rename it; if not, delete it.",
    "AG101": "A key that the document needs is missing.",
    "AG102": "The key is unknown. A misspelt key would silently switch off what it was meant to do, so it "
    "is an error. `docs/policies.md` lists every key.",
    "AG103": "The value has the wrong type or is out of its range, such as text where a number is needed: "
    '`quorum: "2"` is text, `quorum: 2` a number.',
    "AG104": "The word is not one of the allowed ones. The effects are `allow`, `flag`, `constrain`, "
    "`step_up` and `deny`.",
    "AG105": "Two rules of one policy have the same id. A decision names the rule as `policy/id`, so the "
    "id must find one rule.",
    "AG106": "Two documents are the same policy. Merge them, or rename one: `policy/id` must find one rule.",
    "AG107": "The policy name is reserved: `agentguard`, `engine`, `exception` and `grant` stand in "
    "decisions for what the guard itself, another decision point, an exception or a grant says.",
    "AG108": "The tool pattern is neither an exact name (`payments.transfer`), nor a prefix of whole "
    "dotted segments (`payments.*`), nor `*` alone. Wildcards elsewhere would match names that "
    "nobody meant.",
    "AG109": "The duration is not a number with a unit. Write `45s`, `30m`, `1h`, `3d`, `2w` or a sum: "
    "`1h30m`.",
    "AG110": "The key does not belong to a rule with this effect; it would never do anything.",
    "AG111": "A step-up needs people: `approval: {reviewers: [...]}` or `approval: {stages: [...]}`, each "
    "stage with reviewers who can reach its quorum. `principal` stands alone in its stage: the "
    "person's own confirmation is not an independent approval.",
    "AG112": "A flag needs an owner, who answers for what it records: `flag: {owner: ...}`. Where it "
    "escalates in several levels, each has it later than the one before.",
    "AG113": "Observe mode needs an owner and an end date: `observe: {owner: ..., until: 2027-01-31}`. A "
    "rule that is observed forever is a rule that was switched off.",
    "AG114": "A non-waivable rule cannot be observed: observing it would neutralise it. Within an observed "
    "policy say `mode: enforce` on the rule.",
    "AG115": "A flag that converts to a step-up needs the `approval` block that will then be asked for.",
    "AG116": "The name is not usable: ids and policy names consist of letters, digits, `-`, `_` and `.`, "
    "begin with a letter or digit, and have at most 100 characters.",
    "AG117": "The path is not usable here: `set` writes to dotted paths below `args` (`args.note`), "
    "`redact_result` names paths from `$` (`$.iban`, `$.rows[*].name`).",
    "AG118": "The date is not usable: write `2027-03-01`, or a time with a zone such as "
    "`2027-03-01T08:00:00Z`.",
    "AG119": "A suspension needs somebody who answers for it (the policy's `owner`, or the flag's), a span "
    "of 31 days at most, and a rule that is enforced: `suspend: {after: 3, within: 1h}`.",
    "AG201": "The expression is not CEL. `docs/policies.md` shows what a condition can say.",
    "AG202": "The expression names something that no request has. A misspelt name would make the condition "
    "fail on every call, so it is refused at load.",
    "AG203": "The expression uses a part of CEL that is left out here, or is too large or too deep.",
    "AG204": "The expression calls a function that does not exist or with the wrong number of arguments.",
    "AG205": "A constant argument of a function can never work: a time window, network, pattern or folder "
    "that does not exist or is not written as the function needs it.",
    "AG206": "A condition, and each clause of `&&`, `||`, `!` and `?:`, has to be true or false. This part "
    "is something else on every call, which is an error: an allow rule then never permits, any other rule "
    "fires.",
    "AG210": "The pattern matches no registered tool, so the rule can never fire. A misspelt tool name is "
    "a rule that is missing.",
    "AG211": "None of the rule's tools has this argument. Reading a missing argument is an error on every "
    "call: an allow rule would never permit, any other would always fire.",
    "AG212": "The name is unknown here but one letter away from a known one.",
    "AG214": "By the schema of the tool the argument is of another type, so the comparison is always false, "
    'always true, or an error on every call. `5` is a number and `"5"` is text.',
    "AG215": "By the schema of the tool the argument never has this value: it is not among those allowed.",
    "AG216": "The argument may be left out of a call, and the condition reads it as if it were always there. "
    "Reading what is absent is an error: an allow rule then does not permit, any other rule fires. Say what "
    "you mean: `has(args.note) && ...` (absent: false), `!has(args.note) || ...` (absent: true), or "
    '`args.?note.orValue("")` (absent: a value). An argument that is not `required` in the tool\'s schema '
    "and has no default counts as one that may be absent; so does, but for allow rules, one that another "
    "tool of the rule does not have.",
    "AG213": "The rule's own `tools` lie outside the tools of its policy, so the rule can never fire.",
    "AG220": "No rule permits anything: there is neither an allow rule nor a step-up, so every call is "
    "denied.",
    "AG221": "Another rule always answers first or the same, so this rule can never change a decision: a "
    "deny that fires wherever it would, or an allow that permits whatever it would. Exceptions are not "
    "looked at: where one waives the deny, the rule matters again.",
    "AG222": "Two rules say the same: same tools, same condition, same effect.",
    "AG223": "The conversion date has passed: the flag now counts as the effect it converts to. Change the "
    "effect of the rule, so that the file says what happens.",
    "AG225": "The condition can never be true: it is constant, or two of its parts exclude each other. An "
    "allow rule then never permits. Any other rule still fires where its condition cannot be evaluated, such "
    "as on a call without the argument.",
    "AG226": "Two constraints write different constants to the same path, and there are calls that both are "
    "about. Such a call is denied, since nobody can tell which was meant. Make the conditions exclude each "
    "other, or the constants equal.",
    "AG227": "A flag lets a call through and records it, so somebody has to look: `review_in` says by when, "
    "`escalate_to` to whom it goes when nobody did, and `converts` when the flag becomes enforcement (a rule "
    "with the effect `flag` is a state on the way there; an allow rule with a `flag` block may stay).",
    "AG224": "The observation period has ended: the rule is enforced again. Remove `observe`, or set a new "
    "date.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One problem, at one place.

    `line` and `col` are 1-based, 0 where unknown; `length` is the width of the word that is meant. `frame`
    is the text under the first line of the report: the lines around, and a caret under the word. `rule` is
    `policy/rule` where the problem lies inside a rule.
    """

    code: str
    message: str
    file: str = ""
    line: int = 0
    col: int = 0
    length: int = 1
    hint: str = ""
    frame: str = ""
    rule: str = ""
    severity: Severity = "error"

    @property
    def at(self) -> str:
        """`file:line:col` as far as it is known."""
        if not self.line:
            return self.file
        return f"{self.file or '<document>'}:{self.line}:{self.col}"

    def to_json(self) -> dict[str, Any]:
        return {
            "code": self.code,
            "severity": self.severity,
            "file": self.file,
            "line": self.line,
            "col": self.col,
            "length": self.length,
            "message": self.message,
            "hint": self.hint,
            "frame": self.frame,
            "rule": self.rule,
        }


def closest(word: str, known: Iterable[str]) -> str | None:
    """The known name that `word` was most likely meant to be, or None when nothing is near."""
    names = sorted(set(known))
    folded = word.replace("-", "_").lower()
    for name in names:
        if name.replace("-", "_").lower() == folded and name != word:
            return name
    found = difflib.get_close_matches(word[:100], names, n=1, cutoff=0.67)
    return found[0] if found and found[0] != word else None


def suggestion(word: str, known: Iterable[str], *, listed: int = 12) -> str:
    """`did you mean ...?`, or the allowed words when nothing is near and they are few."""
    names = sorted(set(known))
    near = closest(word, names)
    if near is not None:
        return f"did you mean `{near}`?"
    if names and len(names) <= listed:
        return "known: " + ", ".join(f"`{name}`" for name in names)
    return ""
