"""What stored runs say: statistics, comparison, choice, precision, quality, roofline, history. Pure functions of Runs."""
