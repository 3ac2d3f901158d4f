"""What `agentguard demo` runs: two agents, tools that really act, and the guard between them."""
