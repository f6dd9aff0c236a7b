"""A headless Chromium, and what a person does with it."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Generator
from pathlib import Path
from typing import Any, Literal

from selenium.webdriver import Chrome, ChromeOptions, ChromeService, Keys
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

PATIENCE = 10  # seconds until a test gives up waiting
MISSING = "The page's tests need Chromium and its driver, such as Debian's: apt-get install chromium chromium-driver"
OPTIONS = (
    "--headless=new",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--no-first-run",
    # It has no sandbox of its own in most containers. It shows nothing but the page of the checkout.
    "--no-sandbox",
    # Whatever the page or the browser itself asks for, it does not leave this machine.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)


class Browser:
    """The sandbox's page as a person sees and uses it, in Chromium."""

    def __init__(self, driver: Chrome) -> None:
        self.driver = driver

    def show(self, *, width: int, height: int, scale: float = 1, dark: bool = False, phone: bool = False) -> None:
        """Be a screen of that size."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": scale, "mobile": phone}
        features = [
            {"name": "prefers-color-scheme", "value": "dark" if dark else "light"},
            {"name": "prefers-reduced-motion", "value": "reduce"},
        ]
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})

    def open(self, url: str) -> None:
        """Go to an address and wait until the page is live."""
        self.driver.get(url)
        self.wait("#live[data-live=yes]")

    def all(self, css: str) -> list[WebElement]:
        """Return the visible elements."""
        return [element for element in self.driver.find_elements(By.CSS_SELECTOR, css) if element.is_displayed()]

    def wait(self, css: str, text: str = "") -> WebElement:
        """Return the first element with a text, as soon as it is visible."""

        def found(_: Any) -> WebElement | Literal[False]:
            for element in self.all(css):
                if text in element.text:
                    return element
            return False

        wait = WebDriverWait(self.driver, PATIENCE, poll_frequency=0.05, ignored_exceptions=[Exception])
        return wait.until(found, f"no {css} with {text!r}")

    def wait_until_gone(self, css: str) -> None:
        """Return when no such element can be seen."""
        wait = WebDriverWait(self.driver, PATIENCE, poll_frequency=0.05, ignored_exceptions=[Exception])
        wait.until(lambda _: not self.all(css), f"still {css}")

    def press(self, *keys: str) -> None:
        """Type on whatever has the keyboard."""
        ActionChains(self.driver, duration=0).send_keys(*keys).perform()

    def press_with(self, held: str, key: str) -> None:
        """Press a key while another is held."""
        ActionChains(self.driver, duration=0).key_down(held).send_keys(key).key_up(held).perform()

    def focused(self) -> WebElement:
        """Return the element that has the focus."""
        return self.driver.switch_to.active_element

    def run(self, script: str, *arguments: Any) -> Any:
        """Run a script and return its result."""
        return self.driver.execute_script(script, *arguments)

    def problems(self) -> list[str]:
        """Return the browser's complaints: errors of scripts, and violations of the content security policy.

        Failed requests to a server that has gone away are not complaints.
        """
        log: list[dict[str, Any]] = self.driver.execute("getLog", {"type": "browser"})["value"]
        return [entry["message"] for entry in log if entry["level"] == "SEVERE" and entry["source"] != "network"]

    def picture(self, path: Path) -> None:
        """Take a picture."""
        self.driver.get_screenshot_as_file(str(path))


@contextlib.contextmanager
def chromium() -> Generator[Browser]:
    """Start a fresh Chromium.

    Raises:
        RuntimeError: there is none on this machine.
    """
    binary, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if binary is None or driver is None:
        raise RuntimeError(MISSING)
    options = ChromeOptions()
    options.binary_location = binary
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    for option in OPTIONS:
        options.add_argument(option)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        options.add_argument(f"--user-data-dir={profile}")
        browser = Chrome(options=options, service=ChromeService(driver))
        try:
            yield Browser(browser)
        finally:
            browser.quit()


__all__ = ["PATIENCE", "Browser", "Keys", "chromium"]
