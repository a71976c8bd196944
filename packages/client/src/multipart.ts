/** A form's file that is sent as it comes. */
export interface StreamedFile {
  readonly name: string;
  readonly filename: string;
  readonly content: AsyncIterable<Uint8Array>;
}

/** A form as it goes over the wire. */
export interface Multipart {
  /** With the boundary that it is written with. */
  readonly contentType: string;
  /** Reads the file no faster than it is sent; read once. */
  readonly body: ReadableStream<Uint8Array>;
}

/**
 * Write a form whose file is not in memory. `FormData` takes a Blob alone, of which Node reads a file
 * faster than it is sent: of 200 MB, 220 were held at once (Node 26, 25 November 2026).
 *
 * @see https://www.rfc-editor.org/rfc/rfc7578
 */
export function writeMultipart(
  fields: Readonly<Record<string, string>>,
  file: StreamedFile,
): Multipart {
  // Nobody who writes a file can guess it, and so nobody can end the form with one.
  const boundary = `headrace-${globalThis.crypto.randomUUID()}`;
  return {
    contentType: `multipart/form-data; boundary=${boundary}`,
    body: toStream(writeParts(boundary, fields, file)),
  };
}

async function* writeParts(
  boundary: string,
  fields: Readonly<Record<string, string>>,
  { name, filename, content }: StreamedFile,
): AsyncGenerator<Uint8Array> {
  const utf8 = new TextEncoder();
  for (const [field, value] of Object.entries(fields)) {
    yield utf8.encode(`${headOf(boundary, `name="${escape(field)}"`)}\r\n${value}\r\n`);
  }
  const disposition = `name="${escape(name)}"; filename="${escape(filename)}"`;
  const type = "content-type: application/octet-stream\r\n";
  yield utf8.encode(`${headOf(boundary, disposition)}${type}\r\n`);
  yield* content;
  yield utf8.encode(`\r\n--${boundary}--\r\n`);
}

function headOf(boundary: string, disposition: string): string {
  return `--${boundary}\r\ncontent-disposition: form-data; ${disposition}\r\n`;
}

/** As browsers write names: https://html.spec.whatwg.org/#multipart-form-data */
function escape(name: string): string {
  return name.replaceAll("\r", "%0D").replaceAll("\n", "%0A").replaceAll('"', "%22");
}

function toStream(parts: AsyncGenerator<Uint8Array>): ReadableStream<Uint8Array> {
  return new ReadableStream<Uint8Array>({
    pull: async (controller) => {
      const { done, value } = await parts.next();
      if (done === true) controller.close();
      else controller.enqueue(value);
    },
    cancel: async () => {
      await parts.return(undefined);
    },
  });
}
