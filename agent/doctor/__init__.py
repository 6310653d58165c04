"""The doctor looks at all that the agent needs, and says what is wrong, why, and what to run. One module an area."""
