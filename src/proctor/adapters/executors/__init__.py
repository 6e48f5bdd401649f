"""Who gives processor time to slices."""
