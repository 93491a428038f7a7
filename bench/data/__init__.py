"""The embedded data sets: their parts, their calibration images. One file a data set."""
