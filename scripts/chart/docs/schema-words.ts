import type { JsonObject } from '../kubernetes-object.ts';

const QUANTITY: JsonObject = {
  type: ['string', 'number'],
  minimum: 0,
  pattern: '^[0-9]+(\\.[0-9]+)?(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?$',
};
const STRING_MAP: JsonObject = { type: 'object', additionalProperties: { type: 'string' } };
const ANY_MAP: JsonObject = { type: 'object', additionalProperties: true };
const QUANTITIES: JsonObject = { type: 'object', additionalProperties: QUANTITY };

/** Labels that the chart gives to objects and pods, and selects pods by. */
const OWN_LABELS =
  '^(app[.]kubernetes[.]io/(name|instance|component|version|part-of|managed-by)|helm[.]sh/chart|voice-fleet/pool)$';

/** What `{$ref: NAME}` in a comment of values.yaml stands for. */
export const SCHEMA_WORDS: Readonly<Record<string, JsonObject>> = {
  stringMap: STRING_MAP,
  labels: {
    type: 'object',
    propertyNames: { not: { pattern: OWN_LABELS } },
    additionalProperties: {
      type: 'string',
      maxLength: 63,
      pattern: '^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$',
    },
  },
  anyMap: ANY_MAP,
  objects: { type: 'array', items: ANY_MAP },
  objectsOrText: { type: 'array', items: { type: ['object', 'string'] } },
  strings: { type: 'array', items: { type: 'string' } },
  quantity: QUANTITY,
  resources: {
    type: 'object',
    additionalProperties: false,
    properties: {
      requests: QUANTITIES,
      limits: QUANTITIES,
      claims: {
        type: 'array',
        items: {
          type: 'object',
          required: ['name'],
          additionalProperties: false,
          properties: { name: { type: 'string' }, request: { type: 'string' } },
        },
      },
    },
  },
  env: {
    type: 'array',
    items: {
      type: 'object',
      required: ['name'],
      additionalProperties: false,
      properties: {
        name: { type: 'string', pattern: '^[-._a-zA-Z][-._a-zA-Z0-9]*$' },
        value: { type: 'string' },
        valueFrom: ANY_MAP,
      },
    },
  },
  envFrom: {
    type: 'array',
    items: {
      type: 'object',
      additionalProperties: false,
      properties: { prefix: { type: 'string' }, configMapRef: ANY_MAP, secretRef: ANY_MAP },
    },
  },
  name: { type: 'string', pattern: '^[a-z0-9]([-a-z0-9]*[a-z0-9])?$', maxLength: 63 },
  objectName: {
    type: 'string',
    pattern: '^([a-z0-9]([-a-z0-9.]*[a-z0-9])?)?$',
    maxLength: 253,
  },
  port: { type: 'integer', minimum: 1, maximum: 65_535 },
  intOrPercent: { type: ['integer', 'string'], minimum: 0, pattern: '^(100|[0-9]{1,2})%$' },
  pullPolicy: { enum: ['', 'Always', 'IfNotPresent', 'Never'] },
  securityContext: ANY_MAP,
  probe: ANY_MAP,
  affinity: ANY_MAP,
  accessModes: {
    type: 'array',
    items: { enum: ['ReadWriteOnce', 'ReadOnlyMany', 'ReadWriteMany', 'ReadWriteOncePod'] },
  },
  cidr: { type: 'string', pattern: '^[0-9a-fA-F.:]+/[0-9]{1,3}$' },
  url: { type: 'string', pattern: '^https?://[^ ]+$' },
};
