"""The tasks that come with trainkit; each file is a template to copy."""
