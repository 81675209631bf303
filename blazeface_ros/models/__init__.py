"""The networks: what they are called and need, and where their weights come from."""
