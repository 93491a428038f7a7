"""Suite files: what they expand to, and what is said of a wrong one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bench import suites
from bench.errors import WrongUsage
from bench.records import Case


def write(folder: Path, text: str) -> Path:
    path = folder / "mine.toml"
    path.write_text(text)
    return path


def test_models_stand_at_their_native_size(tmp_path: Path) -> None:
    suite = suites.load_suite(write(tmp_path, 'title = "T"\nmodels = ["ResNet50", "InceptionV3"]'))
    assert [(c.name, c.input_shape) for c in suite.cases] == [
        ("ResNet50", (224, 224, 3)),
        ("InceptionV3", (299, 299, 3)),
    ]
    assert suite.title == "T"
    assert suite.name == "mine"


def test_lists_are_swept_as_a_product(tmp_path: Path) -> None:
    suite = suites.load_suite(
        write(tmp_path, '[[case]]\nmodel = "MobileNet"\nalpha = [0.5, 1.0]\ninput_size = [128, 224]\nthreads = [1, 2]')
    )
    assert len(suite.cases) == 8
    first = suite.cases[0]
    assert first.name == "MobileNet alpha=0.5 128px threads=1"
    assert first.arguments == {"alpha": 0.5}
    assert (first.input_shape, first.threads) == ((128, 128, 3), 1)
    assert len({c.name for c in suite.cases}) == 8


def test_a_head_is_named_where_it_is_swept(tmp_path: Path) -> None:
    one, two = '[[case]]\nmodel = "MobileNet"\nhead = "notes"\n', 'head = ["native", "notes"]'
    assert suites.load_suite(write(tmp_path, one)).cases[0].name == "MobileNet"
    swept = suites.load_suite(write(tmp_path, one.replace('head = "notes"', two))).cases
    assert [case.name for case in swept] == ["MobileNet head=native", "MobileNet head=notes"]
    with pytest.raises(WrongUsage, match="two cases are called"):
        suites.load_suite(write(tmp_path, one + one.replace("notes", "native")))


def test_onnx_files_are_cases(tmp_path: Path) -> None:
    (tmp_path / "net.onnx").write_bytes(b"x")
    suite = suites.load_suite(write(tmp_path, '[[case]]\nmodel = "net.onnx"\ndimensions = {N = 4, H = 32}'))
    (case,) = suite.cases
    assert case.is_onnx
    assert Path(case.model) == tmp_path / "net.onnx"
    assert case.dimensions == {"N": 4, "H": 32}
    assert case.input_shape is None
    files = [str(tmp_path / "a.onnx"), str(tmp_path / "b.onnx")]
    for file in files:
        Path(file).touch()
    several = suites.load_suite(files)
    assert [c.name for c in several.cases] == ["a", "b"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('models = ["MobilNet"]', r'mine\.toml:1: "models".*MobilNet.*did you mean "MobileNet"'),
        ('modles = ["VGG16"]', r'mine\.toml:1: "modles".*did you mean "models"'),
        ("models = 3", r'"models" must be a list'),
        ('title = 3\nmodels = ["VGG16"]', r'mine\.toml:1: "title" must be a string'),
        ('models = ["VGG16"', r"mine\.toml: not a readable TOML"),
        ('[[case]]\nmodel = "MobileNet"\nalhpa = 0.5', r'mine\.toml:3: "alhpa".*did you mean "alpha"'),
        ('[[case]]\nmodel = "VGG16"\nalpha = 0.5', r'mine\.toml:3: "alpha".*VGG16 takes no alpha'),
        ('[[case]]\nmodel = "VGG16"\n[[case]]\nmodel = "MobileNet"\nthreads = "2"', r'mine\.toml:5: "threads".*whole'),
        ('[[case]]\nmodel = "MobileNet"\nthreads = true', r'"threads" is True'),
        ('[[case]]\nmodel = "MobileNet"\nthreads = 0', r'"threads" is 0'),
        ('[[case]]\nmodel = "MobileNet"\ninput_size = []', r'"input_size" is an empty list'),
        ('[[case]]\nmodel = "MobileNet"\nprecision = "fp8"', r'"precision" is .fp8.; valid: fp16, fp32, int8'),
        ('[[case]]\nmodel = "MobileNet"\nname = ["a", "b"]', r'"name" cannot be a list'),
        ('[[case]]\nmodel = "Xception"\ninput_size = 32', r'"input_size" is 32; Xception needs at least 71'),
        ("[[case]]\nalpha = 0.5", r'number 1 has no "model"'),
        ('models = ["VGG16", "VGG16"]', r'two cases are called "VGG16"'),
        ('title = "empty"', r"no cases"),
    ],
)
def test_a_wrong_suite_is_named(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(WrongUsage) as raised:
        suites.load_suite(write(tmp_path, text))
    message = str(raised.value)
    assert re.search(says, message), message
    assert "\n" not in message


def test_a_misspelt_suite_is_named() -> None:
    with pytest.raises(WrongUsage, match='did you mean "default"'):
        suites.load_suite("defualt")
    with pytest.raises(WrongUsage, match="does not exist"):
        suites.load_suite("nowhere/else.toml")


def test_select_by_name_model_and_pattern() -> None:
    cases = suites.load_suite("mobilenet").cases
    assert len(suites.select(cases, ["mobilenet alpha=0.5*"])) == 4
    assert len(suites.select(cases, [])) == len(cases)
    assert {c.model for c in suites.select(cases, ["ConvMobileNet"])} == {"ConvMobileNet"}
    with pytest.raises(WrongUsage, match="did you mean"):
        suites.select(cases, ["ConvMobilNet"])


@pytest.mark.parametrize("name", suites.names())
def test_every_suite_that_comes_along_loads(name: str) -> None:
    assert suites.load_suite(name).cases


def test_the_default_suite_has_one_backbone_of_each_family() -> None:
    assert [c.model for c in suites.load_suite("default").cases] == [
        "ResNet50", "VGG16", "InceptionV3", "Xception", "MobileNet", "MobileNetV2", "MobileNetV3Large",
        "EfficientNetB0", "DenseNet121", "NASNetMobile", "InceptionResNetV2", "ResNeXt50",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("models", "labels"),
    [
        (["resnet/model.onnx", "vit/model.onnx"], ["resnet/model", "vit/model"]),
        (["a/b/model.onnx", "c/b/model.onnx", "old.onnx"], ["a/b/model", "c/b/model", "old"]),
        (["net.onnx", "net.keras"], ["net.onnx", "net.keras"]),
        (["m/VGG16.onnx", "VGG16"], ["VGG16.onnx", "VGG16"]),
        (["模型甲.onnx", "模型乙.onnx"], ["模型甲", "模型乙"]),
        (["v1.0.onnx", "v1.1.onnx"], ["v1.0", "v1.1"]),
    ],
)
def test_files_are_called_by_the_shortest_path_that_sets_them_apart(models: list[str], labels: list[str]) -> None:
    assert list(map(suites.distinct(models).get, models)) == labels


def test_two_files_of_one_name_are_two_cases(tmp_path: Path) -> None:
    text = '[[case]]\nmodel = "resnet/model.onnx"\n[[case]]\nmodel = "vit/model.onnx"\nthreads = [1, 2]'
    names = [case.name for case in suites.load_suite(write(tmp_path, text)).cases]
    assert names == ["resnet/model", "vit/model threads=1", "vit/model threads=2"]
    (tmp_path / "a.onnx").touch()
    with pytest.raises(WrongUsage, match='two cases are called "a"'):
        suites.load_suite([str(tmp_path / "a.onnx")] * 2)


@pytest.mark.parametrize(
    ("value", "shapes"),
    [
        ('"1x3x64x64"', {"": (1, 3, 64, 64)}),
        ("[1, 3, 64, 64]", {"": (1, 3, 64, 64)}),
        ('{x = "1x3x64x64", "a b" = [2]}', {"x": (1, 3, 64, 64), "a b": (2,)}),
    ],
)
def test_shapes_of_a_files_inputs(tmp_path: Path, value: str, shapes: dict) -> None:
    (case,) = suites.load_suite(write(tmp_path, f'[[case]]\nmodel = "m.onnx"\ninput_shape = {value}')).cases
    assert case.input_shapes == shapes


@pytest.mark.parametrize(
    ("model", "line", "says"),
    [
        ("m.onnx", "input_size = 64", r'mine\.toml:3: "input_size" has no effect on m\.onnx: .*input_shape'),
        ("m.onnx", "input_size = [32, 64]", r'"input_size" has no effect'),
        ("m.onnx", "alpha = 0.5", r'"alpha" has no effect on m\.onnx: .*timed as it is; name the Keras model'),
        ("m.onnx", 'precision = "int8"', r'"precision" has no effect'),
        ("m.onnx", 'weights = "imagenet"', r'"weights" has no effect'),
        ("m.onnx", 'head = "notes"', r'"head" has no effect'),
        ("m.onnx", "classes = 10", r'"classes" has no effect'),
        ("m.onnx", "arguments = {a = 1}", r'"arguments" has no effect'),
        ("m.keras", "arguments = {a = 1}", r'"arguments" has no effect on m\.keras: .*module:function'),
        ("VGG16", "dimensions = {batch = 2}", r'"dimensions" has no effect on VGG16: .*input_size and batch_size'),
        ("a:b", 'input_shape = "1x3x8x8"', r'"input_shape" has no effect on a:b'),
        ("m.onnx", 'input_shape = "1x3x0x8"', r"has a size of 0"),
        ("m.onnx", 'input_shape = "224"\ninput_shape = 3', r"not a readable TOML"),
        ("m.onnx", "input_shape = 3", r'"input_shape" is 3; it must be a shape such as'),
        ("m.onnx", "input_shape = []", r'"input_shape" is \[\]'),
        ("m.onnx", "input_shape = [1, -3]", r"is -3; it must be of positive whole numbers"),
        ("m.onnx", 'dimensions = {batch = "2"}', r'"dimensions" is .2.; it must be a table of positive whole'),
        ("m.onnx", "dimensions = {batch = 0}", r'"dimensions" is 0'),
        ("m.onnx", "batch_size = 99999999999", r'"batch_size" is 99999999999'),
        ("a:b", "arguments = {when = 2020-01-01}", r'"arguments": 2020-01-01 cannot be handed on'),
        ("MobileNet", "alpha = nan", r'"alpha" is nan'),
    ],
)
def test_a_key_without_effect_or_sense_is_refused(tmp_path: Path, model: str, line: str, says: str) -> None:
    with pytest.raises(WrongUsage, match=says):
        suites.load_suite(write(tmp_path, f'[[case]]\nmodel = "{model}"\n{line}'))


def test_arguments_of_a_builder_may_be_lists_and_tables(tmp_path: Path) -> None:
    text = '[[case]]\nmodel = "a:b"\narguments = {widths = [16, 32], more = {deep = [[1]]}, on = true}'
    (case,) = suites.load_suite(write(tmp_path, text)).cases
    assert case.arguments == {"widths": [16, 32], "more": {"deep": [[1]]}, "on": True}


def test_what_was_left_out_twice_stays_left_out(tmp_path: Path) -> None:
    suite = suites.Suite(
        "s", "s", tuple(Case(name=f"{m} {r}", model=m, runtime=r) for m in "ab" for r in ("onnxruntime", "openvino"))
    )
    some = suites.in_runtimes(suites.only(suite, ["a"]), ["openvino"])
    assert [case.name for case in some.cases] == ["a openvino"]
    assert set(some.left_out) == {"a onnxruntime", "b onnxruntime", "b openvino"}


def test_a_suite_of_an_editor_on_windows_is_read_and_another_encoding_is_named(tmp_path: Path) -> None:
    text = 'title = "é"\r\n[[case]]\r\nmodel = "a.onnx"\r\n'
    (tmp_path / "bom.toml").write_bytes(text.encode("utf-8-sig"))
    assert [case.name for case in suites.load_suite(str(tmp_path / "bom.toml")).cases] == ["a"]
    for encoding in ("latin-1", "utf-16"):
        (tmp_path / "other.toml").write_bytes(text.encode(encoding))
        with pytest.raises(WrongUsage, match=r"other\.toml: not UTF-8, as TOML is.*save it"):
            suites.load_suite(str(tmp_path / "other.toml"))


@pytest.mark.parametrize("files", [("gone.onnx",), ("here.onnx", "gone.tflite"), ("\0.onnx",)])
def test_a_file_that_is_not_there_is_wrong_usage(
    files: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("here.onnx").write_bytes(b"")
    with pytest.raises(WrongUsage, match=r"no file .*; correct the path"):
        suites.load_suite(files)


@pytest.mark.parametrize("name", ["net.pt", "net.pb", "model.bin", "/dev/null"])
def test_a_file_of_another_kind_says_what_to_export_it_to(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    if not name.startswith("/"):
        Path(name).write_bytes(b"x")
    for asked in (lambda: suites.load_suite(name), lambda: suites.case_of_model(name)):
        with pytest.raises(WrongUsage, match=r"is no model that is taken here; export it to \.onnx(,| or) \.tflite"):
            asked()


def test_a_keras_file_in_place_of_a_suite_is_to_be_exported(tmp_path: Path) -> None:
    (tmp_path / "net.keras").write_bytes(b"x")
    with pytest.raises(
        WrongUsage, match=r"net\.keras is no model that is taken here; export it to \.onnx or \.tflite$"
    ):
        suites.load_suite(str(tmp_path / "net.keras"))
