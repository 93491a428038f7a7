"""The keys of a suite's cases: what each may hold, and on what kind of model it has no effect."""

from __future__ import annotations

from pathlib import Path

from bench.suites.values import KERAS_FILES, SHAPES, Key

_PACKAGE = Path(__file__).resolve().parent.parent

PRECISIONS = ("fp32", "fp16", "int8", "int8-dynamic")
HEADS = ("native", "none", "notes")
RUNTIMES = {name: _PACKAGE / "runtimes" / f"{name}.py" for name in ("onnxruntime", "openvino", "litert")}
"""The runtimes by name, each with its file: see `bench.runtimes`."""
PREPROCESSES = ("caffe", "tf", "torch", "unit", "included", "none")
DATA_SETS = {"digits": "bench.data.digits", "scenes": "bench.data.scenes"}
"""The embedded data sets by name, each with its module: see `bench.data`."""
INTERPOLATIONS = ("bilinear", "bicubic")
RESIZES = ("cover", "stretch")
CLASS_ORDERS = ("number", "number-1", "number+1", "text", "natural", "casefold", "natural-casefold")

KEYS: dict[str, Key] = {
    "model": Key(str, "a backbone's name, an .onnx, .tflite, .keras or .h5 file, or module:function"),
    "alpha": Key(float, "a positive number", least=0.0),
    "input_size": Key(int, "a positive whole number of pixels", least=0),
    "threads": Key(int, "a positive whole number", least=0),
    "batch_size": Key(int, "a positive whole number", least=0),
    "runtime": Key(str, f"one of {', '.join(RUNTIMES)}", valid=RUNTIMES),
    "precision": Key(str, f"one of {', '.join(PRECISIONS)}", valid=PRECISIONS),
    "weights": Key(str, '"none", "imagenet" or a weights file'),
    "head": Key(str, f"one of {', '.join(HEADS)}", valid=HEADS),
    "classes": Key(int, "a positive whole number", least=0),
    "name": Key(str, "a string", sweeps=False),
    "dimensions": Key(dict, "a table of sizes, e.g. {batch = 1}", sweeps=False),
    "input_shape": Key(object, SHAPES, sweeps=False),
    "arguments": Key(dict, "a table of the builder's arguments", sweeps=False),
    "accuracy": Key(dict, 'a table, e.g. {images = "DIR"}', sweeps=False),
    "train": Key(dict, 'a table, e.g. {data = "digits"} or {images = "DIR"}', sweeps=False),
    "load": Key(dict, 'a table, e.g. {p99 = "50ms"}', sweeps=False),
    "calibrate": Key((str, dict), 'a folder of images, or a table, e.g. {images = "DIR"}', sweeps=False),
}
TRAIN_KEYS: dict[str, Key] = {
    "data": Key(str, f"one of {', '.join(DATA_SETS)}", valid=DATA_SETS),
    "images": Key(str, "a folder of images, one folder a class"),
    "preprocess": Key(str, f"one of {', '.join(PREPROCESSES)}", valid=PREPROCESSES),
    "fine_tune": Key(bool, "true or false"),
    "examples": Key(int, "a positive whole number of images", least=0),
    "epochs": Key(int, "a positive whole number", least=0),
}
LOAD_KEYS: dict[str, Key] = {
    "p99": Key(str, 'a time, e.g. "50ms"'),
    "streams": Key(int, "a positive whole number of cameras", least=0),
    "fps": Key(float, "a positive number of frames a second", least=0.0, most=1e6),
    "offline": Key(bool, "true or false"),
    "minutes": Key(float, "a positive number of minutes", least=0.0, most=1e5),
    "budget": Key(float, "a positive number of seconds", least=0.0, most=1e5),
    "instances": Key(int, "a positive whole number", least=0, most=1024),
    "threads": Key(int, "a positive whole number", least=0, most=1024),
    "batch": Key(int, "a positive whole number", least=0, most=4096),
    "longest_wait": Key(str, 'a time, e.g. "5ms"'),
    "instances_are": Key(str, "processes or threads", valid=("processes", "threads")),
    "seed": Key(int, "a whole number above 0", least=0),
}
ACCURACY_KEYS: dict[str, Key] = {
    "images": Key(str, "a folder of images"),
    "labels": Key(str, "a CSV file of file,label"),
    "classes": Key(str, "a file of class names, one a line"),
    "output": Key(str, "the name of the model's output with the class scores"),
    "class_order": Key(str, f"one of {', '.join(CLASS_ORDERS)}", valid=CLASS_ORDERS),
    "preprocess": Key(str, f"one of {', '.join(PREPROCESSES)}", valid=PREPROCESSES),
    "crop": Key(float, "a share above 0 and at most 1", least=0.0),
    "resize": Key(str, f"one of {', '.join(RESIZES)}", valid=RESIZES),
    "interpolation": Key(str, f"one of {', '.join(INTERPOLATIONS)}", valid=INTERPOLATIONS),
}
CALIBRATE_KEYS = {key: ACCURACY_KEYS[key] for key in ("images", "preprocess")}
_AS_IT_IS = "such a file is timed as it is; name the Keras model, or its .keras file, to have another one made"
_OPEN_SIZES = (
    'an .onnx file is timed as it is; its open sizes are given by input_shape (--input-shape), e.g. "1x3x224x224", '
    "or dimensions"
)
NO_FILE = "it gives the open sizes of an .onnx file; a Keras model has input_size and batch_size"
# What has no effect on a kind of model, and what to do instead.
WITHOUT_EFFECT: dict[str, dict[str, str]] = {
    ".onnx": dict.fromkeys(("alpha", "precision", "weights", "head", "classes", "arguments", "train"), _AS_IT_IS)
    | {"input_size": _OPEN_SIZES},
    ".tflite": dict.fromkeys(
        ("alpha", "precision", "weights", "head", "classes", "arguments", "train", "input_size"), _AS_IT_IS
    ),
    **{key: {"arguments": "such a file is built already; write the builder as module:function"} for key in KERAS_FILES},
    "": {},
}


def runtime_of(model: str) -> str:
    """The runtime of a case that names none."""
    return "litert" if model.lower().endswith(".tflite") else next(iter(RUNTIMES))
