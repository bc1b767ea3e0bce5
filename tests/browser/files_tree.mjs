// The directory that files.mjs serves: each run writes it again, so that the checks know every byte
// of it.

import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdirSync, rmSync, symlinkSync, utimesSync, writeFileSync } from "node:fs";
import path from "node:path";
import { brotliCompressSync, gzipSync } from "node:zlib";

export const BIG_BYTES = 30 * 1024 * 1024;

// Each is a file whose text is its own name. Clients can request all of them, and the listing must
// show them.
export const NAMES = [
  "plain.txt",
  "with a space.txt",
  "  two spaces first.txt",
  "it's.txt",
  '"quoted".txt',
  "100%.txt",
  "%41 stays.txt",
  "a%2Fb.txt",
  "%00.txt",
  "%E0%A4%A.txt",
  "Grüße €₸ Ελλάδα 🦀.txt",
  "e\u0301 in two.txt",
  "back \u202egnp.txt",
  "\u0645\u0631\u062d\u0628\u0627 123.txt",
  "#hash?query=1&b.txt",
  "&amp;&lt;.txt",
  "a+b;c,d=e@f!$().txt",
  "[x]{y}|z^`~.txt",
  "two dots.. in it.txt",
  "<script>window.pwned='script'<!--.txt",
  "<img src=x onerror=window.pwned='img'>.txt",
  "\" onmouseover=window.pwned='quote' x=\".txt",
  "' onclick=window.pwned='apostrophe' '.txt",
  "<base href=.txt",
  "<title><style><textarea>.txt",
  "javascript.txt",
  "a link inside.txt",
  `${"long ".repeat(20)}.txt`,
  `${"unbroken".repeat(30)}.txt`,
];

// The listing must not show these: they are hidden, or the server refuses requests for their names.
export const UNLISTED = [
  ".hidden.txt",
  ".git",
  "back\\slash.txt",
  "javascript:window.pwned='colon'",
  "CON.txt",
  "dot.",
  "space ",
  "line\nbreak.txt",
  "tab\there.txt",
  "a queue",
  "leads out",
  "leads out.txt",
];

// (i32, i32) -> i32, exported as "add".
const WASM = Buffer.from(
  "0061736d01000000" + "0107016002" + "7f7f017f" + "03020100" + "070701036164640000" + "0a09010700200020016a0b",
  "hex",
);

const SITE = {
  "index.html": `<!doctype html><html lang="en"><meta charset="utf-8"><title>A site</title>
<link rel="stylesheet" href="style.css"><link rel="manifest" href="app.webmanifest"><link rel="icon" href="logo.svg">
<img id="logo" src="logo.svg" alt="A square"><p id="styled">Styled</p>
<script type="module" src="main.mjs"></script><script src="classic.js" defer></script></html>`,
  "style.css": '@import "more.css";\n#styled { color: rgb(1, 2, 3) }\n',
  "more.css": "#styled { background-color: rgb(4, 5, 6) }\n",
  "logo.svg": '<svg xmlns="http://www.w3.org/2000/svg" width="37" height="41"><rect width="37" height="41" fill="teal"/></svg>\n',
  "app.webmanifest": JSON.stringify({
    name: "Grüße",
    start_url: "./",
    display: "standalone",
    icons: [{ src: "logo.svg", sizes: "any", type: "image/svg+xml" }],
  }),
  "data.json": JSON.stringify({ said: "Grüße 🦀" }),
  "lib.js": 'export const lib = "Grüße 🦀";\n',
  "classic.js": 'window.classic = "classic";\n',
  "worker.mjs": 'import { lib } from "./lib.js"; postMessage(lib);\n',
  "main.mjs": `import { lib } from "./lib.js";
import data from "./data.json" with { type: "json" };
const { instance, module } = await WebAssembly.instantiateStreaming(fetch("add.wasm"));
const worker = new Worker("worker.mjs", { type: "module" });
const worked = await new Promise((resolve) => (worker.onmessage = ({ data }) => resolve(data)));
const { late } = await import("./late.mjs");
window.told = { lib, json: data.said, sum: instance.exports.add(40, 2), compiled: module instanceof WebAssembly.Module, worked, late };
`,
  "late.mjs": 'export const late = "late";\n',
  "add.wasm": WASM,
};

// A frame of one block without compression, since Node.js 18 has no Zstandard (RFC 8878 §3.1.1).
function zstd(text) {
  const bytes = Buffer.from(text);
  const block = (bytes.length << 3) | 1;
  return Buffer.concat([Buffer.from("28b52ffd20", "hex"), Buffer.from([bytes.length, block & 255, block >> 8, 0]), bytes]);
}

// Scripts that report which variant ran. Each entry lists the sidecars beside the script; `stale`
// has one that is older than the script.
export const SIDECARS = {
  "all.js": ["br", "zstd", "gzip"],
  "two.js": ["zstd", "gzip"],
  "one.js": ["gzip"],
  "none.js": [],
  "stale.js": ["gzip"],
};
const CODINGS = { br: ["br", brotliCompressSync], zstd: ["zst", zstd], gzip: ["gz", gzipSync] };

// Sets the file's time this many seconds back. Within 2 s of its change a file's validator is weak.
export function aged(file, seconds) {
  const then = Date.now() / 1000 - seconds;
  utimesSync(file, then, then);
}

export function writeTree(root) {
  rmSync(root, { recursive: true, force: true });
  const write = (name, bytes, age = 3600) => {
    const file = path.join(root, name);
    mkdirSync(path.dirname(file), { recursive: true });
    writeFileSync(file, bytes);
    aged(file, age);
  };
  write("blank/index.html", '<!doctype html><meta charset="utf-8"><title>Blank</title><link rel="icon" href="data:,">');
  for (const [name, bytes] of Object.entries(SITE)) write(`site/${name}`, bytes);

  for (const [name, codings] of Object.entries(SIDECARS)) {
    const ran = (coding) => `window.ran = { ...window.ran, ${JSON.stringify(name)}: "${coding}" };\n`;
    write(`coded/${name}`, ran("identity"));
    for (const coding of codings) {
      const [extension, encode] = CODINGS[coding];
      write(`coded/${name}.${extension}`, encode(ran(coding)), name === "stale.js" ? 7200 : 3600);
    }
  }
  const scripts = Object.keys(SIDECARS).map((name) => `<script src="${name}"></script>`);
  write("coded/index.html", `<!doctype html><title>Coded</title><link rel="icon" href="data:,">${scripts.join("")}`);

  // The browser makes the clip itself later.
  write("video/captions.vtt", "WEBVTT\n\n00:50.000 --> 00:55.000\nGrüße 🦀\n");
  write(
    "video/index.html",
    `<!doctype html><meta charset="utf-8"><title>Video</title><link rel="icon" href="data:,">
<video muted preload="metadata" src="clip.webm"><track src="captions.vtt" default></video>`,
  );

  write(
    "again/index.html",
    `<!doctype html><title>Again</title><link rel="icon" href="data:,"><link rel="stylesheet" href="style.css">
<p id="p">Again</p><script src="app.js"></script>`,
  );
  write("again/style.css", "#p { color: rgb(1, 2, 3) }\n");
  write("again/app.js", "window.version = 1;\n");

  write("linked/to.txt", "a link inside.txt");
  const special = {
    "a link inside.txt": (file) => symlinkSync("../linked/to.txt", file),
    ".git": () => write("names/.git/config", "[core]"),
    "a queue": (file) => execFileSync("mkfifo", [file]),
    "leads out": (file) => symlinkSync("/etc", file),
    "leads out.txt": (file) => symlinkSync("/etc/hostname", file),
  };
  for (const name of [...NAMES, ...UNLISTED]) {
    if (special[name]) special[name](path.join(root, "names", name));
    else write(`names/${name}`, name);
  }
  writeFileSync(Buffer.concat([Buffer.from(path.join(root, "names", "no UTF-8 ")), Buffer.from([0xff, 0xfe])]), "odd");
  mkdirSync(path.join(root, "names/an empty directory"));
  write("names/<b>directory<b>/inside & out.txt", "inside & out.txt");
  write("names/Zoo/10 bytes.bin", Buffer.alloc(10));
  write("names/Zoo/five MiB.bin", Buffer.alloc(5 * 1024 * 1024));

  const big = randomBytes(BIG_BYTES);
  write("download/big.bin", big);
  write(
    "download/index.html",
    '<!doctype html><title>Download</title><link rel="icon" href="data:,"><a href="big.bin" download="a copy.bin">Download</a>',
  );
  return { big };
}
