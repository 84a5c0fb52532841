import assert from "node:assert/strict";
import { test } from "node:test";
import { ask, lastAnswer, onPage, until } from "./support.mjs";
import { pdf } from "./pdf.mjs";

// A picture that the browser itself draws.
async function picture(page, width, height, type = "image/png") {
  const bytes = await page.evaluate(
    async ([w, h, kind]) => {
      const canvas = new OffscreenCanvas(w, h);
      const context = canvas.getContext("2d");
      context.fillStyle = "teal";
      context.fillRect(0, 0, w, h);
      const blob = await canvas.convertToBlob({ type: kind });
      return [...new Uint8Array(await blob.arrayBuffer())];
    },
    [width, height, type],
  );
  return Buffer.from(bytes);
}

const files = (page) => page.locator("input[type=file]").first();

test("pictures are sent, small enough, and eight at most", onPage("mock", {}, async ({ page, mock }) => {
  mock.context = 1e6;
  const large = await picture(page, 3000, 1500, "image/jpeg");
  await files(page).setInputFiles(Array.from({ length: 9 }, (_, i) => ({ name: `${i}.jpg`, mimeType: "image/jpeg", buffer: large })));
  await page.getByText("8.jpg: a message holds 8 pictures at most").waitFor();
  await until(page, () => document.querySelectorAll(".shelf .thumbnail").length === 8);
  await page.getByRole("button", { name: "Remove 0.jpg" }).click();
  await ask(page, "look");
  await page.locator(".markdown", { hasText: "I see 7 pictures." }).waitFor();
  const urls = mock.requests[0].messages[0].content.filter((part) => part.type === "image_url").map((part) => part.image_url.url);
  const size = await page.evaluate(async (url) => {
    const image = new Image();
    image.src = url;
    await image.decode();
    return [image.naturalWidth, image.naturalHeight];
  }, urls[0]);
  assert.deepEqual(size, [1344, 672]);
  await page.locator(".message.user .thumbnail").first().click();
  await page.locator(".dialog-picture img").waitFor();
}));

test("a picture can be pasted and dropped", onPage("mock", {}, async ({ page }) => {
  const bytes = [...(await picture(page, 8, 8))];
  await page.evaluate((data) => {
    const transfer = new DataTransfer();
    transfer.items.add(new File([new Uint8Array(data)], "pasted.png", { type: "image/png" }));
    document.querySelector(".composer-field").dispatchEvent(new ClipboardEvent("paste", { clipboardData: transfer, bubbles: true, cancelable: true }));
    for (const name of ["dragenter", "dragover", "drop"]) {
      document.querySelector(".thread").dispatchEvent(new DragEvent(name, { dataTransfer: transfer, bubbles: true, cancelable: true }));
    }
  }, bytes);
  await until(page, () => document.querySelectorAll(".shelf .thumbnail").length === 2);
}));

test("a text file goes along as text", onPage("mock", {}, async ({ page, mock }) => {
  await files(page).setInputFiles({ name: "notes.md", mimeType: "text/markdown", buffer: Buffer.from("# Notes\n```\ncode\n```\n") });
  await page.locator(".file-card").waitFor();
  await ask(page, "what is in it");
  assert.equal(mock.requests[0].messages[0].content, "File notes.md:\n````\n# Notes\n```\ncode\n```\n````\n\nwhat is in it");
}));

test("the text of a PDF goes along", onPage("mock", {}, async ({ page, mock }) => {
  await files(page).setInputFiles({ name: "letter.pdf", mimeType: "application/pdf", buffer: pdf("Dear reader of this test") });
  await page.locator(".file-card", { hasText: "letter.pdf" }).waitFor();
  await ask(page, "read it");
  assert.match(mock.requests[0].messages[0].content, /Dear reader of this test/);
}));

test("what is no file for a model is refused with its name", onPage("mock", {}, async ({ page }) => {
  await files(page).setInputFiles([
    { name: "data.bin", mimeType: "application/octet-stream", buffer: Buffer.from([0, 1, 2, 0, 255]) },
    { name: "broken.png", mimeType: "image/png", buffer: Buffer.from("no picture") },
    { name: "broken.pdf", mimeType: "application/pdf", buffer: Buffer.from("no PDF") },
  ]);
  await page.getByText("data.bin: it is neither").waitFor();
  await page.getByText("broken.png: the browser cannot read this picture").waitFor();
  await page.getByText("broken.pdf:").waitFor();
}));

test("a video becomes frames with their times", onPage("mock", {}, async ({ page, mock }) => {
  mock.context = 1e6;
  const bytes = await page.evaluate(async () => {
    const canvas = document.createElement("canvas");
    canvas.width = 64;
    canvas.height = 48;
    const context = canvas.getContext("2d");
    const recorder = new MediaRecorder(canvas.captureStream(20), { mimeType: "video/webm" });
    const parts = [];
    recorder.ondataavailable = (event) => parts.push(event.data);
    recorder.start(100);
    for (let i = 0; i < 24; i += 1) {
      context.fillStyle = `hsl(${i * 15} 80% 50%)`;
      context.fillRect(0, 0, 64, 48);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    const stopped = new Promise((resolve) => (recorder.onstop = resolve));
    recorder.stop();
    await stopped;
    return [...new Uint8Array(await new Blob(parts).arrayBuffer())];
  });
  await files(page).setInputFiles({ name: "clip.webm", mimeType: "video/webm", buffer: Buffer.from(bytes) });
  await until(page, () => document.querySelectorAll(".shelf .thumbnail").length === 8);
  await ask(page, "what happens");
  const parts = mock.requests[0].messages[0].content;
  assert.equal(parts.filter((part) => part.type === "image_url").length, 8);
  assert.equal(parts[0].text, "0:00");
  assert.match(await lastAnswer(page).innerText(), /8 pictures/);
}));
