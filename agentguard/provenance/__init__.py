"""What a tool does, what the user asked for, and where each argument value of a call came from."""
