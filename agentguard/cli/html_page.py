"""Static pages: no script, no request to anywhere, every text escaped and every hidden character shown."""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import files
from typing import Any

from agentguard.cli.safe_text import visible

__all__ = ["number", "render"]


def number(value: object) -> str:
    """`12,345`."""
    return f"{value:,}"


def render(template: str, filters: dict[str, Callable[..., Any]] | None = None, **context: Any) -> str:
    """A page from a template of this folder; `v` makes text safe to show and `n` writes a number."""
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        loader=FunctionLoader(_source),
    )
    environment.filters.update(v=visible, n=number, **(filters or {}))
    return environment.get_template(template).render(**context)


def _source(name: str) -> str:
    return files("agentguard.cli").joinpath(name).read_text(encoding="utf-8")
