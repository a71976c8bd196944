import { defineConfig } from "vitest/config";

// oxlint-disable-next-line import/no-default-export -- vitest reads its configuration from it
export default defineConfig({
  test: {
    projects: ["packages/*", "services/*", "test"],
  },
});
