"""The shell: orders the awaits and holds everything in motion."""
