import { describe, expect, it } from '@jest/globals';
import { between } from '../../scripts/chart/docs/generated.ts';
import { readValues } from '../../scripts/chart/docs/values-file.ts';
import { valuesSchema } from '../../scripts/chart/docs/values-schema.ts';
import { valuesTables } from '../../scripts/chart/docs/values-table.ts';

const schemaOf = (yaml: string) => valuesSchema(readValues(yaml))['properties'];
const tableOf = (yaml: string): string => valuesTables(readValues(yaml));

describe('the schema of values', () => {
  it('takes types from the defaults, and no other keys than those there are', () => {
    const yaml =
      'a:\n  # -- Text\n  # of two lines | here.\n  b: x\n  c: 1\n  d: 0.5\n  e: false\n';
    expect(schemaOf(yaml)).toEqual({
      global: { type: 'object' },
      a: {
        type: 'object',
        additionalProperties: false,
        properties: {
          b: { type: 'string', description: 'Text of two lines | here.' },
          c: { type: 'integer' },
          d: { type: 'number' },
          e: { type: 'boolean' },
        },
      },
    });
  });

  it('is narrowed or replaced by what the comment says', () => {
    const yaml = `
# @schema {minimum: 1}
# @schema {maximum: 9}
port: 5
# @schema {enum: [a, b]}
kind: a
# @schema {type: [integer, "null"]}
count: null
# @schema {items: {$ref: name}}
names: []
# @schema {additionalProperties: {type: string}}
labels: {app: x}
`;
    expect(schemaOf(yaml)).toMatchObject({
      port: { type: 'integer', minimum: 1, maximum: 9 },
      kind: { enum: ['a', 'b'] },
      count: { type: ['integer', 'null'] },
      names: { type: 'array', items: { type: 'string', maxLength: 63 } },
      labels: { type: 'object', additionalProperties: { type: 'string' } },
    });
    expect(schemaOf(yaml)).not.toHaveProperty('labels.properties');
  });

  it('is that of another value, or a map of such', () => {
    const yaml = `
one:
  # @schema {minimum: 0}
  n: 1
# @schema {like: one}
two: {}
# @schema {entries: one, propertyNames: {$ref: name}}
many: {}
`;
    expect(schemaOf(yaml)).toMatchObject({
      two: { type: 'object', properties: { n: { type: 'integer', minimum: 0 } } },
      many: {
        type: 'object',
        propertyNames: { maxLength: 63 },
        additionalProperties: { $ref: '#/properties/one' },
      },
    });
  });

  it.each([
    ['a: {}', 'a is an empty map'],
    ['a: []', 'a is a list'],
    ['a:', 'a is null'],
    ['# @schema {$ref: nothing}\na: 1', 'there is no {$ref: nothing}'],
    ['# @schema {like: b}\na: 1', 'is to be like b, which is not there'],
    ['# @schema {type\na: 1', 'values.yaml:1: @schema cannot be read'],
    ['# @schema text\na: 1', 'values.yaml:1: @schema is no map'],
    ['# @shema {type: string}\na: 1', 'values.yaml:1: unknown "@shema'],
  ])('is refused for %j', (yaml, message) => {
    expect(() => schemaOf(yaml)).toThrow(message);
  });
});

describe('the tables of values', () => {
  it('have a row for each key that something is said about, below the key on top', () => {
    const yaml = `
# -- Whether | or not.
on: true
part:
  # -- Labels.
  labels: {a: "1"}
  # -- How many.
  # @default -- as many as there are
  count: 0
`;
    expect(tableOf(yaml)).toBe(
      `### general

| Key | Type | Default | Description |
|-----|------|---------|-------------|
| on | bool | \`true\` | Whether \\| or not. |

### part

| Key | Type | Default | Description |
|-----|------|---------|-------------|
| part.labels | object | \`{"a":"1"}\` | Labels. |
| part.count | int | as many as there are | How many. |`,
    );
  });

  it('are refused where nothing is said about a key', () => {
    expect(() => tableOf('a:\n  # -- Said.\n  b: 1\n  c: 2\n')).toThrow(
      'nothing is said about a.c',
    );
  });

  it('stand between the marks of the page, and only there', () => {
    const page = 'before\n<!-- values -->\nold\n<!-- /values -->\nafter\n';
    expect(between(page, 'NEW')).toMatch(
      /^before\n<!-- values -->\n[\s\S]*\nNEW\n\n<!-- \/values -->\nafter\n$/,
    );
    expect(between(page, 'NEW')).not.toContain('old');
    expect(between(between(page, 'NEW'), 'NEW')).toBe(between(page, 'NEW'));
    expect(() => between('none', 'NEW')).toThrow('README.md has no');
  });
});
