"""What the demo shows comes from the guard: other policies, another demo."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.demo.support import ATTACKER, calls, data, demo, one


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """A folder that a demo has made."""
    assert demo("--approve", "no", "--keep", "here", cwd=tmp_path).returncode == 0
    return tmp_path / "here"


def change(folder: Path, policy: str, old: str, new: str) -> None:
    file = folder / "policies" / policy
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def test_a_higher_limit_asks_nobody(kept: Path) -> None:
    """With the limit above the rent, the rent is allowed: by the other rule, at its line."""
    change(kept, "payments.yaml", "args.amount > 1000", "args.amount > 5000")
    found = data("--approve", "no", "--keep", str(kept), code=1)
    rent = next(call for call in calls(found) if (call["wanted"] or {}).get("amount") == 4800)
    assert (rent["effect"], rent["rule"]) == ("allow", "payments/pay-bills")
    assert rent["world"]["acted"]
    assert found["verdicts"]["step_up"] == 0
    assert not found["ok"]


def test_without_the_rule_the_file_goes_out(kept: Path) -> None:
    """The denial is the policy's, not the demo's: allow the host, and the server receives the customers."""
    change(kept, "egress.yaml", '"books.example.com"', f'"{ATTACKER}"')
    found = data("--approve", "no", "--keep", str(kept), code=0)
    assert found["world"]["posts"] == {ATTACKER: 1}
    assert "books.example.com" in one(found, "deny")["wanted"]["url"]


def test_a_line_more_moves_the_place(kept: Path) -> None:
    """File and line are those of the file as it is."""
    before = one(data("--approve", "no", "--keep", str(kept)), "deny")
    change(kept, "egress.yaml", "policy: egress", "# one line more\npolicy: egress")
    after = one(data("--approve", "no", "--keep", str(kept)), "deny")
    line = int(before["at"].rpartition(":")[2])
    assert after["at"] == f"policies/egress.yaml:{line + 1}"


def test_a_missing_verdict_is_said(kept: Path) -> None:
    """A run in which one of the five does not occur says which, and ends with 1."""
    change(kept, "payments.yaml", "size(args.note) > 35", "size(args.note) > 350")
    found = demo("--approve", "yes", "--keep", str(kept))
    assert found.returncode == 1
    assert "Not seen in this run: CONSTRAIN." in found.stdout


def test_a_broken_policy_is_refused_with_its_place(kept: Path) -> None:
    """Nothing runs, and the message says where."""
    change(kept, "egress.yaml", "effect: deny", "efect: deny")
    found = demo("--approve", "yes", "--keep", str(kept))
    assert found.returncode == 2
    assert "policies/egress.yaml:" in found.stderr
    assert "efect" in found.stderr
    assert "Traceback" not in found.stderr


def test_a_folder_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    """`--keep` with a folder that holds other things is refused, and nothing in it is touched."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "payments.db").write_text("mine")
    found = demo("--approve", "yes", "--keep", "mine", cwd=tmp_path)
    assert found.returncode == 2
    assert "is not empty" in found.stderr
    assert [file.name for file in (tmp_path / "mine").iterdir()] == ["payments.db"]
    assert (tmp_path / "mine" / "payments.db").read_text() == "mine"


def test_what_a_document_says_cannot_reach_the_terminal(kept: Path) -> None:
    """Control sequences in a document are shown as text, behind a bar."""
    letter = kept / "documents" / "letter.txt"
    letter.write_bytes(
        b"\x1b]0;owned\x07\x1b[2J [red]LEDGER INTACT[/red] \xe2\x80\xae\n" + letter.read_bytes()
    )
    found = demo("--approve", "yes", "--keep", str(kept))
    assert found.returncode == 0
    assert "\x1b" not in found.stdout
    assert "\u202e" not in found.stdout
    assert r"│ \x1b]0;owned\x07\x1b[2J [red]LEDGER INTACT[/red] \u202e" in found.stdout
