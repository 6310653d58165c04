"""The demonstration: the agent and a small Acusight together on this machine, to play with or as a bounded tour."""
