"""The directory: who is who, as the file says now, and nobody while the file is wrong."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from agentguard.errors import ConfigurationError
from agentguard.stepup.directory import FileDirectory, StaticDirectory, open_directory

KEY = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"

GOOD = f"""
people:
  Ana:
    name: Ana Alba
    aliases: [ana@example.com, "slack:U1"]
    groups: [finance]
    keys: [{{kty: OKP, crv: Ed25519, x: {KEY}}}]
  bob: {{groups: [leads]}}
  cai: {{groups: [board], disabled: true}}
groups:
  finance: {{includes: [leads]}}
  leads: {{includes: [board]}}
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "directory.yaml"
    file.write_text(GOOD)
    return file


def test_groups_hold_their_people_and_those_of_included_groups(path: Path) -> None:
    """Disabled people are in no group; an unknown group is empty."""
    directory = FileDirectory(path)
    assert directory.members("finance") == {"ana", "bob"}
    assert directory.members("FINANCE ") == {"ana", "bob"}
    assert directory.members("leads") == {"bob"}
    assert directory.members("board") == directory.members("nobody") == frozenset()


def test_every_name_of_a_person_is_that_person_T10(path: Path) -> None:
    """Aliases, case and width."""
    directory = FileDirectory(path)
    for name in ("Ana", "ana", " ANA ", "Ana@Example.com", "ａｎａ", "SLACK:u1"):
        assert directory.subject(name) == "ana"
    assert directory.subject("Dora ") == "dora"
    assert [directory.active(name) for name in ("ana", "cai", "dora")] == [True, False, None]


def test_keys_are_those_of_active_people(path: Path) -> None:
    """A disabled person has none."""
    directory = FileDirectory(path)
    assert [key["x"] for key in directory.keys("ana@example.com")] == [KEY]
    assert directory.keys("bob") == directory.keys("cai") == directory.keys("dora") == ()
    path.write_text(GOOD.replace("name: Ana Alba", "disabled: true"))
    assert directory.keys("ana") == ()


def test_a_changed_file_is_read_again(path: Path) -> None:
    """At the next question."""
    directory = FileDirectory(path)
    path.write_text(GOOD.replace("bob: {groups: [leads]}", "bob: {groups: []}"))
    assert directory.members("finance") == {"ana"}
    other = path.with_name("new.yaml")
    other.write_text(GOOD)
    os.replace(other, path)
    assert directory.members("finance") == {"ana", "bob"}


@pytest.mark.parametrize(
    "text",
    [
        "people: {ana: {group: [finance]}}",
        "people: {ana: {groups: finance}}",
        "people: {ana: {}, ana: {}}",
        "people: {ana: {}, Ana: {}}",
        "people: {ana: {aliases: [x]}, bob: {aliases: [X]}}",
        "people: {ana: {}, bob: {aliases: [ANA]}}",
        "people: {local: {}}",
        "people: {principal: {}}",
        "people: {ana: {aliases: ['group:finance']}}",
        "groups: {a: {includes: [b]}, b: {includes: [a]}}",
        "groups: {a: {includes: [a]}}",
        "groups: {a: {includes: [nowhere]}}",
        "groups: {a: {}, A: {}}",
        "persons: {}",
        "people: {ana: {keys: [{kty: RSA, crv: Ed25519, x: " + KEY + "}]}}",
        "people: {ana: {keys: [{kty: OKP, crv: Ed25519, x: short}]}}",
        "people: {ana: {keys: [{kty: OKP, crv: Ed25519, x: " + KEY + ", d: " + KEY + "}]}}",
        "people: {ana: {keys: [{kty: OKP, crv: Ed25519, x: " + KEY + "}]}, "
        "bob: {keys: [{kty: OKP, crv: Ed25519, x: " + KEY + "}]}}",
        "people: &a {ana: {}}\ngroups: *a",
        "[]",
        "people: {",
        "\x00",
    ],
)
def test_an_invalid_file_keeps_nobody_T48(path: Path, text: str) -> None:
    """Every question is an error until the file is right again; the old version is not used on."""
    directory = FileDirectory(path)
    path.write_text(text)
    for ask in (directory.members, directory.keys, directory.subject, directory.active):
        with pytest.raises(ConfigurationError, match=r"directory\.yaml"):
            ask("ana")
    with pytest.raises(ConfigurationError):
        FileDirectory(path)
    path.write_text(GOOD)
    assert "ana" in directory.members("finance")


def test_a_missing_file_keeps_nobody(path: Path) -> None:
    """Also when it disappears later."""
    directory = FileDirectory(path)
    path.unlink()
    with pytest.raises(ConfigurationError, match="cannot be read"):
        directory.members("finance")
    with pytest.raises(ConfigurationError):
        open_directory(path)


def test_groups_in_groups_are_bounded() -> None:
    """Many ways to the same group cost nothing; too deep a nesting is refused."""
    wide = {f"g{n}": {"includes": [f"g{n + 1}"] * 2} for n in range(25)}
    assert StaticDirectory({"ana": {"groups": ["g25"]}}, wide).members("g0") == {"ana"}
    deep = {f"g{n}": {"includes": [f"g{n + 1}"]} for n in range(60)}
    with pytest.raises(ConfigurationError, match="deeper"):
        StaticDirectory({"ana": {"groups": ["g60"]}}, {"g0": deep.pop("g0"), **deep})


def test_no_directory_is_an_empty_one() -> None:
    """Nobody is known."""
    directory = open_directory(None)
    assert directory.members("finance") == frozenset()
    assert directory.active("ana") is None
