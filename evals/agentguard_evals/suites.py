"""The suites by name, and files that hold suites of the user's own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from agentguard.errors import ConfigurationError
from agentguard.policy.findings import suggestion
from agentguard_evals.case import Gap, Suite
from agentguard_evals.halves import Split, load_delegated, load_everyday, load_named

if TYPE_CHECKING:
    from agentguard_evals.asking import Live

__all__ = ["DATA_VARIABLE", "SUITES", "Named", "load_suites"]

DATA_VARIABLE: Final = "AGENTGUARD_EVALS_DATA"
"""The environment variable for the folder of data that suites read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """A suite by name. `folder` is where its data lies below the data folder; empty where it needs none.

    `split` loads a suite that has halves.
    """

    text: str
    load: Callable[[Path], Sequence[Suite]] | None = None
    folder: str = ""
    split: Callable[[Split], Sequence[Suite]] | None = None


def _agentdojo(_: Path) -> Sequence[Suite]:
    from agentguard_evals.dojo import load_agentdojo

    return [load_agentdojo("first")]


def _agentdojo_late(_: Path) -> Sequence[Suite]:
    from agentguard_evals.dojo import load_agentdojo

    return [load_agentdojo("late")]


def _injecagent(folder: Path) -> Sequence[Suite]:
    from agentguard_evals.injecagent import load_injecagent

    return load_injecagent(folder)


def _threat_bench(folder: Path) -> Sequence[Suite]:
    from agentguard_evals.threat_bench import load_threat_bench

    return load_threat_bench(folder)


def _tau2(folder: Path) -> Sequence[Suite]:
    from agentguard_evals.tau2 import load_tau2

    return load_tau2(folder)


def _bfcl(folder: Path) -> Sequence[Suite]:
    from agentguard_evals.bfcl import load_bfcl

    return load_bfcl(folder)


def _attackers(split: Split) -> Sequence[Suite]:
    named = load_named(split)
    try:
        from agentguard_evals.dojo_tries import load_tries
    except ConfigurationError as error:
        gap = Gap("systematic attackers", 388, str(error))
        return [replace(suite, gaps=(*suite.gaps, gap)) for suite in named]
    return [*named, *load_tries()]


def _paraphrased(split: Split) -> Sequence[Suite]:
    from agentguard_evals.dojo_reworded import load_paraphrased

    return load_paraphrased(split)


SUITES: Final[Mapping[str, Named]] = {
    "agentdojo": Named(
        text="AgentDojo v1.2.2, worst case: 97 tasks, 949 pairs, the attack at once (needs `[evals]`)",
        load=_agentdojo,
    ),
    "agentdojo-late": Named(
        text="the same, the attack after the last honest call (needs `[evals]`)", load=_agentdojo_late
    ),
    "agent_threat_bench": Named(
        text="Agent Threat Bench: hijacked autonomy, data leaks, poisoned memory",
        load=_threat_bench,
        folder="agent_threat_bench",
    ),
    "attackers": Named(
        text="attackers who know the rules: named tricks, systematic tries (needs `[evals]`)",
        split=_attackers,
    ),
    "bfcl": Named(text="BFCL v4 multi-turn: 200 honest tasks", load=_bfcl, folder="bfcl"),
    "delegated": Named(text="procedures that the user hands over, honest and attacked", split=load_delegated),
    "everyday": Named(
        text="work that the user asks for in their own words, honest and attacked", split=load_everyday
    ),
    "injecagent": Named(
        text="InjecAgent: 1,054 attacks in tool results, 17 honest tasks",
        load=_injecagent,
        folder="injecagent",
    ),
    "paraphrased": Named(
        text="AgentDojo's honest tasks in other words, with other look-ups (needs `[evals]`)",
        split=_paraphrased,
    ),
    "tau2": Named(
        text="tau2 retail and airline: gold actions, and ones that break the written policy",
        load=_tau2,
        folder="tau2",
    ),
}


def load_suites(
    target: str, data: Path | None, split: Split | None = None, live: Live | None = None
) -> Sequence[Suite]:
    """The suites behind one word of the command line: a suite's name, or a file.

    `split` chooses the half of a suite that has two, `dev` where none is named. `live` plays the cases of a
    file that a live model plays.

    Raises:
        ConfigurationError: there is neither; its data or its package is not there; the file is refused; it
            has no halves.
    """
    named = SUITES.get(target)
    if named is not None and named.split is not None:
        return named.split(split or "dev")
    if split is not None:
        known = ", ".join(f"`{name}`" for name, one in SUITES.items() if one.split is not None)
        raise ConfigurationError(
            f"`{target}` has no halves, so `--split` says nothing; those that have: {known}"
        )
    if named is not None and named.load is not None:
        return named.load(_data_folder(target, named, data))
    path = Path(target)
    if path.suffix in (".yaml", ".yml"):
        from agentguard_evals.prompts import read_prompts

        return [read_prompts(_existing(path), live)]
    if target.endswith((".jsonl", ".jsonl.gz")):
        from agentguard_evals.recordings import load_recordings

        return load_recordings(_existing(path))
    if path.exists():
        raise ConfigurationError(
            f"`{target}` is no suite; files of recorded runs end in `.jsonl` or `.jsonl.gz`, and files of "
            "cases in `.yaml`"
        )
    raise ConfigurationError(f"there is no suite and no file `{target}`; {suggestion(target, SUITES)}")


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise ConfigurationError(f"there is no file `{path}`")
    return path


def _data_folder(name: str, suite: Named, data: Path | None) -> Path:
    if not suite.folder:
        return Path()
    if data is None:
        raise ConfigurationError(
            f"the suite `{name}` reads data that does not come with agentguard; name the folder that holds "
            f"`{suite.folder}/` with `--data DIR` or in {DATA_VARIABLE}"
        )
    folder = data / suite.folder
    if not folder.is_dir():
        raise ConfigurationError(f"the suite `{name}` needs its data in `{folder}`, which is not there")
    return folder
