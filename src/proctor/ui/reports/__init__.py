"""Reports of a run: Markdown, HTML and JSON from one value."""
