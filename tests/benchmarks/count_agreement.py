"""Whether the Keras graph and the exported ONNX graph cost the same, layer by layer: `python FILE [SUITE...]`.

Exports whatever is not in the cache, so that the suite `keras` takes a while. Exits with 1 when any two differ.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from itertools import zip_longest

from bench import cost, export, suites
from bench.cost.layers import skeleton
from bench.records import Case


def difference(case: Case, path: str) -> str | None:
    """The first step at which the two graphs part company; None when they never do."""
    of_keras, of_onnx = (cost.of_case(c)[1] for c in (case, replace(case, model=path, arguments={}, input_shape=None)))
    found = cost.total(of_onnx)
    if found.uncounted:
        return f"uncounted in ONNX: {', '.join(found.uncounted[:3])}"
    for number, (a, b) in enumerate(zip_longest(skeleton(of_keras), skeleton(of_onnx)), start=1):
        if a != b:
            return f"step {number}: Keras {a}, ONNX {b}"
    if found.mult_adds != cost.total(of_keras).mult_adds:
        return "the totals differ although the layers agree"
    return None


def main(names: list[str]) -> int:
    cases = {c.name: c for name in names for c in suites.load_suite(name).cases}
    by_request = {export.request(case): case for case in cases.values()}
    failures = 0
    for result in export.export(by_request, jobs=1):
        case = by_request[result.request]
        said = result.message if isinstance(result, export.ExportFailure) else difference(case, str(result.path))
        failures += said is not None
        steps = len([layer for layer in cost.of_case(case)[1] if layer.weights])
        print(f"{case.name:40} {steps:4} layers  {said or 'agrees'}", flush=True)
    print(f"{len(by_request) - failures} of {len(by_request)} agree")
    return bool(failures)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:] or ["default"]))
