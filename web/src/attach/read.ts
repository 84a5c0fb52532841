import type { Attachment } from "../data/types";
import { texts } from "../text/texts";
import { kindOf, looksBinary } from "./kinds";
import { mostFileBytes, mostImages, mostTextCharacters, videoFrames } from "./limits";
import { readPdf } from "./pdf";
import { readPicture } from "./picture";
import { readVideo } from "./video";

export interface ReadFiles {
  attachments: Attachment[];
  /** What could not be taken, and why. */
  problems: string[];
}

/** Files as parts of a message that has so many pictures already. */
export async function readFiles(files: readonly File[], imagesThere: number): Promise<ReadFiles> {
  const result: ReadFiles = { attachments: [], problems: [] };
  let images = imagesThere;
  for (const file of files) {
    try {
      const parts = await readFile(file, mostImages - images);
      images += parts.filter((part) => part.kind === "image").length;
      result.attachments.push(...parts);
    } catch (error) {
      result.problems.push(texts.attach.problem(file.name, error instanceof Error ? error.message : String(error)));
    }
  }
  return result;
}

async function readFile(file: File, imagesLeft: number): Promise<Attachment[]> {
  if (file.size > mostFileBytes) throw new Error(texts.attach.tooLarge);
  const kind = kindOf(file.name, file.type);
  if ((kind === "image" || kind === "video") && imagesLeft <= 0) throw new Error(texts.attach.tooMany(mostImages));
  switch (kind) {
    case "image":
      return [await readPicture(file, file.name).catch(() => Promise.reject(new Error(texts.attach.noPicture)))];
    case "video":
      return readVideo(file, file.name, Math.min(videoFrames, imagesLeft));
    case "pdf":
      return [textPart(file.name, await readPdf(file))];
    default: {
      if (file.size > 4 * mostTextCharacters) throw new Error(texts.attach.tooLarge);
      const text = await file.text();
      if (looksBinary(text)) throw new Error(texts.attach.unknown);
      return [textPart(file.name, text)];
    }
  }
}

function textPart(name: string, text: string): Attachment {
  if (text.length > mostTextCharacters) throw new Error(texts.attach.tooLong);
  return { kind: "text", name, text: text.trimEnd() };
}
