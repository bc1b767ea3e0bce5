// The listing of a directory: every name leads to its file, and every name is plain text.

import path from "node:path";
import { WAIT_MS, assert, assertEqual, check } from "./harness.mjs";
import { NAMES, UNLISTED } from "./files_tree.mjs";

const DIRECTORIES = ["<b>directory<b>/", "Zoo/", "an empty directory/"];

// Every link with its text, in the order of the page.
const links = (page) => page.locator("a").evaluateAll((all) => all.map((a) => [a.textContent, a.href]));
const entries = async (page) => (await links(page)).filter(([, href]) => href.startsWith(page.url()) && href !== page.url());
const slashed = (text) => (text.endsWith("/") ? text : `${text}/`);

/** What would turn the characters behind it around is shown as a sign of its own. */
const inOrder = (name) => name.replace(/[\u202a-\u202e\u2066-\u2069]/g, "\ufffd");

export async function listing({ page, base, out, wire }) {
  const names = `${base}names/`;

  await check("listing: HTML with its policy, and every entry once, directories first", async () => {
    wire.clear();
    const response = await page.goto(names);
    assertEqual(response.status(), 200, "status");
    const fields = response.headers();
    assertEqual(fields["content-type"], "text/html; charset=utf-8", "content type");
    assertEqual([fields["cache-control"], fields["x-content-type-options"]], ["no-cache", "nosniff"], "Cache-Control and nosniff");
    assert(/(^|;)\s*default-src 'none'/.test(fields["content-security-policy"] ?? ""), `policy: ${fields["content-security-policy"]}`);
    const found = await entries(page);
    const shown = found.map(([text]) => text.trim());
    const directories = shown.slice(0, DIRECTORIES.length).map(slashed);
    assertEqual([...directories].sort(), [...DIRECTORIES].sort(), "directories");
    const files = found.slice(DIRECTORIES.length).map(([, href]) => decodeURIComponent(href.slice(names.length)));
    assertEqual([...files].sort(), [...NAMES].sort(), "files");
    const body = await page.evaluate(() => document.body.textContent);
    for (const name of [...UNLISTED, "no UTF-8"]) assert(!body.includes(name), `${name} is listed`);
    return `${found.length} entries`;
  });

  await check("listing: a name is shown as it is, and nothing of it is markup or runs", async () => {
    const found = await entries(page);
    assert(found.length > 0, "no entries");
    for (const [text, href] of found) {
      const name = decodeURIComponent(href.slice(names.length)).replace(/\/$/, "");
      assertEqual(text.replace(/\/$/, ""), inOrder(name), "the text of a link");
    }
    await page.locator("a").evaluateAll((all) => all.forEach((a) => a.dispatchEvent(new MouseEvent("mouseover", { bubbles: true }))));
    const strange = await page.evaluate(() => ({
      pwned: window.pwned ?? null,
      elements: document.querySelectorAll("script, img, base, b, iframe, object").length,
      handlers: [...document.querySelectorAll("*")].filter((node) => [...node.attributes].some(({ name }) => name.startsWith("on"))).length,
      titles: document.querySelectorAll("title").length,
    }));
    assertEqual(strange, { pwned: null, elements: 0, handlers: 0, titles: 1 }, "what names have made");
  });

  await check("listing: every link, as the browser reads it, leads to its file", async () => {
    const found = (await entries(page)).filter(([, href]) => !href.endsWith("/"));
    assertEqual(found.length, NAMES.length, "links to files");
    for (const [text, href] of found) {
      const response = await page.request.get(href);
      const { "content-type": type } = response.headers();
      const content = inOrder(await response.text());
      assertEqual([response.status(), type, content], [200, "text/plain; charset=utf-8", text], href);
    }
    return `${found.length} links`;
  });

  await check("listing: the strangest of them, clicked, are plain text", async () => {
    const strange = NAMES.filter((name) => /^(<script|<img|" on|' on|#|%41|100%)/.test(name));
    assertEqual(strange.length, 7, "names");
    for (const name of strange) {
      await page.goto(names);
      const at = (await links(page)).findIndex(([text]) => text === name);
      // The element's own click: the mouse would wait for drawn frames, of which a busy machine has
      // few.
      await page.locator("a").nth(at).evaluate((a) => a.click());
      await page.waitForURL((url) => url.href !== names);
      const shown = await page.evaluate(() => [document.contentType, document.body.textContent, window.pwned ?? null]);
      assertEqual(shown, ["text/plain", name, null], page.url());
    }
    await page.goto(names);
    return `${strange.length} links`;
  });

  await check("listing: into a directory and up again", async () => {
    await page.goto(names);
    const open = async (name) => {
      const at = (await links(page)).findIndex(([text]) => slashed(text.trim()) === name);
      assert(at >= 0, `no link to ${name}`);
      await page.locator("a").nth(at).click();
      await page.waitForLoadState();
    };
    await open("<b>directory<b>/");
    assertEqual(decodeURIComponent(page.url()), `${names}<b>directory<b>/`, "where it led");
    assertEqual((await entries(page)).map(([, href]) => decodeURIComponent(href).split("/").at(-1)), ["inside & out.txt"], "entries");
    await open("../");
    assertEqual(page.url(), names, "one up");
    await open("an empty directory/");
    assertEqual((await entries(page)).length, 0, "entries of an empty directory");
    await page.goto(base);
    const here = await links(page);
    assert(here.every(([, href]) => href.startsWith(base)), `a link leads out: ${JSON.stringify(here)}`);
    assertEqual((await page.request.get(`${names}<b>directory<b>`, { maxRedirects: 0 })).status(), 301, "without its slash");
  });

  await check("listing: it keeps within the window, from 1280 to 320 pixels, light and dark", async () => {
    assertEqual((await page.goto(names)).status(), 200, "status");
    const wide = [];
    for (const width of [1280, 768, 390, 320]) {
      await page.setViewportSize({ width, height: 844 });
      const over = await page.evaluate(() => document.scrollingElement.scrollWidth - window.innerWidth);
      if (over > 0) wide.push(`${over} pixels too wide at ${width}`);
    }
    await page.mouse.move(0, 0);
    const shots = [
      ["listing", "light", 1280, 900],
      ["listing-dark", "dark", 1280, 900],
      ["listing-phone", "light", 390, 844],
      ["listing-phone-dark", "dark", 390, 844],
    ];
    for (const [name, colorScheme, width, height] of shots) {
      await page.setViewportSize({ width, height });
      await page.emulateMedia({ colorScheme });
      await page.screenshot({ path: path.join(out, `${name}.png`), fullPage: true, animations: "disabled", timeout: WAIT_MS });
    }
    await page.setViewportSize({ width: 1280, height: 900 });
    await page.emulateMedia({ colorScheme: "light" });
    assertEqual(wide, [], "widths");
  });
}
