import type { OpenApiDocument, OpenApiOperation } from './document.ts';

type Json = Readonly<Record<string, unknown>>;

/** The document as a page to read: HTML without scripts, its style in `/page/docs.css`. */
export function docsPage(document: OpenApiDocument): string {
  const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ path, method, operation })),
  );
  const schemas = document.components['schemas'] as Readonly<Record<string, Json>>;
  const sections = document.tags.map(({ name }) => {
    const tagged = operations.filter(({ operation }) => operation.tags.includes(String(name)));
    const told = tagged.map(({ path, method, operation }) => operationOf(method, path, operation));
    return `<section><h2 id="${slug(String(name))}">${escaped(String(name))}</h2>${told.join('')}</section>`;
  });
  const links = document.tags.map(
    ({ name }) => `<li><a href="#${slug(String(name))}">${escaped(String(name))}</a></li>`,
  );
  const named = Object.entries(schemas).map(
    ([name, schema]) =>
      `<details id="schema-${slug(name)}"><summary><code>${escaped(name)}</code></summary>${code(schema)}</details>`,
  );
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escaped(document.info.title)}: HTTP</title>
<link rel="icon" href="/page/icon.svg">
<link rel="stylesheet" href="/page/docs.css">
</head>
<body>
<header>
<h1>${escaped(document.info.title)}</h1>
<p>${escaped(document.info.description)} This page is made from <a href="/openapi.json">openapi.json</a>.</p>
<nav aria-label="Sections"><ul>${links.join('')}<li><a href="#schemas">Schemas</a></li></ul></nav>
</header>
<main>
${sections.join('\n')}
<section><h2 id="schemas">Schemas</h2>${named.join('')}</section>
</main>
</body>
</html>
`;
}

function operationOf(method: string, path: string, operation: OpenApiOperation): string {
  const { operationId, summary, description, parameters, requestBody, responses } = operation;
  const answers = Object.entries(responses).map(
    ([status, { description: said, content }]) =>
      `<li><code>${status}</code> ${escaped(said)}${contentOf(content)}</li>`,
  );
  const named = parameters?.map(
    (one) =>
      `<li><code>${escaped(String(one['name']))}</code> (${escaped(String(one['in']))}) ${escaped(String(one['description']))}</li>`,
  );
  return `<details id="${operationId}">
<summary><span class="method ${method}">${method.toUpperCase()}</span> <code>${escaped(path)}</code> <span class="about">${escaped(summary)}</span></summary>
${description ? `<p>${escaped(description)}</p>` : ''}
<p class="key">${keyOf(operation)}</p>
${named ? `<h3>Parameters</h3><ul>${named.join('')}</ul>` : ''}
${requestBody ? `<h3>Body</h3>${contentOf(requestBody.content)}` : ''}
<h3>Answers</h3><ul class="answers">${answers.join('')}</ul>
</details>
`;
}

function keyOf({ security }: OpenApiOperation): string {
  const [first] = security;
  if (!first) return 'No key is needed.';
  if ('admin' in first) return 'The key of the operator.';
  return `A key with the scope <code>${escaped(String(Object.values(first)[0]))}</code>.`;
}

function contentOf(content: Readonly<Record<string, Json>> = {}): string {
  const forms = Object.entries(content).map(([type, { schema, example }]) => {
    const name = String((schema as Json | undefined)?.['$ref'] ?? '')
      .split('/')
      .at(-1);
    const link = name ? ` <a href="#schema-${slug(name)}">${escaped(name)}</a>` : '';
    return `<div class="form"><code>${escaped(type)}</code>${link}${example === undefined ? '' : code(example)}</div>`;
  });
  return forms.join('');
}

function code(value: unknown): string {
  const text = typeof value === 'string' ? value : JSON.stringify(value, undefined, 2);
  return `<pre tabindex="0">${escaped(text)}</pre>`;
}

function slug(name: string): string {
  return name.toLowerCase().replace(/[^a-z0-9]+/g, '-');
}

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (character) => ENTITIES[character] ?? character);
}
