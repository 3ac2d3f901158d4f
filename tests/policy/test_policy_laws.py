"""The laws of DESIGN 3 on generated policies, against the reference in `naive`."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from agentguard.call import ContextRequest
from agentguard.decision import Decision, Effect, SetArgument
from agentguard.policy import Default, Register, Snapshot, explain
from tests.policy import naive
from tests.policy.support import grant

EFFECTS = ["allow", "flag", "constrain", "step_up", "deny"]
TOOLS = ["a.x", "a.y", "b.x", "ab.x"]
PATTERNS = ["*", "a.*", "a.x", "b.x", "a.y"]
LAW = settings(max_examples=250)


@st.composite
def rules(draw: st.DrawFn, effects: list[str] = EFFECTS) -> dict[str, Any]:
    effect = draw(st.sampled_from(effects))
    found: dict[str, Any] = {"effect": effect}
    if draw(st.booleans()):
        found["when"] = draw(st.sampled_from(sorted(naive.CONDITIONS)))
    if draw(st.integers(0, 3)) == 0:
        found["tools"] = draw(st.lists(st.sampled_from(PATTERNS), min_size=1, max_size=2, unique=True))
    if effect == "constrain":
        path = draw(st.sampled_from(["args.amount", "args.note"]))
        value = draw(
            st.sampled_from(["5", "10", "args.amount - 1"] if path == "args.amount" else ['"x"', "5"])
        )
        found["set"] = {path: value}
    converts = None
    if effect in ("allow", "flag"):
        if draw(st.integers(0, 3)) == 0:
            converts = {
                "on": draw(st.sampled_from(["2026-01-01", "2027-01-01"])),
                "to": draw(st.sampled_from(["deny", "step_up"])),
            }
        if effect == "flag" or converts or draw(st.integers(0, 3)) == 0:
            found["flag"] = {"owner": "o", **({"converts": converts} if converts else {})}
    if effect == "step_up" or (converts and converts["to"] == "step_up"):
        found["approval"] = {"reviewers": [draw(st.sampled_from(["ana", "group:f"]))]}
    if draw(st.integers(0, 4)) == 0:
        found["observe"] = {"owner": "o", "until": draw(st.sampled_from(["2026-01-01", "2027-01-01"]))}
    elif effect != "allow" and draw(st.integers(0, 4)) == 0:
        found["non_waivable"] = True
    return found


def named(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{"id": f"r{i}", **rule} for i, rule in enumerate(found)]


@st.composite
def documents(draw: st.DrawFn) -> list[dict[str, Any]]:
    found = []
    for name in ("p", "q"):
        tools = draw(st.sampled_from([["*"], ["a.*", "b.x"], ["a.*"]]))
        listed = named(draw(st.lists(rules(), max_size=4)))
        # A rule whose tools lie outside its policy's is refused at load.
        kept = [r for r in listed if not _outside(r.get("tools", ["*"]), tools)]
        found.append({"policy": name, "tools": tools, "rules": kept})
    return found


def _outside(inner: list[str], outer: list[str]) -> bool:
    return not any(
        a == b or naive.covers(a, b.replace("*", "zz")) or naive.covers(b, a.replace("*", "zz"))
        for a in inner
        for b in outer
    )


@st.composite
def requests(draw: st.DrawFn) -> ContextRequest:
    args: dict[str, Any] = {}
    for name, values in (("amount", [0, 5, 10, 11, "12", True, None]), ("note", ["x", "y", 5])):
        if draw(st.integers(0, 3)):
            args[name] = draw(st.sampled_from(values))
    data: dict[str, Any] = {
        "tool": draw(st.sampled_from(TOOLS)),
        "args": args,
        "agent": {"id": draw(st.sampled_from(["billing", "other"]))},
        "context": draw(st.sampled_from([{}, {"hold": True}, {"hold": False}, {"hold": "yes"}])),
        "now": "2026-11-20T10:00:00Z",
    }
    if draw(st.booleans()):
        data["environment"] = draw(st.sampled_from(["prod", "dev"]))
    return ContextRequest.from_mapping(data)


@st.composite
def exceptions(draw: st.DrawFn) -> list[dict[str, Any]]:
    count = draw(st.integers(0, 3))
    found = []
    for i in range(count):
        control = draw(st.sampled_from([{"redact_result": ["$.x"]}, {"approval": {"reviewers": ["cara"]}}]))
        wanted = draw(
            st.lists(st.sampled_from([f"{p}/r{n}" for p in "pq" for n in range(4)]), min_size=1, unique=True)
        )
        record = {
            "id": f"EX-{i}",
            "agent": draw(st.sampled_from(["billing", "billing", "other"])),
            "rules": wanted,
            "tools": draw(st.sampled_from([["a.*", "b.x", "ab.x"], ["a.x"]])),
            "owner": "ana",
            "approver": "cara",
            "reason": "r",
            "approved_at": "2026-11-01T00:00:00+00:00",
            "expires": draw(st.sampled_from(["2026-12-01T00:00:00+00:00", "2026-11-20T10:00:00+00:00"])),
            "control": control,
        }
        if draw(st.booleans()):
            record["when"] = draw(st.sampled_from(sorted(naive.CONDITIONS)))
        found.append(record)
    return found


def compiled(
    found: list[dict[str, Any]], records: list[dict[str, Any]] | None = None, default: str = "deny"
) -> Snapshot:
    register = Register.from_mapping({"version": 1, "exceptions": records or []})
    chosen = Default() if default == "deny" else Default(Effect.FLAG, owner="o", until="2027-01-01")  # type: ignore[arg-type]
    return Snapshot.from_documents(found, register=register, default=chosen)


def facts(request: ContextRequest) -> dict[str, Any]:
    return {**request.bindings(), "args": dict(request.args)}


def without_person(decision: Decision) -> bool:
    """Whether the call runs without anybody being asked."""
    return decision.effect.rank < Effect.STEP_UP.rank


@LAW
@given(documents(), requests(), exceptions(), st.sampled_from(["deny", "flag"]))
def test_a_decision_is_what_the_reference_says(
    found: list[dict[str, Any]], request: ContextRequest, records: list[dict[str, Any]], default: str
) -> None:
    """Effect, permission, matched and observed rules, waived rules and what is written."""
    decision = compiled(found, records, default).decide(request)
    expected = naive.decide(found, facts(request), default=default, exceptions=records)
    assert decision.effect == expected["effect"]
    assert {match.name: match.effect.value for match in decision.matched} == expected["matched"]
    assert {match.name: match.effect.value for match in decision.observed} == expected["observed"]
    if decision.effect is not Effect.DENY:
        assert list(decision.granted_by) == expected["granted_by"]
    assert {(x.id, name) for x in decision.exceptions for name in x.waived} == expected["waived"]
    written = {o.path: o.value for o in decision.obligations if isinstance(o, SetArgument)}
    assert written == expected["sets"]


@LAW
@given(documents(), requests(), rules([e for e in EFFECTS if e != "allow"]), exceptions())
def test_law_1_adding_any_rule_but_an_allow_never_lets_more_run_without_a_person(
    found: list[dict[str, Any]], request: ContextRequest, added: dict[str, Any], records: list[dict[str, Any]]
) -> None:
    """Whatever it says, also in observe mode."""
    more = [*found, {"policy": "more", "tools": ["*"], "rules": named([added])}]
    if without_person(compiled(more, records).decide(request)):
        assert without_person(compiled(found, records).decide(request))


@LAW
@given(documents(), requests())
def test_law_1_what_runs_without_a_person_was_permitted_by_an_enforced_allow_rule(
    found: list[dict[str, Any]], request: ContextRequest
) -> None:
    """Under the default of deny."""
    decision = compiled(found).decide(request)
    if without_person(decision):
        effects = {f"{d['policy']}/{r['id']}": r["effect"] for d in found for r in d["rules"]}
        assert decision.granted_by
        assert all(effects[name] == "allow" for name in decision.granted_by)
        assert not set(decision.granted_by) & {match.name for match in decision.observed}


@LAW
@given(documents(), requests(), st.randoms(use_true_random=False))
def test_law_2_the_order_of_rules_and_documents_does_not_matter(
    found: list[dict[str, Any]], request: ContextRequest, random: Any
) -> None:
    """Two readings of one set give one record."""
    shuffled = [
        {**document, "rules": random.sample(document["rules"], len(document["rules"]))} for document in found
    ]
    random.shuffle(shuffled)
    one, two = compiled(found).decide(request).to_json(), compiled(shuffled).decide(request).to_json()
    assert {**one, "snapshot": ""} == {**two, "snapshot": ""}


@LAW
@given(documents(), requests())
def test_law_2_the_effect_is_that_of_the_strongest_match_and_the_decision_names_it(
    found: list[dict[str, Any]], request: ContextRequest
) -> None:
    """A decision always says which rule made it; so does its explanation."""
    snapshot = compiled(found)
    decision = snapshot.decide(request)
    assert decision.matched
    assert decision.effect is max(
        (match.effect for match in decision.matched), key=lambda effect: effect.rank
    )
    assert decision.deciding is decision.matched[0]
    assert explain(snapshot, request).decision == decision


@LAW
@given(documents(), requests(), st.integers(0, 7))
def test_tightening_a_rule_never_lets_more_run_without_a_person(
    found: list[dict[str, Any]], request: ContextRequest, which: int
) -> None:
    """A rule turned into a deny, on the same condition and without observation."""
    every = [(d, i) for d, document in enumerate(found) for i in range(len(document["rules"]))]
    if not every:
        return
    d, i = every[which % len(every)]
    old = found[d]["rules"][i]
    kept = {key: old[key] for key in ("id", "when", "tools") if key in old}
    changed = [*found]
    changed[d] = {
        **found[d],
        "rules": [*found[d]["rules"][:i], {**kept, "effect": "deny"}, *found[d]["rules"][i + 1 :]],
    }
    if without_person(compiled(changed).decide(request)):
        assert without_person(compiled(found).decide(request))


@LAW
@given(documents(), requests(), exceptions(), st.integers(0, 2))
def test_T49_removing_an_exception_never_loosens(
    found: list[dict[str, Any]], request: ContextRequest, records: list[dict[str, Any]], which: int
) -> None:
    """Overlapping exceptions included; constraints are left out, whose second pass looks at another call."""
    found = [{**d, "rules": [r for r in d["rules"] if r["effect"] != "constrain"]} for d in found]
    fewer = [record for i, record in enumerate(records) if i != which]
    assert (
        compiled(found, fewer).decide(request).effect.rank
        >= compiled(found, records).decide(request).effect.rank
    )


@LAW
@given(documents(), requests())
def test_law_5_a_constrained_request_decides_to_something_that_is_not_deny(
    found: list[dict[str, Any]], request: ContextRequest
) -> None:
    """What will run has been decided on."""
    from dataclasses import replace

    snapshot = compiled(found)
    decision = snapshot.decide(request)
    written = {o.path.split(".")[1]: o.value for o in decision.obligations if isinstance(o, SetArgument)}
    if written and decision.effect is not Effect.DENY:
        again = snapshot.decide(replace(request, args={**request.args, **written}))
        assert again.effect is not Effect.DENY
        assert again.effect.rank <= decision.effect.rank


@LAW
@given(documents(), requests())
def test_the_default_is_deny(found: list[dict[str, Any]], request: ContextRequest) -> None:
    """Without an allow rule that matches and without a question, nothing runs."""
    found = [
        {**d, "rules": [r for r in d["rules"] if r["effect"] not in ("allow", "step_up")]} for d in found
    ]
    decision = compiled(found).decide(request)
    if not any(match.effect is Effect.STEP_UP for match in decision.matched):
        assert decision.effect is Effect.DENY
        assert "agentguard/default" in [match.name for match in decision.matched]


@LAW
@given(documents(), requests(), exceptions())
def test_deny_overrides(
    found: list[dict[str, Any]], request: ContextRequest, records: list[dict[str, Any]]
) -> None:
    """A deny rule that nothing can waive decides, whatever else matches."""
    deny = {"id": "no", "effect": "deny", "non_waivable": True}
    more = [*found, {"policy": "more", "tools": ["*"], "rules": [deny]}]
    decision = compiled(more, records, "flag").decide(request)
    assert decision.effect is Effect.DENY
    assert "more/no" in [match.name for match in decision.matched]


@LAW
@given(documents(), requests(), exceptions())
def test_the_same_input_gives_the_same_decision(
    found: list[dict[str, Any]], request: ContextRequest, records: list[dict[str, Any]]
) -> None:
    """On the first evaluation, on later ones by compiled code, and in another snapshot."""
    snapshot = compiled(found, records)
    decisions = [snapshot.decide(request) for _ in range(4)]
    assert [*decisions, compiled(found, records).decide(request)] == [decisions[0]] * 5


@LAW
@given(documents(), requests())
def test_the_explanation_names_a_rule_that_matched(
    found: list[dict[str, Any]], request: ContextRequest
) -> None:
    """What it says of each rule is what the decision holds; constraints are left out, which decide twice."""
    found = [{**d, "rules": [r for r in d["rules"] if r["effect"] != "constrain"]} for d in found]
    explanation = explain(compiled(found), request)
    outcomes = {rule.name: rule.outcome for rule in explanation.rules}
    matched = [match for match in explanation.decision.matched if match.name != "agentguard/default"]
    assert all(outcomes[match.name] == ("error" if match.error else "true") for match in matched)
    deciding = explanation.decision.deciding
    assert deciding is not None
    assert deciding.name in outcomes or explanation.default != "not reached"
    fired = {name for name, outcome in outcomes.items() if outcome == "true"}
    observed = {match.name for match in explanation.decision.observed}
    assert fired - observed <= {match.name for match in matched}


@st.composite
def grants(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Rights given in advance for some of the step-ups, by one of the two who review."""
    return [
        grant(
            id=f"G-{i}",
            agent=draw(st.sampled_from(["billing", "billing", "other"])),
            rules=["more/ask", *draw(st.lists(st.sampled_from(["p/r0", "p/r1", "q/r0"]), unique=True))],
            tools=draw(st.sampled_from([["a.*", "b.x", "ab.x"], ["a.x"]])),
            stages=[{"reviewers": [draw(st.sampled_from(["ana", "group:f"]))], "quorum": 1}],
            approved_at="2026-11-01T00:00:00Z",
            expires=draw(st.sampled_from(["2026-12-01T00:00:00Z", "2026-11-20T10:00:00Z"])),
        )
        for i in range(draw(st.integers(1, 3)))
    ]


@LAW
@given(documents(), requests(), grants())
def test_nothing_permits_but_an_allow_or_a_completed_step_up(
    found: list[dict[str, Any]], request: ContextRequest, records: list[dict[str, Any]]
) -> None:
    """A grant is a completed step-up: it is in force, for this agent, and meets what a true rule asks for."""
    ask = {"id": "ask", "effect": "step_up", "approval": {"reviewers": ["ana"]}}
    found = [*found, {"policy": "more", "tools": ["*"], "rules": [ask]}]
    register = Register.from_mapping({"version": 1, "grants": records})
    decision = Snapshot.from_documents(found, register=register).decide(request)
    if without_person(decision):
        assert decision.granted_by
    by_name = {f"{d['policy']}/{r['id']}": r for d in found for r in d["rules"]}
    given = {f"grant/{record['id']}": record for record in records}
    asking = {
        name: rule["approval"]["reviewers"]
        for name, rule in by_name.items()
        if "approval" in rule and naive.holds(rule.get("when", "true"), facts(request)) is True
    }
    for name in decision.granted_by:
        if name in by_name:
            rule = by_name[name]
            assert rule["effect"] == "allow"
            holds = naive.holds(rule.get("when", "true"), facts(request))
            # A constraint may have made it true; two that contradict each other deny, and set nothing.
            changed = any(isinstance(o, SetArgument) for o in decision.obligations)
            assert holds is True or changed or decision.effect is Effect.DENY
        else:
            record = given[name]
            assert record["agent"] == request.agent["id"]
            assert record["expires"] == "2026-12-01T00:00:00Z"
            met = [rule for rule in record["rules"] if asking.get(rule) == record["stages"][0]["reviewers"]]
            assert met or any(isinstance(o, SetArgument) for o in decision.obligations)
