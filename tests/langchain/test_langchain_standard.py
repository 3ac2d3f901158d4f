"""LangChain's own standard tests, on guarded tools; guarded calls are counted, so that none is skipped."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from langchain_core.tools import BaseTool, tool
from langchain_tests.integration_tests.tools import ToolsIntegrationTests
from langchain_tests.unit_tests.tools import ToolsUnitTests
from pydantic import BaseModel

from agentguard import Guard
from agentguard_langchain import guard_tools
from tests.langchain.drive import AGENT, events, snapshot

GUARD = Guard(snapshot=snapshot(), store="memory:")


@pytest.fixture(scope="module", autouse=True)
def _closed() -> Iterator[None]:
    yield
    GUARD.close()


@tool
def add(a: int, b: int = 2) -> int:
    """Add two numbers."""
    return a + b


@tool
async def aadd(a: int, b: int = 2) -> int:
    """Add two numbers, asynchronously."""
    return a + b


@tool(response_format="content_and_artifact")
def both(a: int, b: int) -> tuple[str, dict[str, Any]]:
    """Add two numbers, with an artifact."""
    return str(a + b), {"sum": a + b}


class Numbers(BaseModel):
    a: int
    b: int = 2


class Add(BaseTool):
    name: str = "class_add"
    description: str = "Add two numbers."
    args_schema: type[BaseModel] = Numbers

    def _run(self, a: int, b: int = 2) -> int:
        return a + b


class Case:
    """What the standard tests are told about a tool."""

    kind: BaseTool

    @property
    def tool_constructor(self) -> BaseTool:
        found: BaseTool = guard_tools(GUARD, [self.kind], agent=AGENT)[0]
        return found

    @property
    def tool_invoke_params_example(self) -> dict[str, Any]:
        return {"a": 2, "b": 3}


class Counted(Case):
    """Each integration test runs the tool through the guard."""

    @pytest.fixture(autouse=True)
    def _counted(self, request: pytest.FixtureRequest) -> Iterator[None]:
        before = len(events(GUARD, "outcome"))
        yield
        if "invoke" in request.node.name:
            assert len(events(GUARD, "outcome")) > before


class TestDecoratedUnit(Case, ToolsUnitTests):
    kind = add


class TestDecorated(Counted, ToolsIntegrationTests):
    kind = add


class TestContentAndArtifactUnit(Case, ToolsUnitTests):
    kind = both


class TestContentAndArtifact(Counted, ToolsIntegrationTests):
    kind = both


class TestClassUnit(Case, ToolsUnitTests):
    kind = Add()


class TestClass(Counted, ToolsIntegrationTests):
    kind = Add()


class TestAsyncUnit(Case, ToolsUnitTests):
    kind = aadd
