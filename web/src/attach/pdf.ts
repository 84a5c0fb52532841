const mostPages = 500;

/** The text of a PDF, page by page. Throws when there is none: a scan, or no PDF. */
export async function readPdf(file: Blob): Promise<string> {
  const { default: pdf } = await import("pdfjs");
  pdf.GlobalWorkerOptions.workerSrc = "/assets/pdf.worker.js";
  const document_ = await pdf.getDocument({
    data: new Uint8Array(await file.arrayBuffer()),
    isEvalSupported: false,
    disableFontFace: true,
    useSystemFonts: false,
    useWorkerFetch: false,
    stopAtErrors: false,
  }).promise;
  try {
    const pages: string[] = [];
    for (let number = 1; number <= Math.min(document_.numPages, mostPages); number += 1) {
      const page = await document_.getPage(number);
      const { items } = await page.getTextContent();
      pages.push(items.map((item) => item.str + (item.hasEOL ? "\n" : "")).join("").trim());
    }
    const text = pages.filter((page) => page !== "").join("\n\n");
    if (text === "") throw new Error("it has no text; it may be a scan");
    return text;
  } finally {
    await document_.destroy();
  }
}
