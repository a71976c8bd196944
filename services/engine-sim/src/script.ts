import { encode } from "./vocabulary.ts";

/** What the engine says that is not prose: a thought, a call of a tool, or text of a given form. */
export type Segment =
  | { readonly kind: "reasoning" | "content"; readonly text: string }
  | { readonly kind: "call"; readonly name: string; readonly arguments: string };

/** Where a token stands in a script. */
export interface ScriptPlace {
  readonly segment: Segment;
  /** Which of the script's calls it is; -1 for what is none. */
  readonly call: number;
  /** The token spells a call's name, which is told once it is whole. */
  readonly isHeader: boolean;
  readonly endsHeader: boolean;
}

/**
 * The ids that an engine says before, or in place of, its prose.
 *
 * A model spells a call in text that a parser takes apart; so here a call's name takes tokens too,
 * which give no text.
 */
export class Script {
  readonly ids: readonly number[];
  /** Whether nothing follows it. */
  readonly isWhole: boolean;
  readonly #places: readonly ScriptPlace[];

  constructor(segments: readonly Segment[], { isWhole }: { readonly isWhole: boolean }) {
    const ids: number[] = [];
    const places: ScriptPlace[] = [];
    let calls = 0;
    for (const segment of segments) {
      const header = segment.kind === "call" ? encode(`{"name": "${segment.name}", `) : [];
      const body = encode(segment.kind === "call" ? segment.arguments : segment.text);
      const call = segment.kind === "call" ? calls++ : -1;
      for (const at of header.keys()) {
        places.push({ segment, call, isHeader: true, endsHeader: at === header.length - 1 });
      }
      for (const _ of body) places.push({ segment, call, isHeader: false, endsHeader: false });
      ids.push(...header, ...body);
    }
    this.ids = ids;
    this.isWhole = isWhole;
    this.#places = places;
  }

  /** Where the token at this place of the output stands; null when it is prose, or the end. */
  placeOf(at: number): ScriptPlace | null {
    return this.#places[at] ?? null;
  }
}
