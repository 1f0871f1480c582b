"""An evaluation as one HTML page that needs nothing else: no network, no other file."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Sequence
from html import escape
from typing import Final

from PIL import Image

from keras_archs.images.decoding import load_image
from keras_archs.images.errors import ImageError
from keras_archs.images.labels import Label
from keras_archs.images.preprocessing import Preprocessing
from keras_archs.training.answers import Answers, ClassResult
from keras_archs.training.proportion import Proportion
from keras_archs.training.summary import Evaluation, Measure

WORST: Final = 24
"""Pictures of mistakes on the page."""
CONFUSIONS: Final = 50
LISTED_FILES: Final = 200

_PICTURE_SIDE: Final = 192  # pixels; 24 pictures take about 250 KB

# Nothing on the page may load anything, whatever the names of files and classes contain.
_POLICY: Final = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"

_STYLE: Final = """
:root { color-scheme: light dark; --text: #1d2129; --faint: #5c6370; --line: #d9dde3; --back: #fff; --panel: #f4f6f9;
  --bar: #cfe0f7; --accent: #4a86d8; --bad: #c0392b }
@media (prefers-color-scheme: dark) {
  :root { --text: #e6e8ec; --faint: #9aa3b0; --line: #363c47; --back: #15181d; --panel: #1e2229; --bar: #24456e;
    --accent: #5b95e0; --bad: #ff7b6b }
}
* { box-sizing: border-box }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 0 auto; padding: 1.5rem 1rem 4rem;
  color: var(--text); background: var(--back); overflow-wrap: anywhere }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 .25rem }
h2 { font-size: 1.2rem; margin: 2.5rem 0 .5rem }
p { margin: .25rem 0 .75rem; max-width: 50rem }
.faint { color: var(--faint) }
nav { display: flex; flex-wrap: wrap; gap: .25rem 1.25rem }
a { color: inherit }
.measures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(20rem, 100%), 1fr)); gap: 1rem;
  margin: 1.25rem 0 }
.measure { background: var(--panel); border-radius: .5rem; padding: 1rem }
.measure b { display: block; font-size: 2.2rem; line-height: 1.2; font-variant-numeric: tabular-nums }
.measure p { margin: 0 }
.scale { position: relative; height: 1.25rem; margin: .6rem 0 .4rem; border-radius: .2rem; background: var(--bar) }
.scale i { position: absolute; top: 0; bottom: 0; min-width: 2px; background: var(--text); opacity: .55 }
.scale u { position: absolute; top: -.2rem; bottom: -.2rem; width: 3px; margin-left: -1.5px; background: var(--bad) }
.mistakes { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(11rem, 46%), 1fr)); gap: 1rem;
  padding: 0; margin: 1rem 0; list-style: none }
.mistakes img, .mistakes .none { display: block; width: 100%; height: auto; aspect-ratio: 1; object-fit: contain;
  border-radius: .3rem; background: var(--panel) }
.mistakes p { font-size: .85rem; line-height: 1.4; margin: .3rem 0 0 }
.table { overflow-x: auto }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; width: 100% }
th, td { padding: .35rem .6rem; border-bottom: 1px solid var(--line); text-align: right; vertical-align: top }
th.text, td.text { text-align: left; min-width: 6.5rem }
thead th { font-weight: 600; vertical-align: bottom; white-space: nowrap }
tbody th { font-weight: 400 }
th button { font: inherit; color: inherit; background: none; border: 0; padding: 0; cursor: pointer }
th button::after { content: " \\2195"; color: var(--faint) }
th[aria-sort=ascending] button::after { content: " \\2191"; color: inherit }
th[aria-sort=descending] button::after { content: " \\2193"; color: inherit }
td.share { background: linear-gradient(var(--accent), var(--accent)) no-repeat left bottom / var(--share) .2rem }
td, th { white-space: nowrap }
td.text, tbody th.text { white-space: normal }
code, .path { font: .85rem/1.4 ui-monospace, monospace; overflow-wrap: anywhere }
@media print {
  :root { --text: #000; --faint: #444; --line: #bbb; --back: #fff; --panel: #f4f6f9; --bar: #cfe0f7; --accent: #4a86d8;
    --bad: #c0392b }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact }
  body { max-width: none; padding: 0; font-size: 11pt }
  th button::after { content: "" !important }
  .mistakes li, tr, .measure { break-inside: avoid }
  h2 { break-after: avoid }
  nav { display: none }
  .table { overflow: visible }
}
"""

_SCRIPT: Final = """
for (const button of document.querySelectorAll("th button")) {
  button.addEventListener("click", () => {
    const heading = button.closest("th"), column = heading.cellIndex;
    const body = heading.closest("table").tBodies[0];
    const first = heading.classList.contains("text") ? "ascending" : "descending";
    const other = first === "ascending" ? "descending" : "ascending";
    const order = heading.getAttribute("aria-sort") === first ? other : first;
    for (const cell of heading.parentElement.cells) cell.removeAttribute("aria-sort");
    heading.setAttribute("aria-sort", order);
    const key = (row) => row.cells[column].dataset.value ?? row.cells[column].textContent;
    const sign = order === "ascending" ? 1 : -1;
    const compare = (a, b) => sign * key(a).localeCompare(key(b), undefined, { numeric: true });
    body.append(...[...body.rows].sort(compare));
  });
}
"""


def html_report(evaluation: Evaluation, preprocessing: Preprocessing) -> str:
    """Return the page: accuracy, the worst mistakes with pictures, confusions, all classes, and unreadable files.

    Args:
        evaluation: The evaluation.
        preprocessing: Preprocessing of the network; pictures show what the network saw.
    """
    title = f"Accuracy of {evaluation.subject}"
    sections = {heading: text for heading, text in _sections(evaluation, preprocessing) if text}
    body = "".join(
        f'<h2 id="{number}">{heading}</h2>\n{text}' for number, (heading, text) in enumerate(sections.items())
    )
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<title>{escape(title)}</title>
<style>{_STYLE}</style>
</head>
<body>
<header>
<h1>{escape(title)}</h1>
<p class="faint">{escape(evaluation.subject.weights)}<br>
{_images(evaluation)}</p>
</header>
<main>
<div class="measures">
{"".join(_measure(measure) for measure in evaluation.measures)}
</div>
{_published(evaluation)}
<nav>{" ".join(f'<a href="#{number}">{heading}</a>' for number, heading in enumerate(sections))}</nav>
{body}
</main>
<script>{_SCRIPT}</script>
</body>
</html>
"""


def _sections(evaluation: Evaluation, preprocessing: Preprocessing) -> Iterator[tuple[str, str]]:
    """Yield the heading and the content of each section, which may be empty."""
    answers, named = evaluation.answers, evaluation.named
    yield "Worst mistakes", _mistakes(answers, preprocessing)
    yield "Confusions", _confusions(answers)
    yield "Classes", _classes(answers)
    unreadable = [f"{answers.images.paths[position]}: {reason}" for position, reason in answers.unreadable.items()]
    yield "Images that could not be read", _list("They count neither as right nor as wrong.", unreadable)
    yield "Class folders without an image", _list("", named.empty)
    yield (
        "Files that are no images of a class",
        _list("In no class folder, or without a suffix of an image.", named.ignored),
    )


def _images(evaluation: Evaluation) -> str:
    answers = evaluation.answers
    return (
        f"{answers.top1.total:,} images of {len(answers.classes):,} of {len(answers.labels):,} classes in "
        f'<span class="path">{_path(evaluation.source)}</span>'
    )


def _measure(measure: Measure) -> str:
    low, high = measure.measured.interval
    mark = "" if measure.published is None else f'<u style="left: {measure.published:.2f}%"></u>'
    published = (
        ""
        if measure.published is None
        else f'<p class="faint">published: {measure.published:.4g}&nbsp;%, {measure.place} the interval</p>'
    )
    return f"""<div class="measure">
<p>{measure.name}</p>
<b>{_percent(measure.measured.value)}</b>
<p>{measure.measured.count:,} of {measure.measured.total:,}; 95 % interval {_percent(low)} to {_percent(high)}</p>
<div class="scale" aria-hidden="true"><i style="left: {100 * low:.2f}%; right: {100 - 100 * high:.2f}%"></i>{mark}</div>
{published}
</div>
"""


def _published(evaluation: Evaluation) -> str:
    published = evaluation.subject.published
    if published is None:
        return ""
    other = "" if evaluation.shows_all_classes else " The images here do not show all classes, so the two may differ."
    return f'<p class="faint">Published accuracy: {escape(published.source)}.{other}</p>'


def _mistakes(answers: Answers, preprocessing: Preprocessing) -> str:
    worst = answers.worst(WORST)
    if not worst:
        return ""
    items = "".join(_mistake(answers, position, preprocessing) for position in worst)
    return f"""<p>The {len(worst)} wrong answers of the highest probability, as the network saw the images.</p>
<ul class="mistakes">
{items}</ul>
"""


def _mistake(answers: Answers, position: int, preprocessing: Preprocessing) -> str:
    labels, images = answers.labels, answers.images
    predicted, right = int(answers.predicted[position]), int(images.classes[position])
    return f"""<li>
{_picture(answers, position, preprocessing)}
<p><strong>{_name(labels, predicted)}</strong> {_percent(answers.probability[position])}<br>
not {_name(labels, right)} {_percent(answers.probability_of_right[position])}<br>
<span class="path faint">{_path(images.paths[position])}</span></p>
</li>
"""


def _picture(answers: Answers, position: int, preprocessing: Preprocessing) -> str:
    try:
        pixels = load_image(answers.images.root / answers.images.paths[position], preprocessing)
    except (ImageError, OSError):  # changed or removed since it was classified
        return '<div class="none"></div>'
    picture = Image.fromarray(pixels.squeeze())
    picture.thumbnail((_PICTURE_SIDE, _PICTURE_SIDE))
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=80)
    encoded = base64.b64encode(file.getvalue()).decode("ascii")
    return f'<img src="data:image/jpeg;base64,{encoded}" alt="" width="{picture.width}" height="{picture.height}">'


def _confusions(answers: Answers) -> str:
    if not answers.confusions:
        return ""
    rows = "".join(
        f'<tr><th scope="row" class="text">{_name(answers.labels, confusion.right)}</th>'
        f'<td class="text">{_name(answers.labels, confusion.predicted)}</td><td>{confusion.images:,}</td></tr>\n'
        for confusion in answers.confusions[:CONFUSIONS]
    )
    more = len(answers.confusions) - CONFUSIONS
    note = f"<p>The {CONFUSIONS} most frequent of {len(answers.confusions):,}.</p>" if more > 0 else ""
    return note + _table(["class", "answer", "images"], rows, text=("class", "answer"))


def _classes(answers: Answers) -> str:
    measures = ["top-1", "top-5"] if answers.has_top5 else ["top-1"]
    headings = ["class", *measures, "images", "most often mistaken for", "index"]
    rows = "".join(_class(result, answers) for result in sorted(answers.classes, key=lambda each: each.top1.value))
    return _table(headings, rows, text=("class", "most often mistaken for"), sorted_by="top-1")


def _class(result: ClassResult, answers: Answers) -> str:
    labels = answers.labels
    shares = [result.top1, *([result.top5] if answers.has_top5 else [])]
    mistaken = "" if result.mistaken_for is None else f"{_name(labels, result.mistaken_for)} ({result.mistakes:,})"
    wordnet_id = labels[result.index].wordnet_id
    name = _name(labels, result.index) + (f' <small class="faint">{escape(wordnet_id)}</small>' if wordnet_id else "")
    return (
        f'<tr><th scope="row" class="text">{name}</th>{"".join(map(_share, shares))}'
        f'<td data-value="{result.top1.total}">{result.top1.total:,}</td>'
        f'<td class="text">{mistaken}</td><td>{result.index}</td></tr>\n'
    )


def _share(share: Proportion) -> str:
    return (
        f'<td class="share" style="--share: {100 * share.value:.1f}%" data-value="{share.value:.6f}">'
        f"{_percent(share.value)}</td>"
    )


def _table(headings: Sequence[str], rows: str, *, text: Sequence[str], sorted_by: str | None = None) -> str:
    def heading(name: str) -> str:
        kind = ' class="text"' if name in text else ""
        order = ' aria-sort="ascending"' if name == sorted_by else ""
        return f'<th scope="col"{kind}{order}><button type="button">{name}</button></th>'

    head = "".join(map(heading, headings))
    return f'<div class="table"><table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{rows}</tbody>\n</table></div>\n'


def _list(introduction: str, items: Sequence[str]) -> str:
    if not items:
        return ""
    lines = "".join(f'<li class="path">{_path(item)}</li>\n' for item in items[:LISTED_FILES])
    more = f"<p>and {len(items) - LISTED_FILES:,} more</p>\n" if len(items) > LISTED_FILES else ""
    return f"<p>{introduction}</p>\n<ul>\n{lines}</ul>\n{more}"


def _name(labels: Sequence[Label], index: int) -> str:
    return escape(labels[index].name)


def _path(path: str) -> str:
    # names of files need not be UTF-8
    return escape(path.encode("utf-8", "surrogateescape").decode("utf-8", "replace"))


def _percent(share: float) -> str:
    return f"{100 * share:.1f}&nbsp;%"
