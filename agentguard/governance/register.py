"""From the registered records of a store to the register that the core decides with."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from agentguard.errors import AgentGuardError
from agentguard.governance import baselines, exceptions, grants
from agentguard.governance.baselines import Baseline
from agentguard.policy.register import Refused, Register
from agentguard.terms import STRICT, Terms

if TYPE_CHECKING:
    from agentguard.stepup.directory import Directory
    from agentguard.store.protocol import Record

__all__ = ["in_force"]


def in_force(
    version: int,
    records: Iterable[Record],
    *,
    tenant: str = "default",
    directory: Directory | None = None,
    terms: Terms = STRICT,
) -> Register:
    """The register of a version, from the records of `Store.register`.

    An exception, a grant or a baseline counts where the people who approved it vouch for exactly what it
    says, checked with the keys of `directory` as they are now; without a directory no signature can be
    checked. What does not hold is in `refused`, with the reason. An agent that is registered is suspended,
    whatever else its record says.
    """
    found: list[dict[str, Any]] = []
    refused: list[Refused] = []
    normal: dict[str, Baseline] = {}
    for record in records:
        try:
            match record.kind:
                case "exception":
                    told = exceptions.vouched(record, tenant=tenant, directory=directory, terms=terms)
                    found.append({"kind": "exception", **told})
                case "grant":
                    given = grants.vouched(record, tenant=tenant, directory=directory)
                    found.append({"kind": "grant", **given})
                case "agent":
                    found.append({"kind": "agent", "id": record.id, "state": record.state})
                case "baseline":
                    normal[record.id] = baselines.vouched(
                        record, tenant=tenant, directory=directory, terms=terms
                    )
                case other:
                    refused.append(Refused(record.id, f"a record of the kind `{other}` is not for the core"))
        except AgentGuardError as error:
            refused.append(Refused(record.id, f"{record.kind} `{record.id}`: {error}"))
        except Exception as error:
            # INVARIANT: a damaged record takes itself out of the register and nothing else.
            refused.append(
                Refused(record.id, f"{record.kind} `{record.id}` is damaged ({type(error).__name__})")
            )
    register = Register.from_records(version, found, longest=terms.longest)
    return replace(register, refused=(*refused, *register.refused), baselines=normal)
