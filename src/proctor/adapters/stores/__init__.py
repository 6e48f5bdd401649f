"""Where rows and the progress of runs live: one adapter for each database."""
