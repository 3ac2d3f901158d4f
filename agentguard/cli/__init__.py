"""The command line, and the approval prompt of the terminal (`agentguard.cli.prompt`)."""

__all__ = ["main"]


def main() -> None:
    """Run the command `agentguard`."""
    from agentguard.cli.app import run  # here: the prompt is used without the commands

    run()
