// An upload with its progress, and the ways in which a browser asks for a file. app.js is loaded
// before this file.
"use strict";

// ---- Upload ------------------------------------------------------------------------------------

const upload = {
  bar: byId("upload-bar"),
  line: byId("upload-line"),
  problem: byId("upload-problem"),
  buttons: [byId("upload-send"), byId("upload-random")],
};

function endUpload(problem) {
  for (const button of upload.buttons) button.disabled = false;
  upload.problem.textContent = problem;
  upload.problem.hidden = problem === "";
}

function failUpload(problem) {
  upload.line.textContent = "It did not arrive.";
  endUpload(problem);
}

// XMLHttpRequest, because fetch does not report how much was sent.
function sendFile(body, bytes) {
  const request = new XMLHttpRequest();
  const begun = performance.now();
  for (const button of upload.buttons) button.disabled = true;
  upload.problem.hidden = true;
  upload.bar.value = 0;
  request.upload.addEventListener("progress", (event) => {
    upload.bar.value = bytes === 0 ? 1 : event.loaded / bytes;
    upload.line.textContent = `${formatBytes(event.loaded)} of ${formatBytes(bytes)} sent`;
  });
  request.addEventListener("load", () => {
    if (request.status !== 200) return failUpload(`The server answered ${request.status}.`);
    const seconds = (performance.now() - begun) / 1000;
    upload.bar.value = 1;
    const arrived = JSON.parse(request.responseText).bytes;
    upload.line.textContent = `${formatBytes(arrived)} arrived in ${seconds.toFixed(2)} s`;
    endUpload("");
  });
  request.addEventListener("error", () => failUpload("The connection broke."));
  request.open("POST", "/api/upload");
  request.send(body);
}

byId("upload-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const [file] = byId("upload-file").files;
  if (file === undefined) return endUpload("Choose a file first.");
  sendFile(file, file.size);
});
byId("upload-random").addEventListener("click", () => {
  const zeros = new Blob([new Uint8Array(16 * 1024 * 1024)]);
  sendFile(zeros, zeros.size);
});

// ---- Files -------------------------------------------------------------------------------------

const FILE = "/icon.svg";
const ANSWER_ROWS = 30;

let entityTag = null;

async function askForFile(label, fields) {
  const row = element("li");
  try {
    // Otherwise the browser's own cache would answer instead of the server.
    const answer = await fetch(FILE, { headers: fields, cache: "no-store" });
    const body = await answer.arrayBuffer();
    entityTag = answer.headers.get("ETag") ?? entityTag;
    // Without the parameters: the boundary of multipart/byteranges does not matter here.
    const [type] = (answer.headers.get("Content-Type") ?? "").split(";");
    const range = answer.headers.get("Content-Range") ?? type;
    row.append(element("span", answer.status < 400 ? "status" : "status failed", String(answer.status)));
    row.append(element("span", "what", range === "" ? label : `${label}: ${range}`));
    row.append(element("span", "facts", formatBytes(body.byteLength)));
    row.dataset.status = String(answer.status);
  } catch (error) {
    row.append(element("span", "status failed", "–"), element("span", "what", String(error)));
  }
  prepend(byId("files-log"), row, ANSWER_ROWS);
}

byId("files-whole").addEventListener("click", () => askForFile("the whole", {}));
byId("files-part").addEventListener("click", () => askForFile("a part", { Range: "bytes=0-99" }));
byId("files-parts").addEventListener("click", () => askForFile("two parts", { Range: "bytes=0-9,200-209" }));
byId("files-again").addEventListener("click", async () => {
  if (entityTag === null) await askForFile("the whole, for its entity tag", {});
  if (entityTag !== null) await askForFile("only if it is not " + entityTag, { "If-None-Match": entityTag });
});
