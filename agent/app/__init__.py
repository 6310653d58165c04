"""The composition root: the one place where the parts of the agent are chosen and put together."""
