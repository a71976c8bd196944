import { Headrace } from "@headrace/client";
import { test } from "vitest";

import { API_KEY, Platform } from "../platform.ts";

/** A vitest `test` with a whole platform: one for all tests of a file. */
export const platformTest = test
  .extend("platform", { scope: "file" }, async ({}, { onCleanup }) => {
    const platform = await Platform.start();
    onCleanup(() => platform.stop());
    return platform;
  })
  .extend("client", ({ platform }) => new Headrace({ url: platform.url, apiKey: API_KEY }));
