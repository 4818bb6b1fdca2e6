"""A project of Django with nothing but its admin."""
