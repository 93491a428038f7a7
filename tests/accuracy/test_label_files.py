"""Files of labels as spreadsheets, pandas and data sets write them, and what is said of rows that are none."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.accuracy import label_files
from bench.errors import WrongUsage

THERE = ["a 1.png", "b.jpg", "c.JPEG", "deep/d.png", "é.png"]
WANTED = {"a 1.png": "3", "b.jpg": "1", "c.JPEG": "3"}


def labels(tmp_path: Path, text: str | bytes, *, listed: bool = False) -> dict[str, str]:
    path = tmp_path / "labels.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return label_files.read(path, THERE, listed=listed).words


ROWS = "a 1.png,3\nb.jpg,1\nc.JPEG,3\n"
HEADINGS = ["file,label", "image_id,label", "id,breed", "Image Name,Label", "img,target", "path,y", "x,what it is"]


@pytest.mark.parametrize("heading", HEADINGS)
def test_a_heading_is_a_row_whose_file_is_missing_while_others_are_there(tmp_path: Path, heading: str) -> None:
    assert labels(tmp_path, f"{heading}\n{ROWS}") == WANTED


def test_a_first_row_with_the_name_of_an_image_is_data(tmp_path: Path) -> None:
    assert labels(tmp_path, f"gone.png,7\n{ROWS}") == {"gone.png": "7"} | WANTED
    assert labels(tmp_path, f"gone,3\n{ROWS}") == {"gone": "3"} | WANTED, "its label is that of others"
    assert labels(tmp_path, f"b,2\n{ROWS.replace('b.jpg,1', 'deep/d.png,1')}")["b.jpg"] == "2", "it is there"


@pytest.mark.parametrize(
    "text",
    [
        ROWS.replace("\n", "\r\n"),
        "\ufeff" + ROWS,
        ROWS.replace(",", ";"),
        "sep=;\nfile;label\n" + ROWS.replace(",", ";"),
        ROWS.replace(",", "\t"),
        ROWS.replace(",", "|"),
        ROWS.replace(",", " , "),
        ROWS.replace("a 1.png", '"a 1.png"').replace(",", ', "').replace("\n", '"\n'),
        "\n" + ROWS.replace("\n", "\n\n"),
        ROWS.rstrip("\n"),
        ",file,label\n0,a 1.png,3\n1,b.jpg,1\n2,c.JPEG,3\n",
        "label,file\n3,a 1.png\n1,b.jpg\n3,c.JPEG\n",
        "file,width,label\na 1.png,640,3\nb.jpg,480,1\nc.JPEG,64,3\n",
        "a 1,3\nb,1\nc,3\n",
        "im/a 1.png,3\nim/b.jpg,1\nim/c.JPEG,3\n",
        "./a 1.png,3\n./b.jpg,1\n./c.JPEG,3\n",
        "/data/set/im/a 1.png,3\n/data/set/im/b.jpg,1\n/data/set/im/c.JPEG,3\n",
        "C:\\im\\a 1.png,3\nC:\\im\\b.jpg,1\nC:\\im\\c.JPEG,3\n",
        ROWS.replace("3", "3.0").replace("1\n", "1.0\n"),
        ROWS.encode("utf-16"),
    ],
)  # fmt: skip
def test_every_common_way_of_writing_says_the_same(tmp_path: Path, text: str | bytes) -> None:
    assert labels(tmp_path, text) == WANTED


def test_spaces_between_columns(tmp_path: Path) -> None:
    assert labels(tmp_path, "b.jpg 1\nc.JPEG 3\n") == {"b.jpg": "1", "c.JPEG": "3"}


@pytest.mark.parametrize("text", ["é.png,3\n", "e\u0301.png,3\n", "é.png,3\n".encode("cp1252"), "é,3\n"])
def test_accents_in_any_form_and_encoding(tmp_path: Path, text: str | bytes) -> None:
    assert labels(tmp_path, text) == {"é.png": "3"}


def test_names_that_are_not_utf8_are_those_of_the_file_system(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_bytes(b"caf\xe9.png,3\n")
    assert label_files.read(tmp_path / "labels.csv", ["caf\udce9.png"]).words == {"caf\udce9.png": "3"}


def test_the_whole_name_goes_before_one_without_its_suffix(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text("label,file\n1,2.png\n2,1.png\n")
    assert label_files.read(path, ["1.png", "2.png"]).words == {"2.png": "1", "1.png": "2"}


def test_two_files_that_differ_in_the_suffix_alone_are_not_mixed_up(tmp_path: Path) -> None:
    path, there = tmp_path / "labels.csv", ["a.png", "a.jpg", "b.png"]
    path.write_text("a.png,1\na.jpg,2\nb,3\n")
    assert label_files.read(path, there).words == {"a.png": "1", "a.jpg": "2", "b.png": "3"}
    path.write_text("b,1\na,2\n")
    with pytest.raises(WrongUsage, match=r"labels.csv:2: a may be a.png or a.jpg; write the whole name"):
        label_files.read(path, there)


NUMBERS = "".join(f"{name},{number}\n" for number, name in enumerate(THERE)) + "".join(
    f"x{i}.png,{i}\n" for i in (7, 8)
)


@pytest.mark.parametrize("stray", ["-1", "3.0", "cat", "nan", "1e3", "unknown", "label"])
def test_a_stray_word_among_numbers_is_named_with_its_line(tmp_path: Path, stray: str) -> None:
    with pytest.raises(WrongUsage, match=rf'labels.csv:8: "{stray}" is no class number, as 7 of 8 labels are; correct'):
        labels(tmp_path, f"{NUMBERS}y.png,{stray}\nz.png,{stray}\n")
    assert labels(tmp_path, f"{NUMBERS}y.png,{stray}\n", listed=True)["y.png"] == stray, "a list may have it"


def test_a_number_is_no_stray_among_many_names(tmp_path: Path) -> None:
    hexadecimal = "".join(f"{n:x}.png,{n:x}\n" for n in range(16))
    assert len(labels(tmp_path, "b.jpg,0\n" + hexadecimal)) == 17
    with pytest.raises(WrongUsage, match=r'labels.csv:2: "-1" is no class number'):
        labels(tmp_path, "b.jpg,1\nc.JPEG,-1\n")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("b.jpg,1\nc.JPEG\n", r"labels.csv:2: must be file,label; it is 'c.JPEG'"),
        ("b.jpg,1\nc.JPEG,\n", r"labels.csv:2: must be file,label"),
        ("b.jpg,1\nb.jpg,2\n", r"labels.csv:2: b.jpg is labelled 2, but 1 above; keep one of them"),
        ("b.jpg,1\nb,2\n", r"labels.csv:2: b.jpg is labelled 2"),
        ("x.jpg,1\ny.jpg,2\n", r"none of the 2 files that .*labels.csv names, e.g. x.jpg; names are relative"),
        ("train/x.jpg,1\ntest/b.jpg,2\nval/c.JPEG,3\n", r"none of the 3 files .* e.g. test/b.jpg"),
        ("", r"names no images; write file,label lines"),
        ("\n\n", r"names no images"),
        ("file,label\n", r"names no images"),
        (b"\x00\x01\x02\xff" * 50, r"labels.csv"),
    ],
)
def test_rows_that_are_none(tmp_path: Path, text: str | bytes, says: str) -> None:
    with pytest.raises(WrongUsage, match=says) as raised:
        labels(tmp_path, text)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "text",
    [
        "file,cat,dog,bee\na 1.png,0,0,1\nb.jpg,1,0,0\nc.JPEG,0,1,0\n",
        "a 1.png;0.0;1.0\nb.jpg;1.0;0.0\nc.JPEG;0.0;1.0\n",
    ],
)
def test_a_column_a_class_is_refused_and_not_read_as_the_first_of_them(tmp_path: Path, text: str) -> None:
    with pytest.raises(WrongUsage, match=r"has a column for each class.*write file,label lines"):
        labels(tmp_path, text)


def test_columns_of_noughts_and_ones_beside_a_label_are_nothing(tmp_path: Path) -> None:
    assert labels(tmp_path, "file,label,flipped\na 1.png,1,0\nb.jpg,0,1\n") == {"a 1.png": "1", "b.jpg": "0"}
    assert labels(tmp_path, ",file,kind\n0,a 1.png,5\n1,b.jpg,1\n") == {"a 1.png": "5", "b.jpg": "1"}
