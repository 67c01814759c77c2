"""The command line: flags, set-up, and what the scripts do. Only here are flags, and exit statuses."""
