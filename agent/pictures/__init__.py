"""Pictures: told whole from half and good from bad without decoding; decoded in a child process only."""
