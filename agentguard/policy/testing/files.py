"""Test files as they are read: each case with the request it asks and what it wants."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from agentguard.call import ContextRequest
from agentguard.errors import ConfigurationError
from agentguard.policy.default import Default
from agentguard.policy.findings import Finding
from agentguard.policy.register import Register
from agentguard.policy.source import Path, Source
from agentguard.policy.testing.document import (
    FREE,
    CaseDocument,
    RequestDocument,
    TestDocument,
    WantDocument,
)
from agentguard.policy.testing.requests import BadRequest, Requests
from agentguard.policy.testing.shape import nulls, validated

__all__ = ["EXPLANATIONS", "Case", "TestFile", "read_test"]

EXPLANATIONS: Final[Mapping[str, str]] = {
    "AG401": "The request of a case cannot be made: it extends a request that is not there or itself, takes "
    "out what is not there, or has no tool or agent.",
    "AG402": "The case contradicts itself or another one: two cases of one name, both `request` and "
    "`requests`, or neither.",
    "AG403": "The case names a rule, an exception or a grant that does not exist. A misspelt name in "
    "`none_of` would make a case that always passes, so it is an error.",
    "AG404": "The exception or grant is refused, as the register would refuse it, so that it could never "
    "apply.",
    "AG405": "The file holds no case. A file that tests nothing looks the same as one that passes.",
}
"""What the codes of findings about tests mean; the other codes are those of policies."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Case:
    """One call and what has to be decided about it. `row` names the call where a case has several."""

    id: str
    name: str
    row: str
    at: str
    index: int
    request: ContextRequest
    exhausted: tuple[str, ...]
    want: WantDocument


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class TestFile:
    """A test file; `policies` are paths as written, None where its cases see the whole set."""

    __test__ = False  # pytest is not to collect it

    source: Source
    cases: tuple[Case, ...]
    policies: tuple[str, ...] | None
    default: Default
    register: Register

    @property
    def name(self) -> str:
        """The file's path."""
        return self.source.file


def read_test(source: Source) -> tuple[TestFile | None, list[Finding]]:
    """The tests of one file, or everything that is wrong with it."""
    raw = source.data
    if not isinstance(raw, Mapping) or not raw.get("cases"):
        what = "has no `cases`" if isinstance(raw, Mapping) else "is no test file: it begins with `now: TIME`"
        return None, [source.finding("AG405", f"the file {what}", hint="add `cases: [...]`")]
    reader = _Reader(source, raw)
    found = reader.read()
    order = sorted(reader.findings, key=lambda finding: (finding.line, finding.col, finding.code))
    return (None if order else found), order


class _Reader:
    def __init__(self, source: Source, raw: Mapping[str, Any]) -> None:
        self.source = source
        self.raw = raw
        self.findings: list[Finding] = []

    def read(self) -> TestFile | None:
        source, raw = self.source, self.raw
        self.findings += nulls(source, raw, (), "the test file", FREE)
        header, found = self.header()
        self.findings += found
        self.named()
        defaults = raw.get("defaults")
        if isinstance(defaults, Mapping) and not {"extends", "without"}.isdisjoint(defaults):
            message = "`defaults` are what requests begin with: they extend nothing"
            self.findings.append(source.finding("AG401", message, ("defaults",), key=True))
        documents = self.documents()
        if header is None or self.findings:
            return None
        requests = Requests(raw.get("requests", {}), raw.get("defaults", {}), header.now)
        self.resolve(requests)
        cases = tuple(case for index, one in documents for case in self.cases(index, one, requests))
        return TestFile(
            source=source,
            cases=cases,
            policies=header.policies,
            default=self.default(),
            register=self.register(),
        )

    def header(self) -> tuple[TestDocument | None, list[Finding]]:
        """Everything but requests and cases, which are read one by one for the sake of their messages."""
        stub = {"name": "-", "request": "-", "want": "deny"}
        bare: dict[str, Any] = {**self.raw, "cases": [stub]}
        if isinstance(self.raw.get("requests"), Mapping):
            bare["requests"] = {name: {} for name in self.raw["requests"]}
        return validated(TestDocument, self.source, bare, (), "the test file")

    def named(self) -> None:
        requests = self.raw.get("requests")
        for name, one in requests.items() if isinstance(requests, Mapping) else ():
            at = ("requests", name)
            if one is not None:
                self.findings += validated(RequestDocument, self.source, one, at, f"request `{name}`")[1]

    def documents(self) -> list[tuple[int, CaseDocument]]:
        """The cases whose shape is right."""
        listed = self.raw["cases"]
        if not isinstance(listed, (list, tuple)):
            self.findings.append(self.source.finding("AG103", "`cases` must be a list", ("cases",)))
            return []
        names: set[str] = set()
        read: list[tuple[int, CaseDocument]] = []
        for index, one in enumerate(listed):
            at: Path = ("cases", index)
            name = one.get("name") if isinstance(one, Mapping) else None
            label = f"case `{name}`" if isinstance(name, str) else f"case {index + 1}"
            document, found = validated(CaseDocument, self.source, one, at, label)
            self.findings += found
            if document is None:
                continue
            if document.name in names:
                self.problem("AG402", f"there are two cases `{name}`", (*at, "name"))
            names.add(document.name)
            if (document.request is None) == (document.requests is None):
                message = f"{label} needs `request` or `requests`, one of the two"
                self.problem("AG402", message, (*at, "name"))
            elif document.requests is not None and not document.requests:
                self.problem("AG402", f"`requests` of {label} is empty", (*at, "requests"))
            read.append((index, document))
        return read

    def problem(self, code: str, message: str, at: Path, hint: str = "", *, key: bool = False) -> None:
        self.findings.append(self.source.finding(code, message, at, hint=hint, key=key))

    def resolve(self, requests: Requests) -> None:
        """Every named request, so that a mistake shows also in one that no case uses."""
        for name in self.raw.get("requests", {}):
            try:
                requests.resolve(name)
            except BadRequest as error:
                at = ("requests", name, error.key) if error.key else ("requests", name)
                self.problem("AG401", f"{error.message} (in request `{name}`)", at, error.hint)

    def cases(self, index: int, document: CaseDocument, requests: Requests) -> Iterator[Case]:
        raw = self.raw["cases"][index]
        rows: Mapping[str, Any] = raw["requests"] if "requests" in raw else {"": raw["request"]}
        place = self.source.place(("cases", index))
        name = self.source.file or "tests"
        for row, written in rows.items():
            at: tuple[str | int, ...] = (
                ("cases", index, "requests", row) if row else ("cases", index, "request")
            )
            data = {"extends": written} if isinstance(written, str) else written
            try:
                request = requests.context(data)
            except BadRequest as error:
                way = (*at, error.key) if error.key and isinstance(written, Mapping) else at
                self.problem("AG401", f"{error.message} (in case `{document.name}`)", way, error.hint)
                continue
            yield Case(
                id=f"{name}::{document.name}{f'[{row}]' if row else ''}",
                name=document.name,
                row=row,
                at=f"{name}:{place.line}" if place.line else name,
                index=index,
                request=request,
                exhausted=document.exhausted,
                want=document.want,
            )

    def default(self) -> Default:
        try:
            return Default.from_mapping(self.raw.get("default", {}))
        except ConfigurationError as error:
            self.problem("AG303", str(error), ("default",), key=True)
            return Default()

    def register(self) -> Register:
        """The exceptions and grants of the file, as a store would hold them."""
        records = [("exceptions", i, "exception") for i in range(len(self.raw.get("exceptions", ())))]
        records += [("grants", i, "grant") for i in range(len(self.raw.get("grants", ())))]
        written = [{**self.raw[key][i], "kind": kind} for key, i, kind in records]
        register = Register.from_records(1 if written else 0, written)
        for refused in register.refused:
            places = [
                (key, i, "id")
                for (key, i, _), one in zip(records, written, strict=True)
                if one["id"] == refused.id
            ]
            self.problem("AG404", refused.message, places[-1] if places else ())
        return register
