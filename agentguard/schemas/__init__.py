"""The JSON Schemas of what people write: made from the models, with copies as `*.schema.json` beside this."""

from agentguard.schemas.made import KINDS, Kind, header, made, render

__all__ = ["KINDS", "Kind", "header", "made", "render"]
