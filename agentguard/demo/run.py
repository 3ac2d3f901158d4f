"""One run of the demo: a folder, a web server, a guard, two acts, and the records verified."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from agentguard import Channel, Guard, Snapshot
from agentguard.access import near
from agentguard.demo.acts import AGENT, PRINCIPAL, Act, langchain_act, openai_act
from agentguard.demo.data import call_json, summary_json
from agentguard.demo.folder import Folder
from agentguard.demo.office import Office, Seen
from agentguard.demo.recorded import BILLS, LETTER, Recording
from agentguard.demo.screen import Screen
from agentguard.demo.story import CallStory, Chronicle
from agentguard.demo.summary import Summary
from agentguard.demo.tools import guarded_tools
from agentguard.demo.voting import ANSWERS, UNANSWERED, Announced, Answering
from agentguard.demo.web import WebServer
from agentguard.ledger.verify import verify

__all__ = ["Demo", "Models"]

_TITLES: Final = {
    "langchain": "LangChain, create_agent with GuardMiddleware",
    "openai": "OpenAI SDK, a tool loop with run_tool_calls",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Models:
    """The live model of each act, by its name; None plays the recording. `note` says so where it differs."""

    langchain: str | None = None
    openai: str | None = None
    note: str = ""

    @property
    def about(self) -> str:
        if self.note:
            return self.note
        if self.openai is not None:
            return f"live: {self.openai}"
        return "recorded conversations, played by each framework's own fake model"


@dataclass(slots=True, kw_only=True)
class Demo:
    """A run. It is collected in `data`, and told on `screen` if there is one; `note` says who answers why."""

    folder: Folder
    answering: Answering
    channel: Channel | None
    models: Models
    screen: Screen | None
    kept: bool
    note: str = ""
    data: dict[str, Any] = field(default_factory=dict)
    _calls: list[CallStory] = field(default_factory=list)

    async def run(self) -> Summary:
        """Play both acts and verify the ledger.

        Raises:
            AgentGuardError: the policies were refused, or the store failed.
        """
        snapshot = self.folder.snapshot(UNANSWERED if self.answering == "none" else None)
        self._open(snapshot)
        with WebServer() as web:
            office = Office(self.folder, web)
            with Guard(
                snapshot=snapshot,
                store=self.folder.store,
                tool_facts=self.folder.tools,
                channels=[self.channel] if self.channel is not None else [],
                facts=[office.facts],
            ) as guard:
                return await self._play(guard, office)

    async def _play(self, guard: Guard, office: Office) -> Summary:
        chronicle = Chronicle(guard.store, guard.tenant, guard.snapshot)
        tools = guarded_tools(guard, office)
        acts: list[tuple[Literal["langchain", "openai"], Recording, Any, str | None]] = [
            ("langchain", BILLS, langchain_act, self.models.langchain),
            ("openai", LETTER, openai_act, self.models.openai),
        ]
        for number, (name, recording, play, model) in enumerate(acts, 1):
            calls: list[dict[str, Any]] = []
            if self.screen is not None:
                self.screen.act(number, _TITLES[name], recording.prompt)
            act = Act(
                guard=guard,
                tools=tools,
                recording=recording,
                model=model,
                turned=self._teller(chronicle, office, calls),
            )
            answer = await play(act)
            self._tell(chronicle, office, calls, [])
            if self.screen is not None and model is not None:
                self.screen.answer(answer)
            said = {"framework": name, "model": model, "prompt": recording.prompt, "answer": answer}
            self.data["acts"].append({**said, "calls": calls})
        summary = Summary(
            calls=tuple(self._calls),
            types=chronicle.types,
            items=tuple(chronicle.items),
            state=office.state(),
            report=verify(guard.store, guard.tenant),
        )
        self._close(summary)
        return summary

    def _open(self, snapshot: Snapshot) -> None:
        self.data = {
            "agent": AGENT.id,
            "principal": PRINCIPAL,
            "approve": self.answering,
            "models": self.models.about,
            "folder": str(self.folder.path) if self.kept else None,
            "snapshot": snapshot.digest,
            "acts": [],
        }
        if self.screen is not None:
            files = sorted({str(rule.at).partition(":")[0] for rule in snapshot.rules})
            policies = f"{len(snapshot.rules)} rules in {', '.join(files)}"
            about = [("policies", policies), ("models", self.models.about)]
            if self.kept:
                about.append(("folder", near(self.folder.path)))
            about.append(("answers", ANSWERS[self.answering] + (f" ({self.note})" if self.note else "")))
            self.screen.opening(about)

    def _teller(
        self, chronicle: Chronicle, office: Office, calls: list[dict[str, Any]]
    ) -> Callable[[list[str]], None]:
        return lambda told: self._tell(chronicle, office, calls, told)

    def _tell(
        self, chronicle: Chronicle, office: Office, calls: list[dict[str, Any]], told: list[str]
    ) -> None:
        """Tell what the ledger has got since the last time, with what is found in the world now."""
        if isinstance(self.channel, Announced):
            self.channel.wait()
        stories = chronicle.new()
        words = told if len(told) == len(stories) else [""] * len(stories)
        for story, word in zip(stories, words, strict=True):
            seen: Seen = office.seen(story.tool, story.wanted, story.ran)
            self._calls.append(story)
            calls.append(call_json(story, seen, word))
            if self.screen is not None:
                self.screen.call(story, seen)

    def _close(self, summary: Summary) -> None:
        self.data |= summary_json(summary)
        if self.screen is None:
            return
        if self.kept:
            commands = [
                (
                    f"cd {shlex.quote(near(self.folder.path))}",
                    "the policies, the database and the ledger are there",
                ),
                ("agentguard ledger show", "every event; `agentguard ledger verify` checks them again"),
                ("agentguard demo --keep .", "again, after a change in policies/"),
            ]
        else:
            commands = [
                ("agentguard demo --keep demo", "keeps the files: change policies/, run it again"),
                ("agentguard demo --approve no", "what happens when the person says no"),
                ("agentguard init", "a configuration and a first policy of your own"),
            ]
        self.screen.closing(summary, commands)
