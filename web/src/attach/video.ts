import type { ImagePart } from "../data/types";
import { clock, momentsOf } from "./kinds";
import { encode } from "./picture";

const waitMs = 15_000;

/** Frames of a video, evenly spaced, with their times. Throws when the browser cannot play it. */
export async function readVideo(file: Blob, name: string, frames: number): Promise<ImagePart[]> {
  const url = URL.createObjectURL(file);
  const video = document.createElement("video");
  video.muted = true;
  video.preload = "auto";
  video.src = url;
  try {
    await once(video, "loadeddata");
    await knowDuration(video);
    const parts: ImagePart[] = [];
    for (const moment of momentsOf(video.duration, frames)) {
      const sought = once(video, "seeked");
      video.currentTime = moment;
      await sought;
      parts.push({
        kind: "image",
        name: `${name} ${clock(moment)}`,
        note: clock(moment),
        url: encode(video, video.videoWidth, video.videoHeight, false),
      });
    }
    return parts;
  } finally {
    video.removeAttribute("src");
    video.load();
    URL.revokeObjectURL(url);
  }
}

// A recording that was never finished does not say how long it is before its end was seen.
async function knowDuration(video: HTMLVideoElement): Promise<void> {
  if (Number.isFinite(video.duration)) return;
  const sought = once(video, "seeked");
  video.currentTime = 1e9;
  await sought;
}

function once(video: HTMLVideoElement, event: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = window.setTimeout(() => reject(new Error("the video does not load")), waitMs);
    const settle = (action: () => void) => {
      window.clearTimeout(timer);
      action();
    };
    video.addEventListener(event, () => settle(resolve), { once: true });
    video.addEventListener("error", () => settle(() => reject(new Error("the browser cannot play it"))), { once: true });
  });
}
