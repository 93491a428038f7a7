"""Is the answer true? `ab` and its trials, confirmation, doctor, and the harness tested against itself."""
