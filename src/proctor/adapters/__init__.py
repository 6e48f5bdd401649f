"""Everything that touches the outside world; one file for each thing."""
