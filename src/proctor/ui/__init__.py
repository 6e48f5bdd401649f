"""Faces: they render what the engine says and call the app."""
