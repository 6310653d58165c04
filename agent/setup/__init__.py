"""How the agent is set up as a service: the unit files that it brings along, put in place and taken away again."""
