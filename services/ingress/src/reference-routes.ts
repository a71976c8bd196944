import { sendText } from "./answer.ts";
import type { Route } from "./exchange.ts";
import type { OpenApiDocument } from "./reference/document.ts";
import { PAGE_POLICY, renderPage } from "./reference/page.ts";

/** The API's own description, for programs and for people. */
export function referenceRoutes(document: OpenApiDocument): Route[] {
  const json = JSON.stringify(document);
  const page = renderPage(document);
  return [
    {
      path: "/openapi.json",
      isOpen: true,
      methods: {
        GET: (exchange) =>
          sendText(exchange, 200, { text: json, headers: { "content-type": "application/json" } }),
      },
    },
    {
      path: "/docs",
      isOpen: true,
      methods: {
        GET: (exchange) =>
          sendText(exchange, 200, {
            text: page,
            headers: {
              "content-type": "text/html; charset=utf-8",
              "content-security-policy": PAGE_POLICY,
            },
          }),
      },
    },
  ];
}
