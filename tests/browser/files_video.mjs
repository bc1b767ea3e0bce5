// A video whose picture shows the number of the frame. The browser makes it, by its own encoder.

import { createRequire } from "node:module";

export const CLIP = { width: 320, height: 240, framesPerSecond: 10, seconds: 60, bitsPerSecond: 1_500_000, keyframeEvery: 20 };
const MUXER = createRequire(import.meta.url).resolve("webm-muxer").replace(/\.mjs$/, ".js");

// Runs in the page: noise, which compresses badly, below a row of ten squares that spell the
// frame's number in binary.
async function encode({ width, height, framesPerSecond, seconds, bitsPerSecond, keyframeEvery }) {
  const { Muxer, ArrayBufferTarget } = window.WebMMuxer;
  const target = new ArrayBufferTarget();
  const muxer = new Muxer({ target, video: { codec: "V_VP8", width, height, frameRate: framesPerSecond } });
  let failure = null;
  const encoder = new VideoEncoder({
    output: (chunk, meta) => muxer.addVideoChunk(chunk, meta),
    error: (error) => (failure = error),
  });
  encoder.configure({ codec: "vp8", width, height, bitrate: bitsPerSecond, framerate: framesPerSecond });

  const noise = new Uint8Array(1 << 20);
  for (let at = 0; at < noise.length; at += 65_536) crypto.getRandomValues(noise.subarray(at, at + 65_536));
  const luma = width * height;
  const picture = new Uint8Array((luma * 3) / 2).fill(128);
  const frames = framesPerSecond * seconds;
  for (let i = 0; i < frames && failure === null; i += 1) {
    const from = (i * 7919) % (noise.length - luma);
    picture.set(noise.subarray(from, from + luma));
    for (let y = 0; y < 32; y += 1) {
      for (let bit = 0; bit < 10; bit += 1) picture.fill((i >> bit) & 1 ? 235 : 16, y * width + bit * 32, y * width + bit * 32 + 32);
    }
    const timestamp = (i * 1e6) / framesPerSecond;
    const frame = new VideoFrame(picture, { format: "I420", codedWidth: width, codedHeight: height, timestamp });
    encoder.encode(frame, { keyFrame: i % keyframeEvery === 0 });
    frame.close();
    while (encoder.encodeQueueSize > 8 && failure === null) await new Promise((resolve) => setTimeout(resolve, 5));
  }
  if (failure === null) await encoder.flush();
  if (failure !== null) throw failure;
  muxer.finalize();
  const reader = new FileReader();
  await new Promise((resolve, reject) => {
    reader.onload = resolve;
    reader.onerror = reject;
    reader.readAsDataURL(new Blob([target.buffer]));
  });
  return reader.result.slice(reader.result.indexOf(",") + 1);
}

// The clip's bytes. `page` shows a document of a secure origin, as 127.0.0.1 is.
export async function makeClip(page) {
  await page.addScriptTag({ path: MUXER });
  return Buffer.from(await page.evaluate(encode, CLIP), "base64");
}

// Runs in the page: sets currentTime, waits for `seeked`, and returns the element's state and
// picture.
export function seek({ to, deadline }) {
  const video = document.querySelector("video");
  const ranges = (list) => Array.from({ length: list.length }, (_, i) => [list.start(i), list.end(i)]);
  return new Promise((resolve, reject) => {
    const tell = () => {
      const canvas = document.createElement("canvas");
      canvas.width = video.videoWidth;
      canvas.height = video.videoHeight;
      const context = canvas.getContext("2d", { willReadFrequently: true });
      context.drawImage(video, 0, 0);
      let frame = 0;
      for (let bit = 0; bit < 10; bit += 1) frame |= (context.getImageData(bit * 32 + 16, 16, 1, 1).data[1] > 127 ? 1 : 0) << bit;
      return {
        frame,
        time: video.currentTime,
        readyState: video.readyState,
        seeking: video.seeking,
        error: video.error?.message ?? null,
        buffered: ranges(video.buffered),
        seekable: ranges(video.seekable),
        duration: video.duration,
      };
    };
    setTimeout(() => reject(new Error(`no seeked event: ${JSON.stringify(tell())}`)), deadline);
    video.addEventListener("seeked", () => resolve(tell()), { once: true });
    video.addEventListener("error", () => reject(new Error(video.error.message)), { once: true });
    video.currentTime = to;
  });
}
