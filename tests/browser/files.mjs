// A directory in a browser: a video that seeks, a site's modules and types, revalidation, coded
// sidecars, a download, and the listing. The server is the demo, with --dir and --list.

import { createHash } from "node:crypto";
import { readFileSync, renameSync, truncateSync, writeFileSync } from "node:fs";
import path from "node:path";
import { WAIT_MS, assert, assertEqual, check, kill } from "./harness.mjs";
import { listing } from "./files_listing.mjs";
import { BIG_BYTES, SIDECARS, aged, writeTree } from "./files_tree.mjs";
import { CLIP, makeClip, seek } from "./files_video.mjs";

const sha256 = (bytes) => createHash("sha256").update(bytes).digest("hex");
const lowered = (fields) => Object.fromEntries(Object.entries(fields).map(([name, value]) => [name.toLowerCase(), value]));

// The requests of a page as the network stack saw them: here a 304 shows as 304, which the page
// sees as 200.
async function traffic(browser, page) {
  const client = await browser.newCDPSession(page);
  let exchanges = new Map();
  const note = (id, fields) => exchanges.set(id, { asked: {}, fields: {}, bytes: 0, ...exchanges.get(id), ...fields });
  client.on("Network.requestWillBeSent", ({ requestId, request }) => note(requestId, { path: new URL(request.url).pathname }));
  client.on("Network.requestWillBeSentExtraInfo", ({ requestId, headers }) => note(requestId, { asked: lowered(headers) }));
  client.on("Network.responseReceived", ({ requestId, hasExtraInfo }) => note(requestId, { answered: true, told: hasExtraInfo }));
  client.on("Network.responseReceivedExtraInfo", ({ requestId, statusCode, headers }) =>
    note(requestId, { status: statusCode, fields: lowered(headers) }),
  );
  client.on("Network.loadingFailed", ({ requestId }) => note(requestId, { answered: true }));
  client.on("Network.dataReceived", ({ requestId, dataLength }) =>
    note(requestId, { bytes: (exchanges.get(requestId)?.bytes ?? 0) + dataLength }),
  );
  await client.send("Network.enable");
  const known = () => [...exchanges.values()].filter((one) => one.path !== undefined);
  return {
    client,
    clear: () => (exchanges = new Map()),
    // The requests that reached the server, selected by the end of their path. The reports may come
    // later than the page's own events.
    async of(end) {
      const started = Date.now();
      const open = () => known().filter(({ answered, told, status }) => status === undefined && !(answered && !told));
      while (open().length > 0) {
        assert(Date.now() - started < WAIT_MS, `no answer: ${open().map(({ path }) => path)}`);
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
      return known().filter(({ path, status }) => status !== undefined && path.endsWith(`/${end}`));
    },
  };
}

// The only request for that path.
async function only(wire, end) {
  const all = await wire.of(end);
  assertEqual(all.length, 1, `requests for ${end}`);
  return all[0];
}

const onlyEach = (wire, ends) => Promise.all(ends.map((end) => only(wire, end)));

export async function files({ browser, directory, demo, out, watch, own }) {
  const { big } = writeTree(directory);
  const server = await demo(0, "--dir", directory, "--list");
  const host = `127.0.0.1:${server.match[1]}`;
  const base = `http://${host}/files/`;
  own(host);
  const page = await browser.newPage();
  watch(page);
  const wire = await traffic(browser, page);
  const context = { browser, page, base, directory, out, wire };

  await site(context);
  await again(context);
  await sidecars(context);
  await video(context);
  await download(context, big);
  await changing(context, big);
  await listing(context);
  await page.close();
  await kill(server);
}

async function site({ browser, page, base, wire }) {
  await check("files: a site's modules, JSON, wasm, worker, style and image load, each with its type under nosniff", async () => {
    const types = {
      "files/site/": "text/html; charset=utf-8",
      "style.css": "text/css; charset=utf-8",
      "more.css": "text/css; charset=utf-8",
      "main.mjs": "text/javascript; charset=utf-8",
      "late.mjs": "text/javascript; charset=utf-8",
      "site/lib.js": "text/javascript; charset=utf-8",
      "classic.js": "text/javascript; charset=utf-8",
      "data.json": "application/json",
      "add.wasm": "application/wasm",
      "logo.svg": "image/svg+xml",
      "app.webmanifest": "application/manifest+json",
    };
    wire.clear();
    // Without its slash, so that relative links work only if the redirection does.
    const response = await page.goto(`${base}site?a=1&b=2`);
    assertEqual(page.url(), `${base}site/?a=1&b=2`, "where it led");
    assertEqual(response.status(), 200, "status");
    await page.waitForFunction(() => window.told);
    assertEqual(
      await page.evaluate(() => window.told),
      { lib: "Grüße 🦀", json: "Grüße 🦀", sum: 42, compiled: true, worked: "Grüße 🦀", late: "late" },
      "what the modules told",
    );
    const shown = await page.evaluate(() => {
      const style = getComputedStyle(document.querySelector("#styled"));
      const { naturalWidth, naturalHeight } = document.querySelector("#logo");
      return [window.classic, style.color, style.backgroundColor, naturalWidth, naturalHeight];
    });
    assertEqual(shown, ["classic", "rgb(1, 2, 3)", "rgb(4, 5, 6)", 37, 41], "script, colours, image");
    const manifest = await wire.client.send("Page.getAppManifest");
    assertEqual([manifest.errors, JSON.parse(manifest.data).name], [[], "Grüße"], "manifest");

    for (const [end, type] of Object.entries(types)) {
      const found = (await wire.of(end)).filter(({ status }) => status === 200);
      assert(found.length > 0, `${end} was not asked for`);
      for (const { fields } of found) {
        assertEqual(fields["content-type"], type, `content type of ${end}`);
        assertEqual(fields["x-content-type-options"], "nosniff", `X-Content-Type-Options of ${end}`);
      }
    }
  });

  await check("files: under nosniff, text is no script and no style", async () => {
    // Nobody watches this page's console: the browser complains about each, as it should.
    const other = await browser.newPage();
    await other.goto(`${base}blank/`);
    const told = await other.evaluate(async (src) => {
      const load = (name, fields) =>
        new Promise((resolve) => {
          const node = Object.assign(document.createElement(name), fields);
          node.onload = () => resolve("load");
          node.onerror = () => resolve("error");
          document.head.append(node);
        });
      return [await load("script", { src }), await load("link", { rel: "stylesheet", href: src })];
    }, `${base}names/plain.txt`);
    await other.close();
    await page.bringToFront();
    assertEqual(told, ["error", "error"], "text/plain as a script, and as a style");
  });
}

async function again({ browser, page, base, directory, wire }) {
  const of = (name) => path.join(directory, "again", name);
  const names = ["again/", "style.css", "app.js"];

  await check("files: a second load revalidates each file, and gets 304", async () => {
    // A file without Cache-Control is fresh for a tenth of its age (RFC 9111 §4.2.2): these are old
    // enough for a strong validator, and young enough to be stale soon.
    for (const name of ["index.html", "style.css", "app.js"]) aged(of(name), 3);
    wire.clear();
    await page.goto(`${base}again/`);
    const first = await onlyEach(wire, names);
    assertEqual(first.map(({ status }) => status), [200, 200, 200], "first load");
    await page.goto("about:blank");
    const ages = first.map(({ fields }) => Date.parse(fields.date) - Date.parse(fields["last-modified"]));
    // Dates are whole seconds, so the wait is one second longer.
    await new Promise((resolve) => setTimeout(resolve, Math.max(...ages) / 10 + 1500));
    wire.clear();
    const response = await page.goto(`${base}again/`);
    const second = await onlyEach(wire, names);
    assertEqual(second.map(({ status }) => status), [304, 304, 304], "second load");
    assertEqual(response.status(), 200, "what the page sees");
    for (const [i, { asked, fields, bytes }] of second.entries()) {
      const { etag, "last-modified": modified } = first[i].fields;
      assert(/^"[^"]+"$/.test(etag), `ETag of ${names[i]}: ${etag}`);
      assertEqual([asked["if-none-match"], asked["if-modified-since"]], [etag, modified], `what was asked of ${names[i]}`);
      assertEqual([fields.etag, fields.vary, fields["content-length"]], [etag, first[i].fields.vary, undefined], `304 of ${names[i]}`);
      assertEqual(fields["content-type"], undefined, `Content-Type on the 304 of ${names[i]}`);
    }
    const shown = await page.evaluate(() => [window.version, getComputedStyle(document.querySelector("#p")).color]);
    assertEqual(shown, [1, "rgb(1, 2, 3)"], "script and style from the cache");
    return first.map(({ fields }) => fields.etag).join(" ");
  });

  await check("files: a file of the same length that has changed is sent anew", async () => {
    const before = (await wire.of("app.js")).at(-1).fields.etag;
    writeFileSync(of("app.js"), "window.version = 2;\n");
    aged(of("app.js"), 2.5);
    wire.clear();
    const text = await page.evaluate(async (url) => (await fetch(url, { cache: "no-cache" })).text(), `${base}again/app.js`);
    const { status, asked, fields } = await only(wire, "app.js");
    assertEqual([status, asked["if-none-match"], text], [200, before, "window.version = 2;\n"], "status, If-None-Match, body");
    assert(fields.etag !== before, `the same ETag: ${before}`);
  });

  await check("files: a file whose time is no proof yet has a weak validator, which revalidates as well", async () => {
    writeFileSync(of("app.js"), "window.version = 3;\n");
    aged(of("app.js"), -60);
    wire.clear();
    const ask = () => page.evaluate(async (url) => (await fetch(url, { cache: "no-cache" })).text(), `${base}again/app.js`);
    const texts = [await ask(), await ask()];
    const [first, second] = await wire.of("app.js");
    assertEqual(texts, ["window.version = 3;\n", "window.version = 3;\n"], "bodies");
    assert(/^W\/"[^"]+"$/.test(first.fields.etag), `ETag: ${first.fields.etag}`);
    assertEqual([second.asked["if-none-match"], second.status], [first.fields.etag, 304], "If-None-Match, status");
  });
}

async function sidecars({ page, base, wire }) {
  await check("files: of sidecars the browser gets br, then zstd, then gzip, and runs what they hold", async () => {
    wire.clear();
    await page.goto(`${base}coded/`);
    const expected = Object.entries(SIDECARS).map(([name, codings]) => [name, name === "stale.js" ? "identity" : codings[0] ?? "identity"]);
    assertEqual(await page.evaluate(() => Object.entries(window.ran)), expected, "what ran");
    const tags = new Set();
    for (const [name, coding] of expected) {
      const { asked, fields, status } = await only(wire, name);
      assert(/\bgzip\b.*\bbr\b.*\bzstd\b/.test(asked["accept-encoding"]), `Accept-Encoding: ${asked["accept-encoding"]}`);
      assertEqual([status, fields["content-encoding"] ?? "identity"], [200, coding], `status and coding of ${name}`);
      assertEqual(fields["content-type"], "text/javascript; charset=utf-8", `content type of ${name}`);
      assertEqual(fields.vary?.toLowerCase(), "accept-encoding", `Vary of ${name}`);
      assertEqual(/-(br|zstd|gzip)"$/.exec(fields.etag)?.[1] ?? "identity", coding, `the coding in ${fields.etag}`);
      tags.add(fields.etag);
    }
    return [...tags].join(" ");
  });

  await check("files: a coded file revalidates with its own tag; a sidecar is also a file by itself", async () => {
    wire.clear();
    const told = await page.evaluate(async (base) => {
      const coded = await fetch(`${base}coded/one.js`, { cache: "no-cache" });
      const plain = await fetch(`${base}coded/one.js.gz`);
      const bytes = new Uint8Array(await plain.arrayBuffer());
      return [coded.status, await coded.text(), bytes[0], bytes[1]];
    }, base);
    assert(told[1].includes('"gzip"'), `body: ${told[1]}`);
    assertEqual([told[0], told[2], told[3]], [200, 0x1f, 0x8b], "status, first bytes of the sidecar");
    const { status, asked, fields } = await only(wire, "one.js");
    assertEqual([status, fields.etag], [304, asked["if-none-match"]], "status and tag");
    assertEqual((await only(wire, "one.js.gz")).fields["content-encoding"], undefined, "coding of the sidecar itself");
  });
}

async function video({ page, base, directory, out, wire }) {
  let size = 0;
  await check("files: a video is made, of a minute and several MiB", async () => {
    await page.goto(`${base}blank/`);
    const clip = await makeClip(page);
    size = clip.length;
    assert(size > 4 * 1024 * 1024, `${size} bytes`);
    // The same clip under another name, of which the browser's cache holds nothing.
    for (const name of ["clip.webm", "again.webm"]) {
      writeFileSync(path.join(directory, "video", name), clip);
      aged(path.join(directory, "video", name), 3600);
    }
    return `${size} bytes`;
  });

  const spans = async (name = "clip.webm") =>
    (await wire.of(name)).map(({ status, asked, fields, bytes }) => {
      const [, first, last, total] = /^bytes (\d+)-(\d+)\/(\d+)$/.exec(fields["content-range"] ?? "") ?? [];
      return { status, range: asked.range, ifRange: asked["if-range"], first: +first, last: +last, total: +total, fields, bytes };
    });

  const shows = (told, seconds) => {
    assertEqual([told.time, told.error, told.seeking], [seconds, null, false], "currentTime, error, seeking");
    assert(told.readyState >= 2, `readyState is ${told.readyState}`);
    assertEqual(told.frame, Math.floor(seconds * CLIP.framesPerSecond), "the frame that is shown");
    const held = told.buffered.some(([from, to]) => from <= seconds && seconds < to);
    assert(held, `${seconds} s is not in buffered: ${JSON.stringify(told.buffered)}`);
    assert(Math.abs(told.duration - CLIP.seconds) < 1, `duration is ${told.duration}`);
    assertEqual(told.seekable, [[0, told.duration]], "seekable");
  };

  await check("files: a video seeks far ahead before the rest has come, by a range request", async () => {
    wire.clear();
    await page.goto(`${base}video/`);
    await page.waitForFunction(() => document.querySelector("video").readyState >= 1);
    const before = await page.evaluate(() => {
      const { buffered, readyState, duration } = document.querySelector("video");
      return { readyState, duration, end: buffered.length ? buffered.end(buffered.length - 1) : 0 };
    });
    const told = await page.evaluate(seek, { to: 52.25, deadline: WAIT_MS });
    shows(told, 52.25);
    // The browser only revalidates a part that it already holds.
    const answers = (await spans()).filter(({ status }) => status !== 304);
    for (const { status, range, first, last, total, fields } of answers) {
      const what = `${range}: ${status}, ${fields["content-range"]}`;
      assertEqual([status, total, fields["accept-ranges"]], [206, size, "bytes"], what);
      assertEqual(Number(fields["content-length"]), last - first + 1, `Content-Length of ${what}`);
      const [, from, to] = /^bytes=(\d+)-(\d*)$/.exec(range) ?? [];
      assertEqual([first, last], [Number(from), to ? Number(to) : size - 1], what);
      assertEqual([fields["content-type"], fields["content-encoding"]], ["video/webm", undefined], `type and coding of ${what}`);
      assertEqual(fields["content-range"], `bytes ${first}-${last}/${size}`, "Content-Range");
    }
    const far = answers.filter(({ first }) => first > size / 2);
    assert(far.length > 0, `no range of the second half: ${answers.map(({ range }) => range)}`);
    assert(before.end < 52, `${before.end} s were there before the seek`);
    const fetched = answers.reduce((sum, { bytes }) => sum + bytes, 0);
    assert(fetched < size, `all of it came: ${fetched} bytes`);
    return `${answers.map(({ range }) => range).join(", ")}; buffered ${JSON.stringify(told.buffered)}; ${fetched} of ${size} bytes came`;
  });

  await check("files: its captions load, from text/vtt", async () => {
    const cues = await page.evaluate(() => [...document.querySelector("track").track.cues].map(({ startTime, text }) => [startTime, text]));
    assertEqual(cues, [[50, "Grüße 🦀"]], "cues");
    assertEqual((await only(wire, "captions.vtt")).fields["content-type"], "text/vtt; charset=utf-8", "content type");
  });

  await check("files: it seeks back, to and fro, and plays on from there", async () => {
    for (const seconds of [0.05, 30.05, 59.45, 12.75, 44.35]) shows(await page.evaluate(seek, { to: seconds, deadline: WAIT_MS }), seconds);
    await page.evaluate(() => document.querySelector("video").play());
    await page.waitForFunction(() => document.querySelector("video").currentTime > 45.5);
    await page.evaluate(() => document.querySelector("video").pause());
    const clip = { x: 0, y: 0, width: CLIP.width + 16, height: CLIP.height + 16 };
    await page.screenshot({ path: path.join(out, "video.png"), clip, timeout: WAIT_MS });
    const answers = await spans();
    allOf(size, answers);
    return `${answers.length} requests`;
  });

  await check("files: opened again, the video seeks with what the browser's cache holds and asks for the rest", async () => {
    await page.goto("about:blank");
    wire.clear();
    await page.goto(`${base}video/`);
    for (const seconds of [52.25, 20.45]) shows(await page.evaluate(seek, { to: seconds, deadline: WAIT_MS }), seconds);
    const answers = await spans();
    for (const { status } of answers) assert(status === 206 || status === 304, `status ${status}`);
    const told = answers.map(({ status, range, ifRange }) => `${status}: ${range}, If-Range ${ifRange}`);
    return told.join("; ") || "nothing was asked for";
  });

  await check("files: dragged about faster than it can follow, it ends at the right frame", async () => {
    await page.evaluate(() => (document.querySelector("video").src = "again.webm"));
    await page.waitForFunction(() => document.querySelector("video").readyState >= 1);
    for (let i = 0; i < 40; i += 1) {
      await page.evaluate((to) => (document.querySelector("video").currentTime = to), ((i * 37) % 590) / 10 + 0.05);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    await page.waitForFunction(() => !document.querySelector("video").seeking);
    shows(await page.evaluate(seek, { to: 37.45, deadline: WAIT_MS }), 37.45);
    const answers = await spans("again.webm");
    allOf(size, answers);
    return `${answers.length} requests`;
  });
}

/** Each answer is a part of these many bytes, or says that the browser has that part. */
function allOf(size, answers) {
  const parts = answers.filter(({ status }) => status !== 304).map(({ status, total }) => `${status} of ${total}`);
  assertEqual([...new Set(parts)], [`206 of ${size}`], "answers");
}

async function download({ page, base }, big) {
  await check("files: a link with `download` saves 30 MiB, byte for byte", async () => {
    await page.goto(`${base}download/`);
    const [saved] = await Promise.all([page.waitForEvent("download"), page.click("a")]);
    assertEqual(saved.suggestedFilename(), "a copy.bin", "name");
    assertEqual(await saved.failure(), null, "failure");
    const bytes = readFileSync(await saved.path());
    assertEqual([bytes.length, sha256(bytes)], [BIG_BYTES, sha256(big)], "length and SHA-256");
    await saved.delete();
    return sha256(bytes).slice(0, 16);
  });
}

// The page reads the first bytes, and no more until the file has changed: by then the server has
// sent as much as the buffers hold.
async function changing({ browser, page: front, base, directory }, big) {
  const file = path.join(directory, "download", "big.bin");
  // Nobody watches this page's console: the browser complains about the cut download, as it should.
  const page = await browser.newPage();
  await page.goto(`${base}blank/`);
  const begin = () =>
    page.evaluate(async (url) => {
      const response = await fetch(url, { cache: "no-store" });
      window.reader = response.body.getReader();
      window.first = (await window.reader.read()).value;
      return response.status;
    }, `${base}download/big.bin`);
  const finish = () =>
    page.evaluate(async () => {
      const chunks = [window.first];
      let length = window.first.length;
      let end = "complete";
      try {
        for (let read = await window.reader.read(); !read.done; read = await window.reader.read()) {
          chunks.push(read.value);
          length += read.value.length;
        }
      } catch (error) {
        end = error.name;
      }
      const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", await new Blob(chunks).arrayBuffer()));
      return { length, end, sha256: [...digest].map((byte) => byte.toString(16).padStart(2, "0")).join("") };
    });

  await check("files: a file that is replaced while it is read comes whole, as it was", async () => {
    assertEqual(await begin(), 200, "status");
    writeFileSync(`${file}.new`, "another");
    renameSync(`${file}.new`, file);
    assertEqual(await finish(), { length: BIG_BYTES, end: "complete", sha256: sha256(big) }, "what came");
  });

  await check("files: a file that shrinks while it is read ends as an error, not as a shorter file", async () => {
    writeFileSync(file, big);
    // More than the socket's buffers hold, which may be 32 MiB on the browser's side alone.
    const bytes = 8 * BIG_BYTES;
    truncateSync(file, bytes);
    aged(file, 3600);
    assertEqual(await begin(), 200, "status");
    truncateSync(file, 1024 * 1024);
    const { length, end } = await finish();
    assertEqual(end, "TypeError", "end");
    assert(length < bytes, `${length} bytes came`);
    return `after ${length} bytes`;
  });
  await page.close();
  await front.bringToFront();
}
