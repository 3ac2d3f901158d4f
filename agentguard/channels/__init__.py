"""Channels to people outside the process: an outbox, signed webhooks, Slack, and answers that come back."""
