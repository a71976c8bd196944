import type { FileRecord } from "@headrace/broker";
import type { FileObject } from "@headrace/contract";

const MS_PER_SECOND = 1_000;

/** Show a file the way OpenAI does. */
export function toFile(record: FileRecord): FileObject {
  const { id, sizeBytes, createdAtMs, expiresAtMs, filename, purpose } = record;
  return {
    id,
    object: "file",
    bytes: sizeBytes,
    created_at: Math.floor(createdAtMs / MS_PER_SECOND),
    expires_at: expiresAtMs === null ? null : Math.floor(expiresAtMs / MS_PER_SECOND),
    filename,
    purpose,
    status: "processed",
    status_details: null,
  };
}

/** How a browser is to save it: its name in both forms of RFC 6266, of which no part is a path. */
export function toDisposition({ filename }: FileRecord): string {
  const plain = filename.replaceAll(/[^\w .()+,=@-]/g, "_");
  const encoded = encodeURIComponent(filename).replaceAll(
    /['()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
  return `attachment; filename="${plain}"; filename*=UTF-8''${encoded}`;
}
