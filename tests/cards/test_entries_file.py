"""The form of the files of entries: values are shared, and what is wrong is named with its place."""

from __future__ import annotations

import pytest

from keras_archs.cards.entries_file import read_entries
from keras_archs.cards.weights_entry import Checksum, WeightsFile

SHARED = """
names = "torchvision-resnet"
mean = [123.675, 116.28, 103.53]
std = [58.395, 57.12, 57.375]
size = 224
interpolation = "bilinear"

[somebody]
location = "https://example.org/weights"
licence = "MIT"
accuracy = "somebody's page"
crop = 0.875

[somebody.weights]
"""
SHA1 = "0123456789abcdef0123456789abcdef01234567"


def read(*lines: str) -> list[WeightsFile]:
    """The files of the first entry."""
    (entry, *_) = read_entries(SHARED + "\n".join(lines), "resnet").entries["resnet-50"]
    return list(entry.files)


def test_a_line_goes_before_its_group_and_the_group_before_the_file() -> None:
    content = read_entries(
        SHARED
        + """
        "resnet-50 somebody/a" = { files = [{ url = "a.pth" }], top1 = 75.0, top5 = 92.0 }
        "resnet-50 somebody/b" = { files = [{ url = "b.pth" }], size = 160, licence = "Apache-2.0", default = true }
        [other]
        licence = "BSD-3-Clause"
        mean = [0.0, 0.0, 0.0]
        resize = 256
        [other.weights]
        "resnet-50 other" = { files = [{ url = "https://example.com/c.h5" }] }
        """,
        "resnet",
    )
    b, a, other = content.entries["resnet-50"]
    assert [entry.tag for entry in (b, a, other)] == ["somebody/b", "somebody/a", "other"]
    assert (a.licence, b.licence, other.licence) == ("MIT", "Apache-2.0", "BSD-3-Clause")
    assert (a.preprocessing.size, b.preprocessing.size) == ((224, 224), (160, 160))
    assert list(other.preprocessing.mean) == [0, 0, 0]
    assert other.preprocessing.crop_fraction == 224 / 256
    assert a.top1 is not None and (a.top1.value, a.top1.source, a.top5) == (75, "somebody's page", 92)
    assert b.top1 is None


def test_the_form_of_a_file_follows_from_its_place_and_name() -> None:
    files = read(
        '"resnet-50 a" = { files = [',
        '  { package = "weights_of_resnet/models/a.pth" },',
        '  { hub = "somebody/resnet50", revision = "v1", bytes = 7 },',
        f'  {{ url = "v1/a-01234567.pth.zip", sha1_of_content = "{SHA1}" }},',
        '  { url = "https://example.com/a-89abcdef.pth" },',
        '  { url = "a.h5", md5 = "89abcdef89abcdef89abcdef89abcdef" },',
        "] }",
    )
    assert files == [
        WeightsFile("package", "weights_of_resnet", "models/a.pth", "torch"),
        WeightsFile("hub", "somebody/resnet50", "model.safetensors", "safetensors", None, "v1", 7),
        WeightsFile(
            "url",
            "https://example.org/weights/v1",
            "a-01234567.pth.zip",
            "zipped-torch",
            Checksum("sha1", SHA1, "content"),
        ),
        WeightsFile("url", "https://example.com", "a-89abcdef.pth", "torch", Checksum("sha256", "89abcdef")),
        WeightsFile(
            "url", "https://example.org/weights", "a.h5", "h5", Checksum("md5", "89abcdef89abcdef89abcdef89abcdef")
        ),
    ]


FILES = 'files = [{ url = "a.pth" }]'


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('"resnet-50 a" = 1', r"resnet.toml, \[somebody\]: the table 'weights' must have a table per entry"),
        ('"resnet-50" = { %s }', r"\[somebody.weights\], 'resnet-50': the key must be a network, a space and a tag"),
        ('"vgg-16 a" = { %s }', "name must begin with the file's name, 'resnet'; got 'vgg-16'"),
        ('"resnet-50 a" = { %s, top_1 = 76.1 }', r"'resnet-50 a': unknown key 'top_1'; allowed are files, location"),
        ('"resnet-50 a" = { %s, top1 = "76.1" }', "top1 must be of type float, got '76.1'"),
        ('"resnet-50 a" = { %s, size = true }', "size must be of type int, got True"),
        ('"resnet-50 a" = { %s, top1 = 93.0, top5 = 76.1 }', "at most top5, got 93.0 and 76.1"),
        ('"resnet-50 a" = { %s, top1 = 76.1, accuracy = "" }', "accuracy, the source of top1, is missing"),
        ('"resnet-50 a" = { %s, resize = 256 }', "either crop .* or resize"),
        ('"resnet-50 a" = { %s, interpolation = "nearest" }', "interpolation must be 'bicubic' or 'bilinear'"),
        ('"resnet-50 a" = { %s, mean = [0.5] }', "mean and std must be equally long"),
        ('"resnet-50 a" = { %s, dataset = "imagenet21k" }', "dataset must be one of imagenet, cifar10"),
        ('"resnet-50 a" = { %s, channel_order = "brg" }', "channel_order must be one of rgb, bgr"),
        ('"resnet-50 a" = { top1 = 76.1 }', "files missing"),
        ('"resnet-50 a" = { files = [] }', "at least one file"),
        ('"resnet-50 a" = { files = ["a.pth"] }', "a file must be a table, got 'a.pth'"),
        ('"resnet-50 a" = { files = [{ url = "a.pth", hub = "b" }] }', "one of package, hub, url, and at most one"),
        ('"resnet-50 a" = { files = [{ url = "a.pth", sha256 = "a", md5 = "b" }] }', "at most one checksum"),
        ('"resnet-50 a" = { files = [{ url = "a.pth", sha256 = "A0" }] }', "8 to 64 digits 0-9 and a-f, got 'A0'"),
        ('"resnet-50 a" = { files = [{ url = "a.pth", sha_256 = "a" }] }', "files: unknown key 'sha_256'"),
        ('"resnet-50 a" = { files = [{ url = "a.tgz" }] }', "'a.tgz' must end with one of .h5, .pth"),
        ('"resnet-50 a" = { %s }\n"resnet-50 a" = { %s }', "Cannot overwrite a value"),
        ('"resnet-50 a" = { %s, default = true }\n"resnet-50 b" = { %s, default = true }', "has two defaults"),
        (
            '"resnet-50 a" = { %s }\n[other]\nlicence = "MIT"\ncrop = 1.0\n[other.weights]\n"resnet-50 a" = { %s }',
            r"\[other.weights\], 'resnet-50 a': resnet-50 has two entries with the tag 'a'",
        ),
        ("[weights_of]\nvgg-16 = 'resnet-50'", "name must begin with the file's name, 'resnet'; got 'vgg-16'"),
        ("[empty]\ncrop = 1.0", r"\[empty\]: the table 'weights' must have"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(line: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as error:
        read(line.replace("%s", FILES))
    assert str(error.value).startswith("resnet.toml")
