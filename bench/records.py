"""The nouns that the rooms hand on to each other: frozen, typed, units in the field names.

`run.json` is exactly a `Run` encoded as JSON; a field that does not apply is null.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any

from msgspec import Meta

SCHEMA_VERSION = 2
INTERRUPTED = "not measured: the run was interrupted; `bench run --resume` goes on from there"
"""`Record.error` of what a run has not come to yet."""

Positive = Annotated[float, Meta(ge=1e-9, le=1e12)]
AtLeastZero = Annotated[float, Meta(ge=0, le=1e12)]
Count = Annotated[int, Meta(ge=1, le=1 << 40)]
Amount = Annotated[int, Meta(ge=0, le=1 << 60)]
Percent = Annotated[float, Meta(ge=0, le=100)]
"""Numbers that a stored file may hold; one that holds others is damaged."""

Arguments = dict[str, Any]
"""Arguments of a model's constructor beyond its input shape: JSON scalars by name, e.g. {"alpha": 0.5}."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelledImages:
    """Images on which a case's accuracy is measured, as a suite's key `accuracy` names them."""

    images: str  # folder: one folder a class, or flat with `labels`
    labels: str | None = None  # CSV of file,label
    classes: str | None = None  # file of the class names, in the order of the model's outputs
    preprocess: str | None = None  # one of suites.PREPROCESSES; None: the family's own
    output: str | None = None  # the model's output with the class scores; None: the one that can be it
    class_order: str | None = None  # one of suites.CLASS_ORDERS
    crop: float | None = None  # the share of the resized image's shorter side that is kept; None: 0.875
    resize: str = "cover"  # one of suites.RESIZES
    interpolation: str = "bilinear"


@dataclass(frozen=True, kw_only=True, slots=True)
class Training:
    """An embedded data set on which a case's weights are trained here, and its accuracy measured."""

    data: str  # one of suites.DATA_SETS
    examples: int | None = None  # training images, with changes; None: as many as the data set's recipe says
    epochs: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Calibration:
    """Images of one's own that set the ranges of a reduced precision, as a suite's key `calibrate` names them."""

    images: str  # folder, in any layout
    preprocess: str | None = None  # one of suites.PREPROCESSES; None: as for accuracy, or as the model's graph says


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """One thing to time: a model with its arguments, in one precision, on one device, with one batch size."""

    name: str  # shown to people and unique within a run, e.g. "MobileNet alpha=0.5 192px"
    model: str  # a backbone's name, "module:function", or the path of a .keras or .onnx file
    arguments: Arguments = field(default_factory=dict)
    input_shape: tuple[int, ...] | None = None  # without the batch, e.g. (224, 224, 3); None: as the .onnx file says
    dimensions: dict[str, int] = field(default_factory=dict)  # sizes of an .onnx file's open dimensions, by name
    input_shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)  # of a file's inputs by name ("": the only
    # one), the batch included: those asked for; once planned, all as they are fed
    head: str = "native"  # "native" (the model's own top), "none", or "notes" (global average pool + dense softmax)
    classes: int = 1000
    weights: str = "none"  # "none" (random), "imagenet", or the path of a weights file
    precision: str = "fp32"  # one of suites.PRECISIONS
    batch_size: Count = 1
    device: str = "auto"  # "auto" when asked for; "cpu" or "cuda" once planned
    runtime: str = "onnxruntime"  # one of suites.RUNTIMES
    provider: str | None = None  # what the runtime calls the device, once planned
    threads: Count | None = None  # intra-op threads; None until planned
    accuracy: LabelledImages | None = None  # None: not measured on images
    train: Training | None = None  # None: not trained here
    calibrate: Calibration | None = None  # of a reduced precision; None: embedded data, or noise

    @property
    def is_onnx(self) -> bool:
        """Whether the case is a user's own ONNX file."""
        return self.model.endswith(".onnx")

    @property
    def is_file(self) -> bool:
        """Whether the case is a user's own file that is timed as it is and needs no export."""
        return self.model.endswith((".onnx", ".tflite"))


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
    doubt: str | None = None  # why the figures may be wrong, and what to do
    detection: DetectionAccuracy | None = None  # of a localiser or detector; then there is no top-1
    alternatives: tuple[PublishedAccuracy, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Record:
    """All that is known of one case. A phase that failed for it takes nothing from what the others brought."""

    case: Case
    artifact: Artifact | None = None
    cost: Cost | None = None
    measurement: Measurement | None = None
    accuracy: Accuracy = field(default_factory=lambda: Accuracy(origin="none"))
    fidelity: Fidelity | None = None  # of the file in its runtime, against the default one; None: it is the default one
    kinds_ms: dict[str, float] | None = None  # of one profiled inference by kind of
    # layer, and "layout": profiling slows it, so only the proportions say something
    error: str | None = None  # None, or why there is no measurement, or what else failed
    failures: dict[str, str] = field(default_factory=dict)  # the phases that failed, as `Run.phases_s` calls them: why


@dataclass(frozen=True, kw_only=True, slots=True)
class Machine:
    """What must match for two runs to be comparable, what may drift, and what only informs."""

    must_match: dict[str, Any]
    may_drift: dict[str, Any]
    informs: dict[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """How the run was measured: the settings in force, not as asked."""

    rounds: int
    min_time_s: float  # a visit ends when both this time and `min_count` are reached
    min_count: int
    warmup_s: float  # the warm-up's bound
    budget_s: float | None
    spacing_s: float = 0.0  # visits to one case begin at least so far apart
    target_width: float = 0.02  # with a budget, further visits until every p50's 95 % interval is this narrow, relative
    seed: int  # of the rounds' shuffles and of the random inputs
    device: str
    provider: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Roofline:
    """What the machine did at most, through one of the run's runtimes, in fp32, when the run was measured."""

    gflops: Positive  # of a large product of matrices, 2 operations a mult-add
    gbytes_per_s: Positive  # of a large elementwise Add: bytes read and written
    threads: int
    provider: str
    cache_bytes: int | None = None  # of the last level; what fits into it need not come from memory; None: not known


@dataclass(frozen=True, kw_only=True, slots=True)
class Doubt:
    """One reason to doubt a run's figures."""

    level: str  # "shaky" or "unsound"
    what: str
    remedy: str
    cases: tuple[str, ...] = ()  # Case.name of those that it is about; () for the whole run


@dataclass(frozen=True, kw_only=True, slots=True)
class Trust:
    """What a run says of itself."""

    verdict: str  # "sound", "shaky" or "unsound": the level of the worst doubt
    doubts: tuple[Doubt, ...] = ()  # the worst first


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """One run of a suite on one machine: the content of `run.json`."""

    schema_version: int
    suite: str
    started_at: str  # UTC, ISO 8601
    machine: Machine
    settings: Settings
    records: tuple[Record, ...]
    title: str | None = None
    trust: Trust | None = None  # None until the run has ended
    left_out: tuple[str, ...] = ()  # cases of the suite that were not asked for
    phases_s: dict[str, float] = field(default_factory=dict)  # export, timing, ...: wall seconds
    roofline: Roofline | None = None
    roofline_error: str | None = None  # why it could not be measured

    @property
    def runtimes(self) -> dict[str, str]:
        """The runtimes of its cases, by name, with their versions."""
        names = sorted({record.case.runtime for record in self.records})
        return {name: str(self.machine.may_drift.get(name, "")) for name in names}


VERDICTS = ("slower", "faster", "suspect", "equivalent", "inconclusive", "missing", "added", "failed")
"""Two stored runs make a suspect at most: "slower" and "faster" come from both files timed anew, interleaved."""


@dataclass(frozen=True, kw_only=True, slots=True)
class QuantityChange:
    """One quantity beside p50 that differs between two records of a case."""

    name: str  # of bench.analysis.quantities
    baseline: float
    run: float
    better: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """What comparing one case of a run with its baseline concludes."""

    case: str  # Case.name
    verdict: str  # one of VERDICTS
    ratio: float | None = None  # p50 of the run over p50 of the baseline; above 1 is slower
    ratio_low: float | None = None  # 95 % interval
    ratio_high: float | None = None
    detectable: float | None = None  # smallest relative change that this pair of runs could have shown, e.g. 0.021
    baseline_p50_ms: float | None = None
    p50_ms: float | None = None
    confirmed: bool | None = None  # a suspect that was measured anew: it holds (True) or not (False); None: undecided
    attribution: tuple[str, ...] = ()  # what changed: "artifact", "runtime", "settings", "machine", or nothing
    reason: str | None = None  # why, where the figures alone do not say it; what fresh visits said
    quantities: tuple[QuantityChange, ...] = ()  # what else changed: size, peak memory, accuracy


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """Two runs compared, model by model."""

    suite: str
    baseline_started_at: str
    run_started_at: str
    margin: float  # as asked for, e.g. 0.03: noise widens intervals, never the margin
    noise: float | None  # how far visits of one case lie apart: the median over the cases of both runs, relative
    forced: bool  # compared although the runs are not comparable
    differing: tuple[str, ...]  # keys that differ, "key: baseline -> run"
    verdicts: tuple[Verdict, ...]
    anew: bool = False  # whether suspects were measured anew, as far as they could be
