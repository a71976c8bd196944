/** A page of a list, as OpenAI shows one. */
export interface Page<Item> {
  readonly object: "list";
  readonly data: Item[];
  readonly first_id: string | null;
  readonly last_id: string | null;
  readonly has_more: boolean;
}

/** Make a page of what it shows. */
export function toPage<Item extends { readonly id: string }>(
  data: Item[],
  hasMore: boolean,
): Page<Item> {
  return {
    object: "list",
    data,
    first_id: data[0]?.id ?? null,
    last_id: data.at(-1)?.id ?? null,
    has_more: hasMore,
  };
}
