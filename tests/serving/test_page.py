"""The page of the server in a real browser: two texts side by side, by keyboard alone, in light and dark."""

import shutil

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.select import Select
from selenium.webdriver.support.ui import WebDriverWait

from stages.decoding.sampling import Sampling
from tests.conftest import tiny_gpt2
from tests.serving.served import expected_text, served
from tests.serving.test_engine import PROMPTS, filled

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="needs Debian's chromium and chromium-driver"),
]


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for one in ("headless=new", "no-sandbox", "disable-gpu", "disable-quic", "no-first-run", "disable-sync",
                "disable-background-networking", "disable-component-update", "window-size=1100,800",
                f"user-data-dir={tmp_path_factory.mktemp('profile')}"):  # fmt: skip
        options.add_argument(f"--{one}")
    browser = webdriver.Chrome(options, Service(DRIVER))
    yield browser
    browser.quit()


@pytest.fixture(scope="module")
def lm(tokenizer):
    return tiny_gpt2(tokenizer)


def until(browser, condition):
    return WebDriverWait(browser, 30).until(lambda _: condition())


def text_of(browser, name):
    return browser.find_element(By.ID, name).text


def test_two_texts_by_keyboard_alone(browser, lm, tmp_path):
    bank = filled(lm, tmp_path / "bank")
    with served(lm, bank) as (address, _):
        browser.get(address)
        until(browser, lambda: text_of(browser, "state") == "5 prefixes of tiny-gpt2")
        chosen = [Select(browser.find_element(By.ID, side)).first_selected_option.text for side in ("left", "right")]
        assert chosen == ["p0", "p1"]
        keys = browser.switch_to.active_element
        keys.send_keys(Keys.TAB)
        record = browser.switch_to.active_element
        assert record.get_attribute("id") == "record"
        record.send_keys(Keys.CONTROL, "a")
        record.send_keys(PROMPTS[1], Keys.TAB)
        left = browser.switch_to.active_element
        assert left.get_attribute("id") == "left"
        left.send_keys("p2", Keys.TAB)
        record.send_keys(Keys.CONTROL, Keys.ENTER)
        wanted = [expected_text(lm, bank, name, PROMPTS[1], Sampling(40))[0] for name in ("p2", "p1")]
        # the page asks for 100 tokens, more than this server writes
        until(browser, lambda: "100 tokens are more than the 40" in text_of(browser, "left-out"))
        browser.execute_script("ways.greedy = () => ({ temperature: 0, max_tokens: 40 })")
        browser.find_element(By.ID, "write").send_keys(Keys.ENTER)
        until(browser, lambda: browser.find_element(By.ID, "write").is_enabled())
        found = [text_of(browser, f"{side}-out") for side in ("left", "right")]
        assert [" ".join(text.split()) for text in found] == [" ".join(text.split()) for text in wanted]
        assert [text_of(browser, f"{side}-name") for side in ("left", "right")] == ["p2", "p1"]
        loaded = browser.execute_script("return performance.getEntriesByType('resource').map((one) => one.name)")
        assert loaded and all(name.startswith(address) for name in loaded), "nothing comes from elsewhere"


def test_light_and_dark(browser, lm, tmp_path):
    with served(lm, filled(lm, tmp_path / "bank", [2])) as (address, _):
        found = []
        for scheme in ("light", "dark"):
            wanted = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
            browser.execute_cdp_cmd("Emulation.setEmulatedMedia", wanted)
            browser.get(address)
            style = "return getComputedStyle(document.querySelector('textarea')).backgroundColor"
            found.append(browser.execute_script(style))
        light, dark = (sum(int(part) for part in color[color.index("(") + 1 : -1].split(",")[:3]) for color in found)
        assert light > 600 > 300 > dark


def test_the_token_is_asked_for(browser, lm, tmp_path):
    with served(lm, filled(lm, tmp_path / "bank", [2]), token="secret") as (address, _):
        browser.get(address)
        until(browser, lambda: "give the server's token" in text_of(browser, "state"))
        token = browser.switch_to.active_element
        assert token.get_attribute("id") == "token"
        token.send_keys("secret", Keys.TAB)
        until(browser, lambda: text_of(browser, "state") == "3 prefixes of tiny-gpt2")
