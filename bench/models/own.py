"""Models of one's own: .keras and .h5 files, and functions that build one. Only worker processes import this."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Callable
from typing import Any

import keras

from bench.errors import BenchError, Failed, WrongUsage, suggestion
from bench.models.sources import project_importable

Shape = tuple[int, ...]

_OF_ONES_OWN = re.compile(r"(?:Could not locate (?:class|function)|Unknown (?:layer|\w+ function|object)):? '([^']+)'")
_LONGEST_REASON = 200  # characters; Keras's own go on with the whole configuration


def load(path: str) -> keras.Model:
    """The model of a .keras or .h5 file. Raises WrongUsage, in one line with the remedy, when it cannot be loaded."""
    if path.endswith(".weights.h5"):
        raise WrongUsage(f'{path} holds weights alone; name the model that they belong to, with weights = "{path}"')
    try:
        return keras.saving.load_model(path, compile=False)
    except Exception as error:
        # Whatever Keras or the layers of the file raise, it concerns this file alone.
        raise WrongUsage(_why_not_loaded(path, " ".join(str(error).split()) or type(error).__name__)) from error


def _why_not_loaded(path: str, said: str) -> str:
    own = _OF_ONES_OWN.search(said)
    builder = 'name a builder instead, model = "module:function", that returns keras.saving.load_model'
    if own:
        name = own[1].rpartition(">")[2]
        return (
            f"{path} uses {name}, which is no part of Keras; {builder}"
            f'("{path}", compile=False, custom_objects={{"{name}": {name}}})'
        )
    if "Lambda" in said and "safe_mode" in said:
        return (
            f"{path} has a Lambda layer, which runs code that is stored in the file; if you trust it, {builder}"
            f'("{path}", compile=False, safe_mode=False)'
        )
    innermost = said.rpartition("Exception encountered: ")[2]
    return (
        f"{path} is not a Keras model that can be loaded: {innermost[:_LONGEST_REASON]}; save it anew with "
        "model.save(), or name a builder, module:function"
    )


def call(name: str, arguments: dict[str, Any], offered: dict[str, Any]) -> keras.Model:
    """What the builder `module:function` returns, a model whose input has a shape.

    Args:
        name: `module:function`; the module lies in this Python, or in the working directory.
        arguments: must be taken by the function.
        offered: passed on where the function takes them: input_shape, without the batch, and classes.

    Raises WrongUsage for a function that is not there or takes other arguments, Failed when it raises or returns
    anything but a model.
    """
    function = _imported(name)
    parameters = inspect.signature(function).parameters
    by_name = {key: p for key, p in parameters.items() if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)}
    any_name = any(p.kind == p.VAR_KEYWORD for p in parameters.values())
    for key in arguments:
        if key not in by_name and not any_name:
            raise WrongUsage(f"{name} takes no {key}; {suggestion(key, by_name)}".rstrip("; "))
    given = {key: value for key, value in offered.items() if key in by_name and value is not None} | arguments
    missing = [key for key, p in by_name.items() if p.default is p.empty and key not in given]
    if missing:
        own = ", ".join(f"{key} = ..." for key in missing if key != "input_shape")
        remedies = ["give an input_size"] if "input_shape" in missing else []
        remedy = " and ".join([*remedies, *([f"give arguments = {{ {own} }}"] if own else [])])
        raise WrongUsage(f"the builder {name} needs {', '.join(missing)}; {remedy}")
    try:
        returned = function(**given)
    except (BenchError, MemoryError):
        raise
    except SystemExit as error:
        raise Failed(f"the builder {name} ends the program (sys.exit); let it return the model") from error
    except Exception as error:
        raise Failed(
            f"the builder {name} raised {type(error).__name__}: {' '.join(str(error).split())[:500]}"
        ) from error
    if not isinstance(returned, keras.Model):
        raise Failed(f"the builder {name} returns {_described(returned)}; end it with `return keras.Model(...)`")
    return with_input(returned, offered.get("input_shape"), name)


def _described(returned: object) -> str:
    if returned is None:
        return "nothing"
    if isinstance(returned, keras.layers.Layer):
        return f"a layer ({type(returned).__name__}) and not a model"
    if isinstance(returned, type):
        return f"the class {returned.__name__} and not a model"
    return f"{type(returned).__name__} and not a Keras model"


def _imported(name: str) -> Callable[..., Any]:
    module_name, _, function_name = name.partition(":")
    with project_importable():
        try:
            module = importlib.import_module(module_name)
        except ImportError as error:
            raise WrongUsage(f"cannot import the builder {name}: {error}") from error
        except SystemExit as error:
            raise Failed(
                f"cannot import the builder {name}: {module_name} ends the program (sys.exit) when it is imported; put "
                'what it runs as a script under `if __name__ == "__main__":`'
            ) from error
        except Exception as error:
            raise Failed(
                f"cannot import the builder {name}: {type(error).__name__}: {' '.join(str(error).split())}"
            ) from error
    function = getattr(module, function_name, None)
    if not callable(function):
        known = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
        raise WrongUsage(
            f"cannot import the builder {name}: {module_name} has no function {function_name}; "
            f"{suggestion(function_name, known)}".rstrip("; ")
        )
    return function  # type: ignore[no-any-return]


def with_input(model: keras.Model, shape: Shape | None, name: str) -> keras.Model:
    """A model with a symbolic input: one that was never built, or that has no graph, is built for the shape."""
    if has_graph(model):
        return model
    shape = shape or _built_for(model)
    if shape is None:
        raise WrongUsage(f"the model of {name} is not built for any input; give an input_size")
    image = keras.Input(shape)
    try:
        if isinstance(model, keras.Sequential):
            model.build((None, *shape))
            if has_graph(model):
                return model
        return keras.Model(image, model(image), name=f"{model.name}_built")
    except Exception as error:
        reason = " ".join(str(error).split())[:_LONGEST_REASON]
        raise Failed(f"the model of {name} cannot be built for an input of {shape}: {reason}") from error


def has_graph(model: Any) -> bool:
    """Whether a model is functional, or sequential and built."""
    return hasattr(getattr(model, "_functional", None) or model, "_nodes_by_depth")


def _built_for(model: keras.Model) -> Shape | None:
    """The input shape, without the batch, for which a model without a graph was built."""
    known = list((getattr(model, "_build_shapes_dict", None) or {}).values())
    shape = known[0] if len(known) == 1 else None
    return tuple(shape[1:]) if isinstance(shape, (tuple, list)) and None not in shape[1:] else None
