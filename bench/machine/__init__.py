"""The machine: its facts, its other programs, and the lock that lets one measurement run at a time."""
