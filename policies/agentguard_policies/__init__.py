"""Policy packs: folders of policies with their tests, each for one purpose."""

from agentguard_policies.pack import Pack, PackError, open_pack, packs

__all__ = ["Pack", "PackError", "open_pack", "packs"]
