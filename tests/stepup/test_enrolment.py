"""A reviewer's key: private for its owner only, public in the directory, whole or not at all."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from agentguard.errors import ConfigurationError
from agentguard.stepup import signing
from agentguard.stepup.directory import FileDirectory
from agentguard.stepup.enrolment import enroll, load_private_key

TEXT = """# who may approve
# ask security before you change it

people:
  ana: {groups: [finance], aliases: [ana@example.com]}
  gone: {disabled: true}
groups:
  finance: {includes: [leads]}
  leads: {}
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "directory.yaml"
    file.write_text(TEXT)
    return file


def test_enrolling_writes_both_parts(path: Path, tmp_path: Path) -> None:
    """The private key has mode 0600; the directory knows the public one and everything it knew before."""
    public = enroll(path, "Ana", tmp_path / "ana.key")
    private = load_private_key(tmp_path / "ana.key")
    assert stat.S_IMODE((tmp_path / "ana.key").stat().st_mode) == 0o600
    assert signing.public_part(private) == public
    directory = FileDirectory(path)
    assert directory.keys("ana@example.com") == (public,)
    assert directory.members("finance") == {"ana"}
    assert path.read_text().startswith("# who may approve\n# ask security")
    assert not (tmp_path / "directory.yaml.new").exists()


def test_a_second_key_joins_the_first_or_replaces_it(path: Path, tmp_path: Path) -> None:
    """As asked."""
    first = enroll(path, "ana", tmp_path / "1.key")
    second = enroll(path, "ana", tmp_path / "2.key")
    assert FileDirectory(path).keys("ana") == (first, second)
    third = enroll(path, "ana", tmp_path / "3.key", replace_keys=True)
    assert FileDirectory(path).keys("ana") == (third,)


def test_a_new_person_and_a_new_directory(tmp_path: Path) -> None:
    """With the groups that were named."""
    enroll(tmp_path / "new.yaml", "dora", tmp_path / "dora.key", groups=["finance"], name="Dora D.")
    assert FileDirectory(tmp_path / "new.yaml").members("finance") == {"dora"}


def test_nothing_is_written_where_anything_is_wrong(path: Path, tmp_path: Path) -> None:
    """An existing key file, a disabled person, an impossible name, an invalid directory, another writer."""
    (tmp_path / "there.key").write_text("precious")
    before = path.read_text()
    for subject, key in (
        ("ana", "there.key"),
        ("gone", "a.key"),
        ("local", "b.key"),
        ("ana", "no/where.key"),
    ):
        with pytest.raises(ConfigurationError):
            enroll(path, subject, tmp_path / key)
    (tmp_path / "directory.yaml.new").write_text("")
    with pytest.raises(ConfigurationError, match="somebody else"):
        enroll(path, "ana", tmp_path / "c.key")
    (tmp_path / "directory.yaml.new").unlink()
    assert path.read_text() == before
    path.write_text("people: [")
    with pytest.raises(ConfigurationError):
        enroll(path, "ana", tmp_path / "d.key")
    assert path.read_text() == "people: ["
    assert (tmp_path / "there.key").read_text() == "precious"
    assert sorted(file.name for file in tmp_path.iterdir()) == ["directory.yaml", "there.key"]


def test_a_key_that_others_can_read_is_refused(path: Path, tmp_path: Path) -> None:
    """As ssh does."""
    enroll(path, "ana", tmp_path / "ana.key")
    (tmp_path / "ana.key").chmod(0o640)
    with pytest.raises(ConfigurationError, match="chmod 600"):
        load_private_key(tmp_path / "ana.key")
    for content in ("", "{}", "[]", '{"crv": "Ed25519"}', "\xff"):
        (tmp_path / "bad.key").write_text(content, encoding="latin-1")
        (tmp_path / "bad.key").chmod(0o600)
        with pytest.raises(ConfigurationError):
            load_private_key(tmp_path / "bad.key")
