"""Which pictures are worth the link: decided from facts, before the link is spent."""
