import { isObject, type Json, type JsonObject } from '../kubernetes-object.ts';
import { SCHEMA_WORDS } from './schema-words.ts';
import type { ValueNode } from './values-file.ts';

/** With one of these a comment says itself what a value is, and nothing is read off its default. */
const DECIDED = ['$ref', 'like', 'entries', 'type', 'oneOf', 'anyOf', 'enum', 'const'];
const DECIDED_FOR_MAPS = [...DECIDED, 'properties', 'additionalProperties'];

/** The JSON Schema (draft-07) of values.yaml. Throws for a key whose comment leaves open what it may be. */
export function valuesSchema(nodes: readonly ValueNode[]): JsonObject {
  const byPath = new Map(flatten(nodes).map((node) => [node.path, node]));
  return {
    $schema: 'http://json-schema.org/draft-07/schema#',
    title: 'Values of the chart voice-fleet',
    type: 'object',
    additionalProperties: false,
    properties: {
      // Helm hands it to each chart.
      global: { type: 'object' },
      ...Object.fromEntries(nodes.map((node) => [lastKey(node), schemaOf(node, byPath)])),
    },
  };
}

/** All keys, each before those in it. */
export function flatten(nodes: readonly ValueNode[]): ValueNode[] {
  return nodes.flatMap((node) => [node, ...flatten(node.children)]);
}

function schemaOf(node: ValueNode, byPath: ReadonlyMap<string, ValueNode>): JsonObject {
  const { like, ...said } = resolve(node.schema, node.path);
  const about = node.text === undefined ? {} : { description: node.text };
  if (like !== undefined) {
    const { description: _of, ...same } = schemaOf(target(like, node, byPath), byPath);
    return { ...about, ...same, ...said };
  }
  if (said['entries'] !== undefined) {
    const { entries, ...rest } = said;
    const { path } = target(entries, node, byPath);
    const pointer = `#${path
      .split('.')
      .map((key) => `/properties/${key}`)
      .join('')}`;
    return { ...about, type: 'object', additionalProperties: { $ref: pointer }, ...rest };
  }
  return { ...about, ...inferred(node, byPath), ...said };
}

function inferred(node: ValueNode, byPath: ReadonlyMap<string, ValueNode>): JsonObject {
  const { path, value, schema, children } = node;
  const says = (words: readonly string[]): boolean => words.some((word) => word in schema);
  const unclear = (what: string): Error =>
    new Error(`values.yaml: ${path} is ${what}; say in # @schema what it may be`);
  if (Array.isArray(value)) {
    if (!says([...DECIDED, 'items'])) throw unclear('a list');
    return says(DECIDED) ? {} : { type: 'array' };
  }
  if (isObject(value)) {
    if (says(DECIDED_FOR_MAPS)) return says(DECIDED) ? {} : { type: 'object' };
    if (children.length === 0) throw unclear('an empty map');
    const properties = children.map((child) => [lastKey(child), schemaOf(child, byPath)] as const);
    return {
      type: 'object',
      additionalProperties: false,
      properties: Object.fromEntries(properties),
    };
  }
  if (value === null) {
    if (!says(DECIDED)) throw unclear('null');
    return {};
  }
  return says(DECIDED) ? {} : { type: typeOf(value) };
}

function typeOf(value: Json): string {
  return typeof value === 'number' && Number.isInteger(value) ? 'integer' : typeof value;
}

/** Puts the ready-made schemas where their names are, at any depth. */
function resolve(schema: JsonObject, path: string): JsonObject {
  const { $ref, ...rest } = schema;
  const entries = Object.entries(rest).map(([key, value]) => [key, within(value, path)] as const);
  if ($ref === undefined) return Object.fromEntries(entries);
  const word = SCHEMA_WORDS[String($ref)];
  if (!word) throw new Error(`values.yaml: ${path}: there is no {$ref: ${String($ref)}}`);
  return { ...word, ...Object.fromEntries(entries) };
}

function within(value: Json, path: string): Json {
  if (Array.isArray(value)) return value.map((one: Json) => within(one, path));
  return isObject(value) ? resolve(value, path) : value;
}

function target(path: Json, from: ValueNode, byPath: ReadonlyMap<string, ValueNode>): ValueNode {
  const found = byPath.get(String(path));
  if (!found)
    throw new Error(`values.yaml: ${from.path} is to be like ${String(path)}, which is not there`);
  return found;
}

function lastKey({ path }: ValueNode): string {
  return path.split('.').at(-1) ?? path;
}
