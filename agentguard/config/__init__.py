"""The root configuration `agentguard.yaml`, and the file of tool facts that it names.

Both are read under the strict rules of policy files: unknown keys, duplicate keys and files that anybody on
the machine may change are refused, with file, line and column.
"""

from agentguard.config.document import DEFAULT_STORE, ConfigDocument
from agentguard.config.files import CONFIG_NAME, VARIABLE, find_config
from agentguard.config.findings import EXPLANATIONS
from agentguard.config.model import Config
from agentguard.config.options import guard_options
from agentguard.config.reading import load_config, read_config
from agentguard.config.tool_facts import ToolDocument, ToolEntry, load_tool_facts, read_tool_facts

__all__ = [
    "CONFIG_NAME",
    "DEFAULT_STORE",
    "EXPLANATIONS",
    "VARIABLE",
    "Config",
    "ConfigDocument",
    "ToolDocument",
    "ToolEntry",
    "find_config",
    "guard_options",
    "load_config",
    "load_tool_facts",
    "read_config",
    "read_tool_facts",
]
