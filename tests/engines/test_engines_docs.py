"""`docs/engines.md` runs as it stands."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.engines.servers import always, serving

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "engines.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def test_the_page_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With its own policies and schema, and prints what it says."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "payments.cedar").write_text("".join(blocks("cedar")))
    (tmp_path / "payments.cedarschema").write_text("".join(blocks("cedarschema")))
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "all.yaml").write_text(
        "policy: all\nowner: ops\ntools: ['*']\nrules:\n  - {id: any, effect: allow}\n"
    )
    with serving(always({"result": True})) as (url, _):
        names: dict[str, object] = {"OPA_URL": url}
        for block in blocks("python"):
            exec(compile(block, "docs/engines.md", "exec"), names)  # noqa: S102
        names["guard"].close()  # type: ignore[attr-defined]
    assert capsys.readouterr().out == "".join(blocks("text"))
