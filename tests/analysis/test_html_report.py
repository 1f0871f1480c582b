"""HTML pages of a figure and its table: text is escaped, points have tooltips, and pages are reproducible."""

from matplotlib.figure import Figure

from keras_archs.analysis.html_report import html_page

NASTY = "</title><script>alert(1)</script>&\"'"


def test_text_is_always_escaped() -> None:
    figure = Figure()
    figure.subplots().plot(1, 1, "o", gid=NASTY, label=NASTY)
    page = html_page(NASTY, figure, ["name", NASTY], [[NASTY, "<b>bold</b>"]])
    assert "<script" not in page
    assert "<b>" not in page
    assert "<td>&lt;b&gt;bold&lt;/b&gt;</td>" in page
    assert page.count("</title>") == 2  # one of the page, one of the point
    assert "<title>name: &lt;/title&gt;&lt;script&gt;" in page


def test_a_point_has_its_row_as_tooltip() -> None:
    figure = Figure()
    axis = figure.subplots()
    axis.plot(1, 1, "o", gid="first")
    axis.plot(2, 2, "o", gid="second/growth")
    axis.plot(3, 3, "o", gid="third")
    page = html_page("Numbers", figure, ["name", "value"], [["first", "1"], ["second", "2"]])
    assert '<g id="first"><title>name: first\nvalue: 1</title>' in page
    assert '<g id="second/growth"><title>name: second\nvalue: 2</title>' in page
    assert '<g id="third"><title>' not in page


def test_the_same_figure_gives_the_same_page() -> None:
    def page() -> str:
        figure = Figure()
        figure.subplots().plot([1, 2], [3, 4], "o-")
        return html_page("Numbers", figure, ["name"], [["first"]])

    assert page() == page()
