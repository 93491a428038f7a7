"""What is known of one case: its file, cost, visits, measurement and accuracy."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from msgspec import Meta

from bench.records.case import PlannedCase
from bench.records.load import Load
from bench.records.numbers import Amount, AtLeastZero, Count, Percent, Positive


@dataclass(frozen=True, kw_only=True, slots=True)
class Fidelity:
    """How far an artifact's outputs are from those that it should have, on the same inputs.

    Logits against Keras's; a reduced precision is held against the fp32 file of the same network, by what the two
    files put out.
    """

    max_abs: float
    max_rel: float  # max-abs over the largest absolute value of the reference
    top1_agreement: float | None  # share of inputs, 0 to 1; None: the inputs are noise, which has no class
    inputs: int
    passed: bool  # of a reduced precision: it runs, and its outputs are finite
    reference: str = "Keras"  # what it was held against: "Keras" or "fp32"
    first_difference: str | None = None  # the layer where the two first part company, when found


@dataclass(frozen=True, kw_only=True, slots=True)
class Artifact:
    """A model's file (.onnx or .tflite) as it will be timed."""

    sha256: str
    size_bytes: Count
    opset: int | None  # None: no ONNX file
    key: str | None = None  # content key in the export cache; None for a user's own file
    nodes: int | None = None
    transposes: int | None = None  # Transpose nodes in the file
    transposes_optimised: int | None = None  # what is left of them after ONNX Runtime's own optimisation
    reorders_optimised: int | None = None  # layout reorder nodes that ONNX Runtime adds
    quantize_nodes_optimised: int | None = None  # of integers: (Dynamic)Quantize- and DequantizeLinear left by it
    calibration: str | None = None  # of a reduced precision: where the inputs that show agreement come from, and those
    # that set int8's ranges: an embedded data set, "synthetic" for noise, or a folder
    calibration_images: int | None = None  # how many set int8's ranges
    integers: str | None = None  # of int8 and int8-dynamic: the types of activations and weights, e.g. "u8s7"
    fidelity: Fidelity | None = None  # None for a user's own file: there is nothing to compare with
    export_s: float | None = None  # what making it took, when it was made; kept on a cache hit
    export_peak_rss_bytes: int | None = None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class KindCost:
    """The share of one kind of layer."""

    layers: int
    mult_adds: int
    params: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Cost:
    """What one inference at batch size 1 costs, counted from the graph, never taken from a table."""

    mult_adds: Amount
    params: Amount  # as Keras counts them, batch-norm statistics included
    activation_bytes: int | None = None  # all layer outputs together, 4 bytes an element
    peak_activation_bytes: int | None = None  # largest sum alive at once in a straight-line execution
    by_kind: dict[str, KindCost] | None = None  # keys: standard, grouped, depthwise, pointwise, dense, other
    uncounted: tuple[str, ...] = ()  # operators that could not be counted; never silently 0
    warnings: tuple[str, ...] = ()  # what is odd about the file that was counted, with what to do

    @property
    def is_lower_bound(self) -> bool:
        """Whether something could not be counted, so that the network has at least so many mult-adds."""
        return bool(self.uncounted)


@dataclass(frozen=True, kw_only=True, slots=True)
class Health:
    """What else happened on the machine during one visit; None where the system does not show it."""

    stolen_ms: float | None = None  # processor time that the host gave to others, during the samples
    throttled_ms: float | None = None  # held back by the container's processor limit
    involuntary_switches: int | None = None  # context switches forced on the worker, during the samples
    others_cpu_share: float | None = None  # processor time used by others, as a share of the cores given
    mhz_min: float | None = None  # of the processor's clocks, right after the samples
    mhz_max: float | None = None
    temperature_c: float | None = None
    threads_at_work: int | None = None  # that did the work of the samples, where the system shows it
    pace_ms: float | None = None  # median time of a fixed chain of small products, right after the samples; CPU only


@dataclass(frozen=True, kw_only=True, slots=True)
class Timed:
    """What a visit times: visits to other things of the same name are not mixed with it."""

    artifact: str  # sha256 of the file
    runtime: str  # its distribution and version
    machine: str  # store.machine_name of what must match


@dataclass(frozen=True, kw_only=True, slots=True)
class Visit:
    """One fresh worker process timing one case. Stored with its raw samples beside `run.json`."""

    case: str  # Case.name
    timed: Timed | None = None  # None outside a run
    round: int  # from 0; from Settings.rounds on, a further visit
    started_at: str  # UTC, ISO 8601
    samples_ns: Annotated[tuple[Count, ...], Meta(min_length=1)]
    copy_samples_ns: tuple[Count, ...] = ()  # the same with host-device copies; empty on the CPU
    warmup_ns: tuple[int, ...] = ()
    warmed_up: bool = True  # whether the samples were steady before the warm-up's bound
    load_ms: float
    first_inference_ms: float
    peak_rss_bytes: int
    provider: str  # what ran: the runtime's name for the device
    runtime: str = ""  # its version
    threads: int = 1
    provider_nodes: dict[str, int] = field(default_factory=dict)  # provider -> nodes that it runs, where known
    precisions: dict[str, int] = field(default_factory=dict)  # layers with weights by what they run in, where known
    health: Health = field(default_factory=Health)
    meters: dict[str, float] = field(default_factory=dict)  # what else was measured, by name: "energy_j"
    disturbances: tuple[str, ...] = ()  # why this visit is marked; empty when it is not


@dataclass(frozen=True, kw_only=True, slots=True)
class Metered:
    """What a meter read, summed up over a case's visits."""

    value: float
    low: float | None = None  # 95 % interval; None where visits are too few, or a maximum was taken
    high: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Measurement:
    """A case's latency: percentiles over its visits, each visit weighing the same, with 95 % intervals."""

    p50_ms: Positive  # of one inference of a whole batch
    p50_ms_low: Positive
    p50_ms_high: Positive
    p90_ms: Positive | None  # None where the count does not support the percentile
    p95_ms: Positive | None
    p95_ms_low: Positive | None = None  # None where too few visits or samples support an interval
    p95_ms_high: Positive | None = None
    p99_ms: Positive | None
    p99_ms_low: Positive | None = None
    p99_ms_high: Positive | None = None
    min_ms: Positive
    throughput_per_s: Positive  # images: batch size over p50
    load_ms: AtLeastZero
    first_inference_ms: AtLeastZero
    peak_rss_bytes: Amount
    visits: Count  # all of them, disturbed ones included
    samples: Count  # of the visits that count, see summary.counted
    visit_p50_ms: Annotated[tuple[Positive, ...], Meta(min_length=1)]  # one for each that counts, in order of time
    disturbed_visits: Amount = 0
    pace_ms: Positive | None = None  # of the machine: median over the visits that count, see Health
    meters: dict[str, Metered] = field(default_factory=dict)
    with_copies_p50_ms: Positive | None = None  # host-device copies included; None on the CPU


@dataclass(frozen=True, kw_only=True, slots=True)
class PublishedAccuracy:
    """One published figure for a model, with where it stands."""

    top1: Percent  # percent
    top5: Percent | None
    source: str  # what it is, e.g. "Keras Applications"
    reference: str  # where it stands: a URL, or an arXiv number with its table


@dataclass(frozen=True, kw_only=True, slots=True)
class DetectionAccuracy:
    """Detection figures in percent, measured on the artifact that is timed."""

    map: float  # COCO mAP @[.5:.05:.95]
    ap50: float
    ap75: float
    notes_map50: float  # the notes' AP at IoU 0.5, mean over classes
    mean_iou: float  # over images with an object
    class_accuracy: float  # over images with an object
    presence_accuracy: float  # over all images


@dataclass(frozen=True, kw_only=True, slots=True)
class Accuracy:
    """Accuracy in percent, and where it came from."""

    origin: str  # "published", "measured" or "none"
    top1: Percent | None = None
    top5: Percent | None = None
    source: str | None = None
    reference: str | None = None
    n: int | None = None  # images, when measured
    top1_low: float | None = None  # Wilson interval, when measured
    top1_high: float | None = None
    images: str | None = None  # which images, in which order: equal where networks were judged on the same ones
    right: str | None = None  # whether the first answer is right, of each of them: see `analysis.pairs.packed`
    doubt: str | None = None  # why the figures may be wrong, and what to do
    detection: DetectionAccuracy | None = None  # of a localiser or detector; then there is no top-1
    alternatives: tuple[PublishedAccuracy, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class CurvePoint:
    """The accuracy of a head that was trained on some of the training images, on all held-out ones."""

    images: Count  # trained on
    top1: Percent  # percent, with its Wilson interval
    top1_low: float
    top1_high: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Transfer:
    """How a head was trained on a frozen backbone's features of images of one's own."""

    images: str  # the folder
    weights: str  # of the backbone: "none" (random), "imagenet", or a file
    classes: Count
    training: Count  # images that the head was trained on
    held_out: Count  # images that it is judged on
    features: Count  # of an image
    strength: Positive  # of the regularisation: C, by cross-validation inside the training part
    validated: Percent  # percent: mean accuracy of that cross-validation
    converged: bool = True  # whether the head's solver came to its end
    curve: tuple[CurvePoint, ...] = ()  # the fewest images first
    unreadable: Amount = 0  # training images that could not be read
    tuned: tuple[Percent, ...] = ()  # percent: accuracy on a part of the training images, before fine-tuning and after
    # each epoch; the best one is kept
    notes: tuple[str, ...] = ()  # of the folder: how it was divided, what was left out
    extracted_per_s: Positive | None = None  # images a second of the features; None: all were stored
    inferred_per_s: Positive | None = None  # what inference alone would allow


@dataclass(frozen=True, kw_only=True, slots=True)
class Record:
    """All that is known of one case. A phase that failed for it takes nothing from what the others brought."""

    case: PlannedCase
    artifact: Artifact | None = None
    cost: Cost | None = None
    measurement: Measurement | None = None
    accuracy: Accuracy = field(default_factory=lambda: Accuracy(origin="none"))
    fidelity: Fidelity | None = None  # of the file in its runtime, against the default one; None: it is the default one
    load: Load | None = None  # None: no load was put on it
    transfer: Transfer | None = None  # None: no head was trained on images of one's own
    kinds_ms: dict[str, float] | None = None  # of one profiled inference by kind of
    # layer, and "layout": profiling slows it, so only the proportions say something
    error: str | None = None  # None, or why there is no measurement, or what else failed
    failures: dict[str, str] = field(default_factory=dict)  # the phases that failed, as `Run.phases_s` calls them: why
