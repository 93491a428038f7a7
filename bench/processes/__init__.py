"""The one way to run a worker process: its protocol, its time limit, and what its death means."""
