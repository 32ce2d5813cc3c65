import { isMap, isScalar, LineCounter, parse, parseDocument, type YAMLMap } from 'yaml';
import { isObject, type Json, type JsonObject } from '../kubernetes-object.ts';

/** One key of values.yaml with what the comment above it says. */
export interface ValueNode {
  /** Keys from the top, joined by dots. */
  readonly path: string;
  readonly value: Json;
  /** What `# --` tells, in one line. */
  readonly text?: string;
  /** What `# @default --` tells. */
  readonly shownDefault?: string;
  /** What `# @section --` tells. */
  readonly section?: string;
  /** What `# @schema` says, all of them laid together. */
  readonly schema: JsonObject;
  /** Of a map; none for any other value. */
  readonly children: readonly ValueNode[];
}

/** Reads the keys of values.yaml in their order. Throws at a comment that cannot be read, with its line. */
export function readValues(text: string): ValueNode[] {
  const lineCounter = new LineCounter();
  const document = parseDocument(text, { lineCounter });
  if (document.errors[0]) throw document.errors[0];
  if (!isMap(document.contents)) throw new Error('values.yaml is no map');
  const lines = text.split('\n');
  const lineOf = (offset: number): number => lineCounter.linePos(offset).line - 1;
  return read(document.contents, '', lines, lineOf);
}

function read(
  map: YAMLMap,
  above: string,
  lines: readonly string[],
  lineOf: (offset: number) => number,
): ValueNode[] {
  return map.items.map(({ key, value }) => {
    if (!isScalar(key) || !key.range) throw new Error(`a key below "${above}" is no plain one`);
    const path = above === '' ? String(key.value) : `${above}.${String(key.value)}`;
    // Keys of a map in flow style stand behind other text: what is above their line is not theirs.
    const line = lineOf(key.range[0]);
    const own = (lines[line] ?? '')
      .slice(0, key.range[0])
      .trimStart()
      .startsWith(String(key.value));
    const children = isMap(value) ? read(value, path, lines, lineOf) : [];
    const plain = toJson(value);
    return { path, value: plain, ...(own ? commentAbove(lines, line) : { schema: {} }), children };
  });
}

function toJson(node: unknown): Json {
  const plain: unknown = (node as { toJSON?: () => unknown } | null)?.toJSON?.() ?? null;
  return plain as Json;
}

type Comment = Pick<ValueNode, 'text' | 'shownDefault' | 'section' | 'schema'>;

function commentAbove(lines: readonly string[], line: number): Comment {
  let first = line;
  while (/^\s*#/.test(lines[first - 1] ?? '')) first -= 1;
  let text: string | undefined;
  let shownDefault: string | undefined;
  let section: string | undefined;
  let schema: JsonObject = {};
  let open = false;
  for (let at = first; at < line; at += 1) {
    const said = (lines[at] ?? '').trim().replace(/^#\s?/, '');
    const [, word, rest = ''] =
      /^(--|@default --|@section --|@schema)(?:\s+(.*))?$/.exec(said) ?? [];
    if (word === '--') text = rest;
    else if (word === '@default --') shownDefault = rest;
    else if (word === '@section --') section = rest;
    else if (word === '@schema') schema = { ...schema, ...flow(rest, at + 1) };
    else if (said.startsWith('@')) throw new Error(`values.yaml:${at + 1}: unknown "${said}"`);
    else if (open) text = `${text} ${said.trim()}`;
    open = word === '--' || (word === undefined && open);
  }
  return {
    schema,
    ...(text === undefined ? {} : { text: text.trim() }),
    ...(shownDefault === undefined ? {} : { shownDefault }),
    ...(section === undefined ? {} : { section }),
  };
}

function flow(text: string, line: number): JsonObject {
  let value: unknown;
  try {
    value = parse(text);
  } catch (error) {
    throw new Error(`values.yaml:${line}: @schema cannot be read: ${String(error)}`);
  }
  if (!isObject(value)) throw new Error(`values.yaml:${line}: @schema is no map in { }`);
  return value;
}
