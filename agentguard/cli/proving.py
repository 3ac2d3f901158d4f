"""`agentguard prove`: what no call can do, which rules can matter, whether a candidate lets more through."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import typer
from typer.core import TyperGroup

from agentguard.cli.proving_setting import Setting
from agentguard.cli.terminal import fail, print_json
from agentguard.cli.workspace import ConfigOption, JsonOption, configuration, snapshot_of

if TYPE_CHECKING:
    from agentguard.policy import Snapshot
    from agentguard.policy.proving import Answer, Comparison

__all__ = ["app"]

_DEFAULT: Final = "files"
_EXIT: Final = {"proved": 0, "refuted": 1, "unknown": 3}


class _Questions(TyperGroup):
    """Paths without a question are those of files with proofs: `agentguard prove policies/`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if not args or (args[0] not in self.commands and args[0] not in ("-h", "--help")):
            args = [_DEFAULT, *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=_Questions,
    help="Prove what policies can never do. Without a question: the claims in `*_proofs.yaml` files.",
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

PolicyOption = Annotated[
    list[Path] | None,
    typer.Option("--policy", metavar="PATH", help="Policy files and folders; default: the configuration's."),
]
ToolOption = Annotated[
    str, typer.Option("--tool", metavar="PATTERN", help="A tool, or `payments.*`; default: every tool.")
]
WhenOption = Annotated[
    str | None, typer.Option("--when", metavar="CEL", help="Only calls for which this condition is true.")
]
AtOption = Annotated[
    str | None, typer.Option("--at", metavar="TIME", help="For calls at this time only: 2026-11-20T08:00.")
]
SinceOption = Annotated[
    str | None, typer.Option("--since", metavar="TIME", help="For calls from this time on; default: now.")
]
TimeoutOption = Annotated[
    float,
    typer.Option(
        "--timeout-s", metavar="S", min=0.1, max=86_400, help="Give up on a question after so long."
    ),
]


@app.command("files")
def files(
    ctx: typer.Context,
    paths: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[PATHS]...", help="Folders, policy files and proofs; default: the configuration's."
        ),
    ] = None,
    policy: PolicyOption = None,
    timeout_s: TimeoutOption = 60.0,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Prove the claims in `*_proofs.yaml` files; docs/proofs.md shows what they say.

    \b
    Examples:
      agentguard prove
      agentguard prove policies/
      agentguard prove files policies/ --json

    Exit codes: 0 every claim is proved, 1 one is refuted, 2 usage or unreadable files, 3 one is unknown.
    """
    from agentguard.cli.proving_text import as_data, show_all
    from agentguard.policy.proving.solver import required
    from agentguard.policy.proving.suite import prove

    required()
    setting = _setting(ctx, config)
    claims, snapshot = _claims(setting, list(paths or ()), policy)
    answers = list(prove(claims, snapshot, setting.bounds(None, None, timeout_s)))
    if as_json:
        proofs = [{**one.to_json(), **as_data(one.answer)} for one in answers]
        print_json({"warnings": list(setting.warnings), "proofs": proofs})
    else:
        show_all(answers, setting.warnings)
    held = {one.holds for one in answers}
    raise typer.Exit(_EXIT["refuted" if "refuted" in held else "unknown" if "unknown" in held else "proved"])


@app.command("never")
def never(
    ctx: typer.Context,
    outcome: Annotated[
        Literal["runs", "asks", "passes", "denied"],
        typer.Argument(
            metavar="[runs|asks|passes|denied]",
            help="Run without an approval (the default), wait for one, do either, be denied.",
        ),
    ] = "runs",
    tool: ToolOption = "*",
    when: WhenOption = None,
    policy: PolicyOption = None,
    at: AtOption = None,
    since: SinceOption = None,
    timeout_s: TimeoutOption = 60.0,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Prove that no call to a tool has an outcome; or show one that has, decided for real.

    \b
    Examples:
      agentguard prove never runs --tool payments.transfer \\
        --when 'environment == "prod" && !("prod-approved" in agent.tags)'
      agentguard prove never passes --tool 'files.*' --when '!has(args.path)' --policy policies/
      agentguard prove never denied --when '"on-call" in agent.tags' --json

    Exit codes: 0 proved, 1 a call does it, 2 usage, 3 unknown.
    """
    from agentguard.policy.proving import never as ask

    setting = _setting(ctx, config)
    snapshot = snapshot_of(setting.config, policy or ())
    bounds = setting.bounds(at, since, timeout_s)
    answer = setting.told(ask(snapshot, outcome, tool=setting.known(tool), when=when, bounds=bounds))
    _finish(answer, _EXIT[answer.found], as_json)


@app.command("reachable")
def reachable(
    ctx: typer.Context,
    rule: Annotated[str, typer.Argument(metavar="POLICY/RULE", help="The rule.")],
    when: WhenOption = None,
    policy: PolicyOption = None,
    at: AtOption = None,
    since: SinceOption = None,
    timeout_s: TimeoutOption = 60.0,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show a call for which a rule's condition is true; or prove that there is none.

    \b
    Examples:
      agentguard prove reachable payments/large-transfer
      agentguard prove reachable payments/night --at 2026-11-20T12:00 --policy policies/

    Exit codes: 0 a call matches, 1 proved that none does, 2 usage, 3 unknown.
    """
    from agentguard.policy.proving import reachable as ask

    setting = _setting(ctx, config)
    snapshot = snapshot_of(setting.config, policy or ())
    answer = setting.told(ask(snapshot, rule, when=when, bounds=setting.bounds(at, since, timeout_s)))
    _finish(answer, {"proved": 1, "refuted": 0, "unknown": 3}[answer.found], as_json, reached=True)


@app.command("compare")
def compare(
    ctx: typer.Context,
    candidate: Annotated[
        list[Path], typer.Option("--candidate", metavar="PATH", help="The candidate's files and folders.")
    ],
    tool: ToolOption = "*",
    policy: PolicyOption = None,
    at: AtOption = None,
    since: SinceOption = None,
    timeout_s: TimeoutOption = 60.0,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compare a candidate with today's policies: narrower, wider, equal, incomparable.

    A call gets further where it runs instead of waiting for an approval, or waits instead of being denied.
    Each way in which they differ is shown by a call that both sets decided for real.

    \b
    Examples:
      agentguard prove compare --candidate candidate/
      agentguard prove compare --policy policies/ --candidate candidate/ --tool 'payments.*' --json

    Exit codes: 0 equal or narrower, 1 wider or incomparable, 2 usage, 3 unknown.
    """
    from agentguard.policy.proving import compare as ask

    setting = _setting(ctx, config)
    today, new = snapshot_of(setting.config, policy or ()), snapshot_of(setting.config, candidate)
    bounds = setting.bounds(at, since, timeout_s)
    _finish_comparison(setting.told(ask(today, new, tool=setting.known(tool), bounds=bounds)), as_json)


def _finish(answer: Answer, code: int, as_json: bool, *, reached: bool = False) -> None:
    from agentguard.cli.proving_text import as_data, show

    if as_json:
        print_json(as_data(answer))
    else:
        show(answer, reached=reached)
    raise typer.Exit(code)


def _finish_comparison(found: Comparison, as_json: bool) -> None:
    from agentguard.cli.proving_text import show_comparison

    if as_json:
        print_json(found.to_json())
    else:
        show_comparison(found)
    raise typer.Exit(1 if found.wider.differs else 3 if found.relation == "unknown" else 0)


def _setting(ctx: typer.Context, config: Path | None) -> Setting:
    return Setting(configuration(ctx, config))


def _claims(setting: Setting, paths: list[Path], policy: list[Path] | None) -> tuple[Any, Snapshot]:
    """The files of proofs that are named, and the policies that they are about."""
    from agentguard.access import near
    from agentguard.policy import read_files, render_text
    from agentguard.policy.files import is_proofs
    from agentguard.policy.proving.suite import load_proofs

    found = setting.config
    named = paths or [Path(near(path)) for path in found.policies]
    proofs = [path for path in named if path.is_dir() or is_proofs(path)]
    # A policy file brings the proofs beside it.
    proofs += [beside for path in named if not is_proofs(path) and (beside := _beside(path)).exists()]
    policies = [path for path in named if path.is_dir() or not is_proofs(path)]
    snapshot = snapshot_of(found, policy or policies or list(dict.fromkeys(path.parent for path in named)))
    files = read_files(proofs, kind="proofs")
    _guarded(files.names)
    loaded, findings = load_proofs(files, snapshot, setting.tools)
    if findings:
        text = render_text(findings, files=files.count, rules=0, loaded=False).rstrip()
        fail(f"the proofs were refused:\n{text}")
    if not loaded:
        where = ", ".join(f"`{path}`" for path in named)
        fail(f"there is no proof: no `*_proofs.yaml` was found in {where}; docs/proofs.md shows one")
    return loaded, snapshot


def _beside(policy: Path) -> Path:
    return policy.with_name(f"{policy.stem}_proofs{policy.suffix}")


def _guarded(names: Sequence[str]) -> None:
    """See that nobody else can change the files.

    Raises:
        PolicyError: anybody can.
    """
    from agentguard.access import check_access
    from agentguard.errors import PolicyError

    loose = check_access([*names, *{os.path.dirname(name) or "." for name in names}])
    if loose:
        raise PolicyError(
            "\n".join(f"{one.file}: {one.code} {one.message}; {one.hint}" for one in loose), loose
        )
