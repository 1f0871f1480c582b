"""The page says which arithmetic computed an answer, and what int8 costs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from keras_archs.repository import artifact
from tests.browser.conftest import COLOURS, LITE0, Open
from tests.browser.person import best, card, choose, column, compare, model, photograph, select
from tests.support.gateway import Gateway

if TYPE_CHECKING:
    from playwright.sync_api import Page, Route

pytestmark = pytest.mark.browser

TIME = ".time dl"


@pytest.fixture
def answered(open_page: Open, quantized_gateway: Gateway) -> Page:
    """The page with a photograph, answered by the int8 version in column A and by the float32 version in column B."""
    page = open_page(quantized_gateway.port)
    select(page, "A", COLOURS, "version 2")
    compare(page, COLOURS, "version 1")
    choose(page, photograph("coffee.jpg"))
    for letter in "AB":
        expect(best(page, letter)).to_be_visible()
    return page


def test_an_answer_says_its_arithmetic_beside_its_phases(answered: Page) -> None:
    expect(column(answered, "A").locator(TIME)).to_contain_text("computed inint8")
    expect(column(answered, "B").locator(TIME)).to_contain_text("computed infloat32")


def test_bfloat16_has_its_name(page: Page) -> None:
    def in_bfloat16(route: Route) -> None:
        answer = route.fetch()
        timing = answer.headers["server-timing"].replace("f32", "bf16")
        route.fulfill(response=answer, headers=answer.headers | {"server-timing": timing})

    page.route("**/classify/**", in_bfloat16)
    choose(page, photograph("coffee.jpg"))
    expect(column(page, "A").locator(TIME)).to_contain_text("computed inbfloat16")


def test_an_answer_without_a_server_timing_has_no_arithmetic(page: Page) -> None:
    def without_timing(route: Route) -> None:
        answer = route.fetch()
        headers = {name: value for name, value in answer.headers.items() if name != "server-timing"}
        route.fulfill(response=answer, headers=headers)

    page.route("**/classify/**", without_timing)
    choose(page, photograph("coffee.jpg"))
    expect(best(page, "A")).to_have_text("espresso")
    expect(column(page, "A").locator(".time")).not_to_contain_text("computed in")


def test_the_cost_of_an_int8_version_is_its_loss(answered: Page) -> None:
    expect(column(answered, "A").locator(".cost")).to_contain_text("in float32, on 200 labelled pictures")
    expect(column(answered, "B").locator(".cost")).not_to_contain_text("int8")


def test_the_models_view_says_what_loaded_versions_compute_in(answered: Page) -> None:
    answered.get_by_role("link", name="Models").click()
    versions = model(answered, COLOURS).locator("li")
    expect(versions.nth(0)).to_contain_text("computes in int8")
    expect(versions.nth(1)).to_contain_text("computes in float32")


def test_the_card_of_an_int8_version_says_what_was_measured(answered: Page, quantized_models: Path) -> None:
    quantization = artifact.read_card(quantized_models / COLOURS / "2").quantization
    assert quantization and quantization.accuracy
    answered.get_by_role("link", name="Models").click()
    shown = card(answered, COLOURS, 2)
    for name, text in (
        ("Arithmetic", "int8"),
        ("int8 graph", f"{quantization.int8_layers} of {quantization.layers} layers in int8"),
        ("int8 graph", "made from version 1"),
        ("Calibrated on", f"120 pictures (fingerprint {quantization.calibration.fingerprint[:16]})"),
        ("Agreement", f"{100 * quantization.agreement.top1:.2f}\u00a0% of 100 other pictures have the same best class"),
        ("Change of scores", f"the largest change is {100 * quantization.agreement.largest_difference:.1f}"),
        ("Measured accuracy", f"{100 * quantization.accuracy.int8:.2f}\u00a0% in int8 and "),
    ):
        expect(shown.locator(f"dt:text-is('{name}') + dd")).to_contain_text(text)


def test_a_version_that_is_not_quantized_has_no_figures_of_int8(answered: Page) -> None:
    answered.get_by_role("link", name="Models").click()
    shown = card(answered, COLOURS, 1)
    expect(shown.locator("dt:text-is('Arithmetic') + dd")).to_have_text("float32")
    expect(shown).not_to_contain_text("int8")


def test_a_gateway_that_does_not_compute_an_int8_graph_says_so(answered: Page) -> None:
    def in_float32(route: Route) -> None:
        answer = route.fetch()
        route.fulfill(response=answer, body=answer.text().replace('"int8"', '"f32"'))

    answered.route("**/models", in_float32)
    answered.get_by_role("link", name="Models").click()
    shown = card(answered, COLOURS, 2)
    expect(shown.locator("dt:text-is('Arithmetic') + dd")).to_have_text("float32, not its int8 graph")


def test_a_published_accuracy_is_that_of_float32(open_page: Open) -> None:
    def quantized(route: Route) -> None:
        answer = route.fetch()
        made = {
            "source_version": 1,
            "layers": 50,
            "int8_layers": 48,
            "calibration": {"pictures": 300, "fingerprint": "ef48acbcde37030f" * 4},
            "agreement": {"pictures": 550, "top1": 0.912, "largest_difference": 0.53, "mean_difference": 0.037},
            "accuracy": None,
        }
        route.fulfill(response=answer, json=answer.json() | {"quantization": made})

    page = open_page()
    page.route(f"**/models/{LITE0}/versions/1", quantized)
    page.reload()
    cost = page.locator(".column.A .cost")
    expect(cost).to_contain_text("Top\u20111 on ImageNet, in float32")
    expect(cost).to_contain_text("int8 answers like float32 for 91.20\u00a0% of 550 pictures.")
    page.get_by_role("link", name="Models").click()
    shown = card(page, LITE0, 1)
    expect(shown).to_contain_text("75.1\u00a0% top\u20111 in float32")
    expect(shown).to_contain_text("none: there were no labelled pictures")
