"""What stored runs say, by pure functions of Runs: comparison, choice, statistics, precision, roofline, history."""
