"""The local Prefect server of the command line: found, started, shared by runs, supervised and given up."""
