import { z } from "zod";

import { validate } from "../validation.ts";
import { refusal } from "./refusal.ts";

/** A part of a chat message. */
export type ChatPart =
  | { readonly type: "text"; readonly text: string }
  | {
      readonly type: "image_url";
      readonly image_url: { readonly url: string; readonly detail?: string };
    }
  | { readonly type: "input_audio"; readonly input_audio: Readonly<Record<string, unknown>> };

const textPart = z.looseObject({ text: z.string() });
const refusalPart = z.looseObject({ refusal: z.string() });
const imagePart = z.looseObject({
  image_url: z.string().nullish(),
  file_id: z.string().nullish(),
  detail: z.enum(["low", "high", "auto", "original"]).nullish(),
});
const audioPart = z.looseObject({ input_audio: z.looseObject({ data: z.string() }) });
const typedPart = z.looseObject({ type: z.string() });

/** What an item's content may be before its parts are looked at. */
export const contentSchema = z.union([z.string(), z.array(typedPart).min(1)]);
export type Content = z.infer<typeof contentSchema>;

/**
 * Turn an item's content into a chat message's. Text alone becomes a plain string, which every
 * engine takes.
 *
 * @param at path of the content, for messages
 * @throws PlatformError `request_invalid` naming the part at fault
 */
export function toChatContent(content: Content, at: string): string | ChatPart[] {
  if (typeof content === "string") return content;
  const parts = content.map((part, index) => toChatPart(part, `${at}[${index}]`));
  const [only] = parts;
  return parts.length === 1 && only?.type === "text" ? only.text : parts;
}

function toChatPart(part: z.infer<typeof typedPart>, at: string): ChatPart {
  switch (part.type) {
    case "input_text":
    case "output_text":
    case "reasoning_text":
    case "summary_text":
      return { type: "text", text: validate(textPart, part, at).text };
    case "refusal":
      return { type: "text", text: validate(refusalPart, part, at).refusal };
    case "input_image":
      return toImage(part, at);
    case "input_audio": {
      const { input_audio: audio } = validate(audioPart, part, at);
      return { type: "input_audio", input_audio: audio };
    }
    default: {
      const advice =
        part.type === "input_file"
          ? "files are not read; send their text"
          : `expected input_text, input_image, input_audio, output_text or refusal`;
      throw refusal(`${at}.type`, advice);
    }
  }
}

function toImage(part: z.infer<typeof typedPart>, at: string): ChatPart {
  const { image_url: url, file_id: file, detail } = validate(imagePart, part, at);
  if (file !== null && file !== undefined) {
    throw refusal(`${at}.file_id`, "files are not kept; send image_url, which may be a data URL");
  }
  if (url === null || url === undefined) throw refusal(`${at}.image_url`, "required");
  return { type: "image_url", image_url: detail ? { url, detail } : { url } };
}
