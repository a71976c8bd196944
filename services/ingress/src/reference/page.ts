import { hash } from "node:crypto";

import type { OpenApiDocument, OperationObject } from "./document.ts";
import { Html, html } from "./html.ts";
import type { JsonSchema, Parameter } from "./operation.ts";

const STYLE = `
:root { color-scheme: light dark; --line: light-dark(#d8dee4, #30363d); --soft: light-dark(#f6f8fa, #161b22);
  --dim: light-dark(#57606a, #8b949e); --get: #1a7f6b; --post: #2563c9; --delete: #b3372f; }
* { box-sizing: border-box; }
body { margin: 0; font: 16px/1.55 system-ui, sans-serif; display: grid; grid-template-columns: 17rem minmax(0, 52rem); }
nav { position: sticky; top: 0; height: 100vh; overflow: auto; padding: 1.5rem 1rem; border-right: 1px solid var(--line); font-size: .85rem; }
nav a { display: block; color: inherit; text-decoration: none; padding: .15rem 0; overflow-wrap: anywhere; }
nav a:hover { text-decoration: underline; }
main { padding: 1.5rem 2.5rem 6rem; }
h1 { margin: 0 0 .5rem; } h2 { margin-top: 3rem; } h3 { margin: 2.2rem 0 .4rem; font-size: 1.05rem; }
h4 { margin: 1rem 0 .3rem; font-size: .8rem; text-transform: uppercase; letter-spacing: .06em; color: var(--dim); }
code { font: .88em ui-monospace, monospace; background: var(--soft); padding: .1em .3em; border-radius: 4px; overflow-wrap: anywhere; }
section { border-top: 1px solid var(--line); }
table { border-collapse: collapse; width: 100%; font-size: .9rem; }
td { border-top: 1px solid var(--line); padding: .35rem .8rem .35rem 0; vertical-align: top; }
td:first-child { width: 13rem; }
b { font: 700 .75rem ui-monospace, monospace; color: #fff; border-radius: 4px; padding: .15rem .45rem; margin-right: .4rem; }
.GET { background: var(--get); } .POST { background: var(--post); } .DELETE { background: var(--delete); }
small { color: var(--dim); }
@media (max-width: 60rem) { body { display: block; } nav { position: static; height: auto; border: 0; } main { padding: 1rem; } }
`;

const STYLE_ELEMENT = new Html(`<style>${STYLE}</style>`);

/** What a browser may do with the page: apply the one style it carries, and follow its links. */
export const PAGE_POLICY = `default-src 'none'; style-src 'sha256-${hash("sha256", STYLE, "base64")}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`;

/** Write the API's description as a page for people. It has no script, and loads nothing. */
export function renderPage(document: OpenApiDocument): string {
  const { info, tags, paths, components } = document;
  const operations = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({
      call: { method: method.toUpperCase(), path },
      operation,
    })),
  );
  const ofTag = (tag: string): typeof operations =>
    operations.filter(({ operation }) => operation.tags.includes(tag));
  const names = Object.keys(components.schemas);
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <title>${info.title} API</title>
        ${STYLE_ELEMENT}
      </head>
      <body>
        <nav>
          ${tags.map(
            ({ name }) =>
              html`<h4>${name}</h4>
                ${ofTag(name).map(({ operation }) => html`<a href="#${operation.operationId}">${operation.summary}</a>`)}`,
          )}
          <h4>Shapes</h4>
          ${names.map((name) => html`<a href="#schema-${name}">${name}</a>`)}
        </nav>
        <main>
          <h1>${info.title} API</h1>
          ${info.description.split("\n\n").map((text) => html`<p>${text}</p>`)}
          <p>
            <small>The same for programs: <a href="/openapi.json">/openapi.json</a></small>
          </p>
          ${tags.map(
            ({ name, description }) =>
              html`<h2>${name}</h2>
                <p>${description}</p>
                ${ofTag(name).map(({ call, operation }) => renderOperation(call, operation))}`,
          )}
          <h2>Shapes</h2>
          ${Object.entries(components.schemas).map(([name, schema]) => renderSchema(name, schema))}
        </main>
      </body>
    </html>`.text;
}

function renderOperation(
  { method, path }: { readonly method: string; readonly path: string },
  {
    operationId,
    summary,
    description,
    security,
    parameters,
    requestBody,
    responses,
  }: OperationObject,
): Html {
  const body = Object.values(requestBody?.content ?? {}).map(({ schema }) => schema);
  return html`<section id="${operationId}">
    <h3><b class="${method}">${method}</b><code>${path}</code></h3>
    <p><strong>${summary}.</strong> ${description}</p>
    ${security.flatMap(({ apiKey = [] }) => apiKey).map(renderScope)}
    ${
      parameters.length === 0
        ? []
        : [
            html`<h4>Parameters</h4>
              <table>
                ${parameters.map(renderParameter)}
              </table>`,
          ]
    }
    ${body.map(
      (schema) =>
        html`<h4>Body</h4>
          <p>${renderType(schema)}</p>`,
    )}
    <h4>Answers</h4>
    <table>
      ${Object.entries(responses).map(
        ([status, reply]) =>
          html`<tr>
            <td><code>${status}</code> ${renderContent(reply.content ?? {})}</td>
            <td>${reply.description}</td>
          </tr>`,
      )}
    </table>
  </section>`;
}

function renderScope(scope: string): Html {
  return html`<p>
    <small>Scope: <code>${scope}</code></small>
  </p>`;
}

function renderContent(content: Readonly<Record<string, { readonly schema: JsonSchema }>>): Html[] {
  return Object.entries(content).map(([type, { schema }]) =>
    schema.$ref === undefined ? html`<small>${type}</small>` : renderType(schema),
  );
}

function renderParameter(parameter: Parameter): Html {
  const { name, in: place, description, schema, required } = parameter;
  return html`<tr>
    <td><code>${name}</code><br /><small>${place}${required ? ", required" : ""}</small></td>
    <td>${description} <small>${renderType(schema)}</small></td>
  </tr>`;
}

function renderSchema(name: string, schema: JsonSchema): Html {
  const fields = Object.entries(schema.properties ?? {});
  const required = new Set(schema.required);
  const rows = fields.map(([field, inner]) => {
    const type = typeof inner === "boolean" ? html`any` : renderType(inner);
    const note = typeof inner === "boolean" ? "" : (inner.description ?? "");
    const need = required.has(field) ? html`` : html` <small>optional</small>`;
    return html`<tr>
      <td><code>${field}</code>${need}</td>
      <td><small>${type}</small> ${note}</td>
    </tr>`;
  });
  return html`<section id="schema-${name}">
    <h3>${name}</h3>
    ${
      fields.length === 0
        ? html`<p>${renderType(schema)}</p>`
        : html`<table>
            ${rows}
          </table>`
    }
  </section>`;
}

/** Say a schema in a line. */
function renderType(schema: JsonSchema): Html {
  if (schema.$ref !== undefined) {
    const name = schema.$ref.split("/").at(-1) ?? "";
    return html`<a href="#schema-${name}">${name}</a>`;
  }
  const branches = schema.anyOf ?? schema.oneOf;
  if (branches !== undefined) return join(branches.map(renderBranch), " or ");
  if (schema.const !== undefined) return html`${`\`${String(schema.const)}\``}`;
  if (schema.enum !== undefined) {
    return join(
      schema.enum.map((value) => html`${`\`${String(value)}\``}`),
      " · ",
    );
  }
  if (schema.type === "array" && typeof schema.items === "object" && !Array.isArray(schema.items)) {
    return html`list of ${renderType(schema.items)}${renderBounds(schema)}`;
  }
  return html`${[schema.type ?? "any"].flat().join(" or ")}${renderBounds(schema)}`;
}

function renderBranch(schema: JsonSchema): Html {
  const fields = Object.keys(schema.properties ?? {});
  return fields.length === 0
    ? renderType(schema)
    : html`{${join(
        fields.map((field) => renderField(field, schema)),
        ", ",
      )}}`;
}

function renderField(field: string, { properties = {} }: JsonSchema): Html {
  const inner = properties[field];
  const value = typeof inner === "object" && inner.const !== undefined ? renderType(inner) : null;
  return value === null ? html`${field}` : html`${field}: ${value}`;
}

function renderBounds(schema: JsonSchema): Html {
  const least = schema.minimum ?? schema.minLength ?? schema.minItems;
  const most = schema.maximum ?? schema.maxLength ?? schema.maxItems;
  const isBounded = most !== undefined && most < Number.MAX_SAFE_INTEGER;
  const bounds = [
    ...(least === undefined ? [] : [`≥ ${least}`]),
    ...(isBounded ? [`≤ ${most}`] : []),
    ...(schema.default === undefined ? [] : [`default ${JSON.stringify(schema.default)}`]),
  ];
  return html`${bounds.length === 0 ? "" : ` (${bounds.join(", ")})`}`;
}

function join(parts: readonly Html[], between: string): Html {
  return new Html(parts.map(({ text }) => text).join(between));
}
