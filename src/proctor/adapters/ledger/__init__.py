"""Where the record of what happened lives."""
