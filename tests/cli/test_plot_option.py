"""The option `--plot`."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

from keras_archs.cli.app import run
from tests.support.command_line import Captured


def test_an_html_page_contains_picture_and_table_and_no_external_resources(capsys: Captured, tmp_path: Path) -> None:
    pages = {
        "compare": ["efficientnet-b0", "resnet-50"],
        "profile": ["mobilenet-0.25-128"],
        "scale": ["mobilenet-1.0-224", "--phi", "0,1"],
    }
    for command, arguments in pages.items():
        path = tmp_path / f"{command}.html"
        assert run([command, *arguments, "--plot", str(path)]) == 0
        page = path.read_text(encoding="utf-8")
        picture = ElementTree.fromstring(page[page.index("<svg") : page.index("</svg>") + len("</svg>")])
        assert picture.findall(".//{*}path")
        assert not re.search(r'(?:src|href)="(?!#)|<script|url\((?!#)', page)
    page = (tmp_path / "compare.html").read_text(encoding="utf-8")
    assert (
        "<title>model: resnet-50\ninput: 224x224\nparameters: 25,610,152\nmacs: 4,089,184,256\ntop1: 76.13</title>"
        in page
    )
    assert '<tr><th scope="row">efficientnet-b0</th><td>224x224</td><td>5,330,564</td>' in page
