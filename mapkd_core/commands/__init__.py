"""The `mapkd` command: one file a sub-command; nobody imports them."""
