"""The one way to run a worker process: its protocol, its time limit, its tie to the parent, and what its death means.

What needs TensorFlow, ONNX Runtime or another runtime never runs in the process that asks. `process` is the side that
asks, `answering` the worker's. Questions and answers are lines of JSON on a channel of their own, so that whatever a
library prints disturbs nothing; a path that is not UTF-8 travels as it is.
"""
