"""The page of `export --to html` in a headless Chromium: zoom, search, switch, keyboard, light and dark, speed.

SCREENSHOTS=DIR keeps what it looked like.
"""

import json
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "cli"))

import snapshots  # noqa: E402
from selenium import webdriver  # noqa: E402
from selenium.webdriver.common.action_chains import ActionChains  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402

SESSION = {"format": "trackleak-session", "version": 1, "command": "python3 app.py", "start": 1795251000.0, "status": 0,
           "rss_threshold_bytes": 0.0, "heap_threshold_bytes": 0.0, "rss": [[i * 0.5, 5e7 + i * 1e5] for i in range(600)]}


@pytest.fixture(scope="module")
def browser():
    driver = shutil.which("chromedriver")
    if not driver:
        pytest.skip("no chromium and chromedriver here (tools/deps install html)")
    options = webdriver.ChromeOptions()
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--window-size=1200,900"):
        options.add_argument(argument)
    browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    yield browser
    browser.quit()


@pytest.fixture
def page(browser, tmp_path):
    """page(document) opens it, from a file."""

    def show(document, colours="light", session=True, lines=()):
        (tmp_path / "snapshot-4711.json").write_text(json.dumps(document))
        if session:
            (tmp_path / "session.json").write_text(json.dumps(SESSION))
        snapshots.write_lines(tmp_path / "profiler.jsonl", lines)
        path = tmp_path / "page.html"
        subprocess.run([str(snapshots.COMMAND), "export", tmp_path, "--to", "html", "-o", path], check=True)
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia",
                                {"features": [{"name": "prefers-color-scheme", "value": colours}]})
        browser.get("file://" + str(path))
        return browser

    yield show
    assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []


def status(browser):
    return browser.find_element(By.ID, "status").text


def flame(browser):
    return browser.find_element(By.ID, "flame")


def click(browser, name):
    """On the box of that name in the flame graph."""
    x, y = browser.execute_script("const b = boxes.find(b => b[0].name === arguments[0]), c = canvas.getBoundingClientRect();"
                                  "return [b[1] + b[2] / 2 - c.width / 2, b[3] * HEIGHT + 5 - c.height / 2];", name)
    ActionChains(browser).move_to_element_with_offset(flame(browser), round(x), round(y)).click().perform()


def drawn(browser):
    return browser.execute_script("return boxes.map(b => b[0].name)")


def keep(browser, name):
    folder = os.environ.get("SCREENSHOTS")
    if folder:
        browser.save_screenshot(os.path.join(folder, name + ".png"))


def test_it_stands_alone_and_says_what_the_report_says(page):
    browser = page(snapshots.sample())
    keep(browser, "small")

    assert "python3, pid 4711 on box" in browser.title
    assert "live 7.19 MiB" in browser.find_element(By.ID, "about").text
    assert browser.execute_script("return performance.getEntriesByType('resource').length") == 0, "it went to the network"
    rows = browser.find_elements(By.CSS_SELECTOR, "#rows tr")
    assert len(rows) == 5 and "leaking" in rows[0].text and "leak" in rows[0].text
    assert "RSS over 300 s" in browser.find_element(By.ID, "timeline").text
    assert "alert(" not in browser.page_source.split("<script id")[0] and snapshots.HOSTILE.split("\n")[0] in browser.page_source


def test_what_others_may_have_made_moves_no_row_up(page):
    document = snapshots.sample()
    document["functions"][0]["uncertain_bytes"] = 5.5 * (1 << 20)
    table = rows(page(document))
    assert list(table)[:2] == ["Cache.get", "leak"] and "5.50 MiB of it from CPython's free lists, maker unknown" in table["leak"]


def test_a_click_zooms_in_and_the_button_out(page):
    browser = page(snapshots.sample())
    assert drawn(browser).count("leak") == 2 and "all 7.19 MiB (100.0 %)" in status(browser)

    click(browser, "Cache.get")
    assert "leak" not in drawn(browser)
    assert "Cache.get" in status(browser) and "1.06 MiB" in status(browser)
    browser.find_element(By.ID, "out").click()
    assert drawn(browser).count("leak") == 2


def test_the_search_counts_nothing_twice_and_filters_the_table(page):
    browser = page(snapshots.sample())
    search = browser.find_element(By.ID, "search")

    search.send_keys("LEAKS.py")
    assert "found: 6.00 MiB (83.5 %)" in status(browser)
    assert len(browser.find_elements(By.CSS_SELECTOR, "#rows tr")) == 1
    search.send_keys("(")  # half a regex changes nothing
    assert "found: 6.00 MiB" in status(browser)
    search.clear()
    search.send_keys("main|leak")
    assert "found: 7.06 MiB" in status(browser)


def test_measures_are_switched(page):
    browser = page(snapshots.sample())
    buttons = {button.text: button for button in browser.find_elements(By.CSS_SELECTOR, "#measures button")}
    assert list(buttons) == ["live", "peak", "allocated", "growth"]

    for name, says in (("peak", "all 10.78 MiB"), ("allocated", "all 66.19 MiB"), ("growth", "all 12.4 MB/h"), ("live", "all 7.19 MiB")):
        buttons[name].click()
        assert says in status(browser)
        assert [b.text for b in buttons.values() if b.get_attribute("aria-pressed") == "true"] == [name]


def test_all_of_it_goes_by_keyboard(page):
    browser = page(snapshots.sample())
    body = browser.find_element(By.TAG_NAME, "body")

    body.send_keys("/")
    assert browser.switch_to.active_element.get_attribute("id") == "search"
    browser.execute_script("canvas.focus()")
    canvas = flame(browser)
    canvas.send_keys(Keys.ARROW_DOWN)
    assert status(browser).startswith("<module>")
    canvas.send_keys(Keys.ARROW_DOWN)
    assert status(browser).startswith("leak /srv/app/leaks.py:12")
    canvas.send_keys(Keys.ARROW_RIGHT)
    assert status(browser).startswith("leak /srv/app/leaks.py:14")
    canvas.send_keys(Keys.ENTER)
    assert drawn(browser) == ["all", "<module>", "leak"]
    canvas.send_keys(Keys.ESCAPE)
    assert "Cache.get" in drawn(browser)
    # By tab to a column's button, which sorts.
    button = browser.find_elements(By.CSS_SELECTOR, "#heads button")[3]
    button.send_keys(Keys.ENTER)
    assert browser.find_elements(By.CSS_SELECTOR, "#heads th")[3].get_attribute("aria-sort") == "descending"


@pytest.mark.parametrize("colours, dark", [("light", False), ("dark", True)])
def test_light_and_dark_follow_the_reader(page, colours, dark):
    browser = page(snapshots.sample(), colours)
    keep(browser, colours)
    back, text = (sum(browser.execute_script("return getComputedStyle(document.body)[arguments[0]].match(/\\d+/g).map(Number)",
                                             name)[:3]) for name in ("backgroundColor", "color"))
    assert (back < text) == dark and abs(back - text) > 500


def dumped(count=40):
    """The sample as the last of so many dumps, of which `leak` grows and a cache fills."""
    document = snapshots.sample()
    start = document["process"]["start"]
    document["dump"].update(number=count, time=start + 60 * count)
    dumps = [{"leak": (6 << 20) * i // count, "Cache.get": min(1 << 20, i * 100000), snapshots.HOSTILE: 65536,
              **{"f%d" % i: 30000 * (i + 1) for i in range(8)}} for i in range(1, count + 1)]
    return document, list(snapshots.lines_of(dumps, began=start, rss=lambda number: (30 << 20) + number * 500000))


def rows(browser):
    return {row.find_element(By.CSS_SELECTOR, "td:last-child").text.splitlines()[0]: row.text
            for row in browser.find_elements(By.CSS_SELECTOR, "#rows tr")}


@pytest.mark.parametrize("colours", ["light", "dark"])
def test_dumps_are_scrubbed_by_keyboard_and_the_table_follows(page, colours):
    document, lines = dumped()
    browser = page(document, colours, session=False, lines=lines)
    scrub, which = browser.find_element(By.ID, "scrub"), browser.find_element(By.ID, "which")
    assert "live bytes of the process at 40 moments" in browser.find_element(By.ID, "span").text
    assert which.text.startswith("The table shows the snapshot, 2026-11-21 09:30:00") and "6.00 MiB" in rows(browser)["leak"]
    boxes = drawn(browser)

    scrub.send_keys(Keys.ARROW_LEFT * 20)
    assert which.text.startswith("The table shows dump 20 of process 4711, 2026-11-21 09:10:00 UTC: RSS 39.54 MiB, live 5.09 MiB")
    assert "flame graph stays that of the snapshot" in which.text and drawn(browser) == boxes
    assert rows(browser)["leak"].startswith("3.00 MiB")
    assert scrub.get_attribute("aria-valuetext").startswith("2026-11-21 09:10:00")
    assert "leak 3.00 MiB" in browser.find_element(By.ID, "legend").text
    keep(browser, "scrubbed-" + colours)
    browser.find_element(By.ID, "search").send_keys("f7")
    assert list(rows(browser)) == ["f7"]
    browser.find_element(By.ID, "search").send_keys(Keys.BACKSPACE * 2)
    scrub.send_keys(Keys.HOME)
    assert rows(browser)["leak"].startswith("153.6 KiB") and which.text.startswith("The table shows dump 1 ")
    scrub.send_keys(Keys.END)
    assert which.text.startswith("The table shows the snapshot") and "9.00 MiB" in rows(browser)["leak"], "its peak"


def test_a_click_into_the_chart_shows_the_dump_of_that_time(page):
    document, lines = dumped()
    browser = page(document, lines=lines)
    chart = browser.find_element(By.ID, "chart")
    ActionChains(browser).move_to_element(chart).click_and_hold().move_by_offset(2, 0).release().perform()
    time = browser.execute_script("return shown.time")
    assert abs(time - (document["process"]["start"] + 60 * 20.5)) < 90
    # Parts add up: what stands on each other is what is alive.
    assert browser.execute_script("return Math.max(...bands().reduce((sums, band) => sums.map((s, i) => s + band.values[i]), "
                                  "dumps.map(() => 0)).map((sum, i) => Math.abs(sum - dumps[i].live)))") < 1


def test_of_a_fleet_the_dumps_are_one_process_and_the_last_moment_is_the_sum(page, tmp_path):
    document, lines = dumped()
    other = json.loads(json.dumps(document))
    other["process"].update(pid=12)
    other["functions"][0]["verdict"]["word"] = "plateau"
    (tmp_path / "snapshot-12.json").write_text(json.dumps(other))
    browser = page(document, session=False, lines=lines)
    scrub, which = browser.find_element(By.ID, "scrub"), browser.find_element(By.ID, "which")
    assert "process 4711, the worst of 2," in browser.find_element(By.ID, "span").text
    assert "live 14.38 MiB" in which.text and rows(browser)["leak"].startswith("12.00 MiB")
    scrub.send_keys(Keys.ARROW_LEFT)
    assert "dump 40 of process 4711" in which.text and rows(browser)["leak"].startswith("6.00 MiB")


def large():
    chance = random.Random(3)
    functions = [snapshots.function("f%d" % i, "/srv/m%d.py" % (i % 37), 1, {10: snapshots.figures(0, 0, 1e6, 1000, 0.5)})
                 for i in range(400)]
    frames, stacks = [None], []
    while len(stacks) < 50000:
        frames.append([chance.randrange(len(frames)) if chance.random() < 0.97 else 0, chance.randrange(400), 10])
        stacks.append(snapshots.stack(len(frames) - 1, round(chance.paretovariate(1.1) * 300), 1))
        functions[frames[-1][1]]["live_bytes"][0] += stacks[-1]["live_bytes"][0]
    return {**snapshots.sample(), "functions": functions, "frames": frames, "stacks": stacks}


def test_50000_stacks_stay_smooth(page):
    browser = page(large())
    keep(browser, "large")
    (paint,) = browser.execute_script("return performance.getEntriesByName('first-contentful-paint').map(e => e.startTime)")
    took = browser.execute_script("""
        const time = work => { const from = performance.now(); work(); return performance.now() - from; };
        const child = root.children[0];
        return {zoom: time(() => zoom(child)), out: time(() => zoom(root)), hover: time(() => { here = child; draw(); }),
                search: time(() => { at('search').value = 'f7'; at('search').dispatchEvent(new Event('input')); }),
                measure: time(() => show('allocated')), back: time(() => show('live'))};""")
    print("first paint %.0f ms, then %s" % (paint, {name: round(ms, 1) for name, ms in took.items()}))
    assert paint < 5000
    assert max(took["zoom"], took["out"], took["hover"]) < 200 and max(took.values()) < 2000, took


def test_hostile_figures_and_times_leave_the_page_at_work(page):
    document, lines = dumped(4)
    for line in lines[:13]:
        line.update({"@timestamp": "999999-01-01T00:00:00.000Z", "live_bytes": 1e300, "dump": 9})
        line["rss_bytes"] = 1e308 if line["kind"] == "process" else 0
    document["dump"]["time"] = 1e200
    browser = page(document, lines=lines)
    assert "?" in browser.find_element(By.ID, "about").text and "all 7.19 MiB" in status(browser)
    assert len(rows(browser)) == 5
