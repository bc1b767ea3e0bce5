// What any visitor may rely on: a narrow screen, no JavaScript, contrast, the keyboard, less motion.

import path from "node:path";
import { WAIT_MS, assert, assertEqual, check } from "./harness.mjs";

const WIDTHS = [1280, 927, 768, 400, 360, 320];

// At each width nothing sticks out of the window, and no snippet or table has to be scrolled
// sideways.
async function fits(page) {
  for (const width of WIDTHS) {
    await page.setViewportSize({ width, height: 844 });
    const found = await page.evaluate(() => [
      document.scrollingElement.scrollWidth - window.innerWidth,
      [...document.querySelectorAll("pre, .list")]
        .filter((node) => node.scrollWidth > node.clientWidth)
        .map((node) => node.innerText),
    ]);
    assertEqual(found, [0, []], `at ${width} pixels: too wide by, cut off`);
  }
  await page.setViewportSize({ width: 1280, height: 900 });
}

// Runs in the page: texts with less contrast than WCAG 2.2 wants of level AA (§1.4.3).
function faint() {
  const channels = (colour) => /^rgba?\(([^)]*)\)$/.exec(colour)[1].split(",").map(Number);
  const luminance = (rgb) => {
    const [r, g, b] = rgb.slice(0, 3).map((c) => (c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const background = (node) => {
    for (let at = node; at !== null; at = at.parentElement) {
      const colour = channels(getComputedStyle(at).backgroundColor);
      if (colour.length === 3 || colour[3] === 1) return colour;
    }
    return [255, 255, 255];
  };
  const seen = [];
  for (const node of document.querySelectorAll("body *")) {
    const hasText = [...node.childNodes].some((child) => child.nodeType === Node.TEXT_NODE && child.data.trim() !== "");
    const isShown = node.checkVisibility() && !node.matches(":disabled, :disabled *, .visually-hidden, noscript");
    if (!isShown || !(hasText || node.matches("input"))) continue;
    const style = getComputedStyle(node);
    const [text, behind] = [luminance(channels(style.color)), luminance(background(node))];
    const contrast = (Math.max(text, behind) + 0.05) / (Math.min(text, behind) + 0.05);
    const size = parseFloat(style.fontSize);
    const isLarge = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    seen.push({ node: `${node.localName}#${node.id}.${node.className}`, contrast, wanted: isLarge ? 3 : 4.5 });
  }
  return { count: seen.length, faint: seen.filter(({ contrast, wanted }) => contrast < wanted) };
}

async function withoutScript({ browser, origin, watch, out }) {
  const page = await browser.newPage();
  watch(page);
  const devtools = await browser.newCDPSession(page);
  await devtools.send("Emulation.setScriptExecutionDisabled", { value: true });
  await page.goto(`${origin}/`);
  assertEqual(await page.locator("#server-tiles > *").count(), 0, "tiles, which scripts make");
  assert(await page.locator(".note").isVisible(), "no word about JavaScript");
  const shown = await page.innerText("body");
  for (const part of ["realtime web server for Rust", "demo of the server", "Live events", "Chat room", "Join to talk", "curl -N"]) {
    assert(shown.includes(part), `a visitor does not see: ${part}`);
  }
  assert(!shown.includes("connecting"), "something seems to connect");
  assertEqual(await page.locator("button:visible, input:visible, .log:visible").count(), 0, "controls that do nothing");
  for (const summary of await page.locator("summary").all()) await summary.click();
  assertEqual(await page.locator("main pre:visible").count(), await page.locator("main .panel").count(), "snippets");
  await fits(page);
  await page.screenshot({ path: path.join(out, "noscript.png"), fullPage: true, timeout: WAIT_MS });
  for (const name of await page.locator(".note a").evaluateAll((all) => all.map((link) => link.getAttribute("href")))) {
    if (name === "/api/events") continue; // It never ends.
    const answer = await page.request.get(`${origin}${name}`);
    assertEqual(answer.status(), 200, name);
  }
  await page.close();
}

export async function look(context) {
  const { page } = context;
  await check("page: with every snippet open, nothing is cut off at 1280 to 320 pixels", async () => {
    const toggle = (isOpen) => page.locator("details").evaluateAll((all, to) => all.forEach((one) => (one.open = to)), isOpen);
    await toggle(true);
    await fits(page);
    await toggle(false);
  });

  await check("page: text stands out from its ground, light and dark (WCAG AA)", async () => {
    for (const colorScheme of ["dark", "light"]) {
      await page.emulateMedia({ colorScheme });
      const told = await page.evaluate(faint);
      assert(told.count > 100, `only ${told.count} texts`);
      assertEqual(told.faint, [], colorScheme);
    }
  });

  await check("page: the first key leads past the header, and links lead to documentation and source", async () => {
    const fresh = await context.browser.newPage();
    context.watch(fresh);
    await fresh.goto(`${context.origin}/`);
    await fresh.keyboard.press("Tab");
    assertEqual(await fresh.evaluate(() => document.activeElement.className), "skip", "the first stop");
    await fresh.keyboard.press("Enter");
    await fresh.waitForURL(`${context.origin}/#main`);
    const links = await fresh.locator("header nav a").evaluateAll((all) => all.map((link) => [link.textContent, link.href]));
    assertEqual(links.map(([text]) => text), ["Documentation", "Source", "From a terminal"], "links");
    assert(links.slice(0, 2).every(([, href]) => href.startsWith("https://docs.rs/")), `${links}`);
    assertEqual(await fresh.locator("#terminal pre", { hasText: `curl ${context.origin}/metrics` }).count(), 1, "lines for /metrics");
    await fresh.close();
  });

  await check("page: nothing moves for a visitor who wants less motion", async () => {
    const moving = () =>
      page.evaluate(() => {
        const pill = document.querySelector("#ws-state");
        const { state } = pill.dataset;
        pill.dataset.state = "connecting";
        const count = document.getAnimations().length;
        pill.dataset.state = state;
        return count;
      });
    assert((await moving()) > 0, "nothing moves anyway");
    await page.emulateMedia({ reducedMotion: "reduce" });
    assertEqual(await moving(), 0, "animations");
    await page.emulateMedia({ reducedMotion: null });
  });

  await check("page: without JavaScript it says what it is, and has no control that does nothing", () => withoutScript(context));
}
