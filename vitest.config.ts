// oxlint-disable-next-line import/no-default-export -- vitest reads its configuration from it
export { default } from "./setup/vitest.config.js";
