import type { ImagePart } from "../data/types";
import { fitInto } from "./kinds";
import { longestSide } from "./limits";

/** A picture file, small enough to send. Throws when the browser cannot read it. */
export async function readPicture(file: Blob, name: string): Promise<ImagePart> {
  const bitmap = await createImageBitmap(file);
  try {
    return { kind: "image", name, url: encode(bitmap, bitmap.width, bitmap.height, file.type === "image/png") };
  } finally {
    bitmap.close();
  }
}

/** What is seen now, as a data: URL. PNG stays PNG while it is small: drawings keep their edges. */
export function encode(source: CanvasImageSource, width: number, height: number, png: boolean): string {
  const [toWidth, toHeight] = fitInto(width, height, longestSide);
  const canvas = document.createElement("canvas");
  canvas.width = toWidth;
  canvas.height = toHeight;
  const context = canvas.getContext("2d");
  if (context === null) throw new Error("no canvas");
  context.imageSmoothingQuality = "high";
  if (png) {
    context.drawImage(source, 0, 0, toWidth, toHeight);
    const url = canvas.toDataURL("image/png");
    if (url.length < 600_000) return url;
  }
  // JPEG knows no transparency: what shows through is white.
  context.globalCompositeOperation = "destination-over";
  context.fillStyle = "#fff";
  if (!png) context.globalCompositeOperation = "source-over";
  context.fillRect(0, 0, toWidth, toHeight);
  if (!png) context.drawImage(source, 0, 0, toWidth, toHeight);
  return canvas.toDataURL("image/jpeg", 0.88);
}
