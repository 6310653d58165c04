"""`python -m agent` is `acusight-agent`."""

from agent.commands import main

if __name__ == "__main__":
    main()
