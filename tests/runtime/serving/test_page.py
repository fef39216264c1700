"""The page, in a real browser: what is dropped or recorded is transcribed, shown in time, played and copied."""

from __future__ import annotations

import shutil
import time
from contextlib import contextmanager

import pytest

from support.paths import DEMO_AUDIO, ROOT
from support.service import Service
from w2vc_exporter import ExportOptions, export

SPEECH = DEMO_AUDIO / "seven-two-nine.flac"
FOUR = ROOT / "examples" / "digits" / "words" / "four.flac"
PHONE = {"width": 360, "height": 740}


@pytest.fixture(scope="module")
def browser():
    sync_api = pytest.importorskip("playwright.sync_api")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no Chromium is installed here")
    flags = ["--no-sandbox", "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream", "--mute-audio"]
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=flags)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def service(digits, tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    keywords = export(ExportOptions("keywords", output=folder / "keywords")).bundle
    with Service(f"digits={digits['fp32']}", f"keywords={keywords}", folder=folder) as running:
        yield running


@contextmanager
def opened(browser, service, **options):
    """The page, which may fetch nothing from elsewhere and whose script may not fail."""
    context = browser.new_context(**options)
    context.grant_permissions(["clipboard-read", "clipboard-write", "microphone"], origin=service.url.rstrip("/"))
    page = context.new_page()
    page.set_default_timeout(60_000)
    elsewhere, errors = [], []
    page.on("request", lambda request: elsewhere.append(request.url))
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(service.url)
    until(page, "document.querySelector('#model').options.length > 0")
    yield page
    assert [url for url in elsewhere if not url.startswith((service.url, "blob:", "data:"))] == []
    assert errors == []
    context.close()


def until(page, condition):
    """Wait until a condition in JavaScript holds: Playwright's own waiting is what the page's policy forbids."""
    ends = time.monotonic() + 60
    while not page.evaluate(condition):
        assert time.monotonic() < ends, condition
        page.wait_for_timeout(50)


def heard(page, path, outcome="#text .word"):
    page.set_input_files("#file", path)
    page.wait_for_selector(outcome)
    until(page, "document.querySelector('#status').textContent.includes('answered in')")


def test_a_recording_is_transcribed_played_and_copied(browser, service):
    with opened(browser, service) as page:
        heard(page, SPEECH)
        assert page.locator("#text .word").all_inner_texts() == ["seven", "two", "nine"]
        assert page.locator("#lane .word").all_inner_texts() == ["seven", "two", "nine"]
        lefts = page.locator("#lane .word").evaluate_all("all => all.map(each => parseFloat(each.style.left))")
        pace = page.evaluate("pace")
        assert [left / pace for left in lefts] == pytest.approx([0.18, 0.64, 0.94], abs=0.03)
        assert page.evaluate("samples.some(value => Math.abs(value) > 0.01)")
        page.locator("#text .word", has_text="nine").click()
        assert page.evaluate("sound.currentTime") >= 0.93
        page.click("#copy")
        page.wait_for_selector("#copy:has-text('Copied')")
        assert page.evaluate("navigator.clipboard.readText()") == "seven two nine"
        page.click("#srt")
        page.wait_for_selector("#srt:has-text('Copied')")
        expected = "1\n00:00:00,180 --> 00:00:01,300\nseven two nine\n"
        assert page.evaluate("navigator.clipboard.readText()") == expected
        page.click("#vtt")
        page.wait_for_selector("#vtt:has-text('Copied')")
        assert page.evaluate("navigator.clipboard.readText()").startswith("WEBVTT\n\n00:00:00.180 -->")


def test_the_keyboard_is_enough(browser, service):
    with opened(browser, service) as page:
        heard(page, DEMO_AUDIO / "phone-number.flac")
        page.locator("#wave").focus()
        page.keyboard.press("ArrowRight")
        assert page.evaluate("sound.currentTime") == pytest.approx(1.0, abs=0.3)
        page.keyboard.press("Space")
        until(page, "!sound.paused")
        page.keyboard.press("Space")
        until(page, "sound.paused")
        page.locator("#text .word").nth(2).focus()
        page.keyboard.press("Enter")
        until(page, "!sound.paused")


def test_it_fits_a_phone_and_the_dark(browser, service):
    for scheme in ("light", "dark"):
        with opened(browser, service, viewport=PHONE, color_scheme=scheme, has_touch=True) as page:
            heard(page, DEMO_AUDIO / "phone-number.flac")
            assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
            ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
            light = sum(int(part) for part in ground[4:-1].split(",")) / 3
            assert (light > 128) == (scheme == "light")


def test_another_head_shows_its_classes(browser, service):
    with opened(browser, service) as page:
        page.select_option("#model", "keywords")
        heard(page, FOUR, ".classes .held")
        assert page.locator(".classes .held").all_inner_texts() == ["four"]
        assert not page.locator("#srt").is_visible()


def test_the_microphone_is_recorded(browser, service):
    with opened(browser, service) as page:
        page.click("#record")
        until(page, "document.querySelector('#status').textContent.startsWith('Recording')")
        page.wait_for_timeout(800)
        page.click("#record")
        page.wait_for_selector("#answer:not([hidden])")
        until(page, "document.querySelector('#status').textContent.includes('answered in')")
        assert page.evaluate("duration") > 0.3


def test_what_is_wrong_is_said(browser, service, tmp_path):
    bad = tmp_path / "notes.wav"
    bad.write_text("no audio")
    with opened(browser, service) as page:
        page.set_input_files("#file", bad)
        page.wait_for_selector("#status.wrong")
        assert "is not audio that can be read" in page.inner_text("#status")
        heard(page, SPEECH)
        assert page.inner_text("#text").split() == ["seven", "two", "nine"]


def test_windows_without_classes_are_said_once(browser, service):
    """Of heads whose answer is numbers: the answer is made up here, the page is not."""
    lines = ["0.00-1.00 last_hidden_state 49 x 8", "1.00-2.00 last_hidden_state 49 x 8"]
    windows = [{"start": 0.0, "end": 1.0, "shape": [49, 8]}, {"start": 1.0, "end": 2.0, "shape": [49, 8]}]
    answer = {"text": "\n".join(lines), "windows": windows, "duration": 2.0}
    with opened(browser, service, viewport=PHONE) as page:
        page.route("**/v1/audio/transcriptions", lambda route: route.fulfill(json=answer))
        page.select_option("#model", "keywords")
        heard(page, FOUR, "#text pre")
        assert page.inner_text("#text").splitlines() == lines
        title, models = page.locator("h1").bounding_box(), page.locator("#model").bounding_box()
        assert models["y"] < title["y"] + title["height"], "beside the title, and not below it"
