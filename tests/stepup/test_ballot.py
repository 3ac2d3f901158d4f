"""Casting an answer: who, how we know, may they; on a store."""

from __future__ import annotations

import base64
import datetime as dt
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from joserfc import jws
from joserfc.jwk import OctKey, OKPKey

from agentguard.decision import Stage
from agentguard.errors import ConfigurationError, NotFound, VoteRefused
from agentguard.stepup import signing
from agentguard.stepup.ballot import Answer, cast, departed
from agentguard.stepup.directory import FileDirectory, StaticDirectory
from agentguard.stepup.model import Approval, State
from agentguard.store import Store, open_store
from agentguard.store.protocol import Record, RecordsChange
from tests.store.support import FakeClock, ask, needs, types

ANA, BOB = signing.generate_key(), signing.generate_key()
PEOPLE = StaticDirectory(
    {
        "ana": {"groups": ["finance"], "aliases": ["ana@example.com"], "keys": [ANA.public]},
        "bob": {"groups": ["finance"], "keys": [BOB.public]},
        "ben": {"aliases": ["benjamin"], "groups": ["finance"]},
        "gone": {"groups": ["finance"], "disabled": True},
    }
)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def store(clock: FakeClock) -> Iterator[Store]:
    store = open_store("memory:", clock=clock)
    yield store
    store.close()


def vote(store: Store, approval: Approval, subject: str = "ana", **more: Any) -> Approval:
    directory = more.pop("directory", PEOPLE)
    values: dict[str, Any] = {"verdict": "approve", "digest": approval.digest, "assurance": "login", **more}
    return cast(store, directory, approval.tenant, approval.id, Answer(subject=subject, **values))


def signed(store: Store, approval: Approval, subject: str = "ana", **more: Any) -> Approval:
    terms = {"verdict": "approve", "reason": "", "at": store.now(), **more.pop("signs", {})}
    key = more.pop("key", ANA).private
    told = {"approval": approval, "subject": subject, **terms}
    signature = more.pop("signature", None) or signing.sign(key, **told)
    return vote(store, approval, subject, assurance="signed", signature=signature, **more)


def test_a_login_of_a_member_counts(store: Store) -> None:
    """The vote keeps who, as what, and how we know."""
    approval = vote(store, ask(store), "Ana@Example.com", reason="checked")
    assert approval.state is State.APPROVED
    (kept,) = approval.votes
    assert (kept.subject, kept.memberships, kept.assurance) == ("ana", ("group:finance",), "login")
    assert (kept.reason, kept.at) == ("checked", store.now())


def test_a_signed_vote_counts_and_is_kept_with_its_signature(store: Store) -> None:
    """The signature can be checked again from the record."""
    approval = signed(store, ask(store))
    assert approval.state is State.APPROVED
    again = signing.verify(approval.votes[0].signature or "", PEOPLE.keys("ana"), approval, store.now())
    assert (again.subject, again.verdict) == ("ana", "approve")


@pytest.mark.parametrize("subject", ["dora", "gone"])
@pytest.mark.parametrize("assurance", ["login", "resolver"])
def test_who_is_unknown_or_disabled_is_refused_T12(store: Store, subject: str, assurance: str) -> None:
    """Offboarding takes effect at the next vote."""
    with pytest.raises(VoteRefused, match="directory"):
        vote(store, ask(store), subject, assurance=assurance)


def test_two_names_of_one_person_are_one_T10(store: Store) -> None:
    """An alias adds no second vote."""
    approval = ask(store, requirement=needs(Stage(("group:finance",), 2)))
    vote(store, approval, "ana")
    assert vote(store, approval, "ANA@example.com").state is State.REQUESTED
    assert vote(store, approval, "bob").state is State.APPROVED


def test_an_alias_of_the_principal_is_excluded_T11(store: Store) -> None:
    """Although the group has that person."""
    with pytest.raises(VoteRefused, match="excluded"):
        vote(store, ask(store), "benjamin")


def test_every_member_of_a_group_that_owns_the_agent_is_excluded_T11(store: Store) -> None:
    """Groups in groups are opened, so that a team does not approve what its own agent asks for."""
    teams = StaticDirectory(
        {"ana": {"groups": ["finance"]}, "ben": {"groups": ["finance", "payers"]}},
        {"billing-team": {"includes": ["payers"]}},
    )
    approval = ask(store, excluded=frozenset({"agent", "group:billing-team"}))
    with pytest.raises(VoteRefused, match="the agent's owner"):
        vote(store, approval, "ben", directory=teams)
    assert vote(store, approval, "ana", directory=teams).state is State.APPROVED


def test_the_owner_by_the_inventory_is_excluded_whatever_the_session_said_T11(store: Store) -> None:
    """The session is the word of the agent's own process."""
    approval = ask(store)
    record = Record(
        kind="agent", id=approval.agent, state="active", body={"facts": {"owner": "ANA@example.com"}}
    )
    store.change_records(approval.tenant, [record.key], lambda known, now: RecordsChange((record,)))
    with pytest.raises(VoteRefused, match="the agent's owner"):
        vote(store, approval, "ana")
    assert vote(store, approval, "bob").state is State.APPROVED


def test_somebody_excluded_under_an_alias_is_excluded_T11(store: Store) -> None:
    """The session may have called that person by another name than the directory does."""
    approval = ask(store, principal="Benjamin", excluded=frozenset({"Benjamin"}))
    with pytest.raises(VoteRefused, match="excluded"):
        vote(store, approval, "ben")


def test_the_principal_confirms_without_being_in_a_group(store: Store) -> None:
    """Also when the directory does not know that person, and nobody else does."""
    confirm = needs(Stage(("principal",), 1))
    assert vote(store, ask(store, requirement=confirm), "Benjamin").state is State.APPROVED
    stranger = ask(store, requirement=confirm, principal="zoe", call_id="call-2")
    with pytest.raises(VoteRefused):
        vote(store, stranger, "ana")
    assert vote(store, stranger, "Zoe").votes[0].memberships == ("principal",)


def test_a_reviewer_named_by_subject_has_to_be_known(store: Store) -> None:
    """By any of their names; an unknown one is nobody."""
    for name, number in (("ana@example.com", 1), ("ana", 2)):
        approval = ask(store, requirement=needs(Stage((name,), 1)), call_id=f"call-{number}")
        assert vote(store, approval, "ana").state is State.APPROVED
    nobody = ask(store, requirement=needs(Stage(("dora",), 1)), call_id="call-3")
    with pytest.raises(VoteRefused):
        vote(store, nobody, "dora")


def test_a_group_counts_as_it_is_at_the_vote_T12(store: Store, tmp_path: Path) -> None:
    """Emptied or deleted: nobody; and an earlier voter who left does not count any more."""
    file = tmp_path / "directory.yaml"
    file.write_text("people: {ana: {groups: [finance]}, bob: {groups: [finance]}, cai: {groups: [finance]}}")
    directory = FileDirectory(file)

    def by(subject: str) -> Approval:
        told = Answer(subject=subject, verdict="approve", digest=approval.digest, assurance="login")
        return cast(store, directory, "default", approval.id, told)

    approval = ask(store, requirement=needs(Stage(("group:finance",), 2)))
    by("ana")
    file.write_text("people: {ana: {groups: [sales]}, bob: {groups: [finance]}, cai: {groups: [finance]}}")
    assert departed(directory, store.approval("default", approval.id)) == ("ana",)
    assert by("bob").state is State.REQUESTED
    assert by("cai").state is State.APPROVED
    file.write_text("people: {ana: {}, bob: {disabled: true, groups: [finance]}, cai: {}}")
    assert departed(directory, store.approval("default", approval.id)) == ("ana", "bob", "cai")


def test_an_unreadable_directory_lets_nobody_vote_T12(store: Store, tmp_path: Path) -> None:
    """The refusal says so."""
    file = tmp_path / "directory.yaml"
    file.write_text("people: {ana: {groups: [finance]}}")
    directory = FileDirectory(file)
    file.write_text("people: [")
    approval = ask(store)
    with pytest.raises(VoteRefused, match="directory is not readable"):
        cast(
            store,
            directory,
            "default",
            approval.id,
            Answer(subject="ana", verdict="approve", digest=approval.digest, assurance="login"),
        )


def test_a_local_answer_is_nobodys_but_locals(store: Store) -> None:
    """Typing a name proves nothing."""
    approval = ask(store, requirement=needs(Stage(("group:finance",), 1), local=True))
    with pytest.raises(VoteRefused, match="sign or log in"):
        vote(store, approval, "ana", assurance="local")
    assert vote(store, approval, "local", assurance="local").votes[0].subject == "local"


def test_an_unknown_approval_or_tenant_is_not_found_T08(store: Store) -> None:
    """A guess learns nothing."""
    approval = ask(store)
    told = Answer(subject="ana", verdict="approve", digest=approval.digest, assurance="login")
    for tenant, name in (("other", approval.id), ("default", "a" + "0" * 32)):
        with pytest.raises(NotFound):
            cast(store, PEOPLE, tenant, name, told)


# Signatures


def test_a_signature_is_worth_nothing_for_another_approval_T01(store: Store) -> None:
    """Nor for the same call asked again, nor in another tenant."""
    first, second = ask(store), ask(store, call_id="call-2")
    other = ask(store, tenant="other")
    signature = signing.sign(
        ANA.private, approval=first, verdict="approve", subject="ana", reason="", at=store.now()
    )
    for approval in (second, other):
        with pytest.raises(VoteRefused, match="another approval"):
            signed(store, approval, signature=signature)
    assert signed(store, first, signature=signature).state is State.APPROVED


def test_a_signature_by_another_key_is_refused(store: Store) -> None:
    """Whatever the header says."""
    approval = ask(store)
    with pytest.raises(VoteRefused, match="not made with a key"):
        signed(store, approval, key=BOB)
    signature = signing.sign(
        ANA.private, approval=approval, verdict="approve", subject="bob", reason="", at=store.now()
    )
    with pytest.raises(VoteRefused, match="`bob`'s and not `ana`'s"):
        signed(store, approval, "ana", signature=signature)
    with pytest.raises(VoteRefused, match="no key"):
        signed(store, ask(store, call_id="call-2", principal=None, excluded=frozenset()), "ben")


def test_what_is_answered_must_be_what_was_signed(store: Store) -> None:
    """Verdict, reason and digest."""
    approval = ask(store)
    for signs, told in (
        ({"verdict": "deny"}, {"verdict": "approve"}),
        ({"reason": "no way"}, {"reason": "fine"}),
        ({}, {"digest": "sha256:" + "9" * 64}),
    ):
        with pytest.raises(VoteRefused):
            signed(store, approval, signs=signs, **told)
    with pytest.raises(VoteRefused, match="needs its signature"):
        vote(store, approval, assurance="signed")
    assert types(store) == ["decision", "approval.opened"]


@pytest.mark.parametrize("seconds", [-3600, -7, 6, 3600])
def test_a_signature_from_outside_the_approvals_life_is_refused_T14(store: Store, seconds: int) -> None:
    """Made before it was asked, or in the future."""
    approval = ask(store)
    at = store.now() + dt.timedelta(seconds=seconds)
    with pytest.raises(VoteRefused, match="while"):
        signed(store, approval, signs={"at": at})
    signed(store, approval, signs={"at": store.now() + dt.timedelta(seconds=3)})


def _b64(data: object) -> str:
    raw = data if isinstance(data, bytes) else json.dumps(data).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def test_a_forged_signature_is_refused_T51(store: Store) -> None:
    """No algorithm, another algorithm, an embedded key, another type, another payload, too long, garbage."""
    approval = ask(store)
    good = signing.sign(
        ANA.private, approval=approval, verdict="approve", subject="ana", reason="", at=store.now()
    )
    head, body, tail = good.split(".")
    payload = base64.urlsafe_b64decode(body + "==")
    key = OKPKey.import_key({k: ANA.private[k] for k in ("kty", "crv", "x", "d")})
    public = base64.urlsafe_b64decode(ANA.public["x"] + "=")
    mac = OctKey.import_key(public)
    own = OKPKey.generate_key("Ed25519")
    forged = {
        "none": f"{_b64({'alg': 'none', 'typ': signing.TYPE})}.{body}.",
        "no tail": f"{head}.{body}.",
        "mac": jws.serialize_compact(
            {"alg": "HS256", "typ": signing.TYPE}, payload, mac, algorithms=["HS256"]
        ),
        "type": jws.serialize_compact({"alg": "Ed25519", "typ": "JWT"}, payload, key, algorithms=["Ed25519"]),
        "embedded": jws.serialize_compact(
            {"alg": "Ed25519", "typ": signing.TYPE, "jwk": own.as_dict(private=False)},
            payload,
            own,
            algorithms=["Ed25519"],
        ),
        "payload": f"{head}.{_b64(payload.replace(b'approve', b'deny'))}.{tail}",
        "not a vote": jws.serialize_compact(
            {"alg": "Ed25519", "typ": signing.TYPE}, b'{"v":1}', key, algorithms=["Ed25519"]
        ),
        "more": jws.serialize_compact(
            {"alg": "Ed25519", "typ": signing.TYPE},
            payload[:-1] + b',"role":"admin"}',
            key,
            algorithms=["Ed25519"],
        ),
        "garbage": "a.b.c",
        "empty": "..",
        "text": "\ud800",
    }
    for name, signature in forged.items():
        with pytest.raises(VoteRefused):
            signed(store, approval, signature=signature)
        assert types(store) == ["decision", "approval.opened"], name
    assert signed(store, approval, signature=good).state is State.APPROVED


def test_a_signature_that_is_too_long_is_not_looked_at_T51(store: Store) -> None:
    """Before any parsing."""
    with pytest.raises(VoteRefused, match="bytes"):
        signed(store, ask(store), signature="x" * 100_000)


def test_only_a_private_ed25519_key_signs(store: Store) -> None:
    """A public part or another curve cannot."""
    for key in (ANA.public, {"kty": "OKP", "crv": "X25519", "x": "a", "d": "b"}, {}):
        with pytest.raises(ConfigurationError):
            signing.sign(
                key, approval=ask(store), verdict="approve", subject="ana", reason="", at=store.now()
            )
    assert signing.public_part(ANA.private) == ANA.public
