"""The tasks that come with trainkit; each is a template for your own."""
