import { z } from 'zod';
import { OPENAI_PATHS } from '../http/error.filter.ts';
import type { Content, Operation, Parameter } from './operation.ts';
import { OPERATIONS } from './operations.ts';

const details = z.record(z.string(), z.union([z.string(), z.number()]));

/** The body of a refusal. */
export const ErrorBody = z.object({
  error: z.object({ code: z.string(), message: z.string(), details }),
});
/** The same where clients of OpenAI ask. */
export const OpenAiErrorBody = z.object({
  error: z.object({
    message: z.string(),
    type: z.string(),
    param: z.string().nullable(),
    code: z.string(),
    details: details.optional(),
  }),
});

const REFUSALS: Readonly<Record<number, string>> = {
  400: 'Something in it is wrong; the message says what.',
  401: 'There is no such key.',
  403: 'The key may not do that.',
  404: 'There is no such thing.',
  405: 'Not with this method.',
  409: 'It does not fit what is there.',
  410: 'It is over.',
  413: 'It is too large, or too long.',
  415: 'This kind of body is not read here.',
  429: 'The tenant has had as much as it may.',
  502: 'The engine failed.',
  503: 'Not now: come again after Retry-After.',
  504: 'The engine took too long.',
};

type Json = Readonly<Record<string, unknown>>;

export interface OpenApiOperation {
  readonly operationId: string;
  readonly tags: readonly string[];
  readonly summary: string;
  readonly description?: string;
  readonly security: readonly Json[];
  readonly parameters?: readonly Json[];
  readonly requestBody?: { readonly content: Readonly<Record<string, Json>> };
  readonly responses: Readonly<
    Record<
      string,
      { readonly description: string; readonly content?: Readonly<Record<string, Json>> }
    >
  >;
}

/** The parts of an OpenAPI document that are made here. */
export interface OpenApiDocument {
  readonly openapi: '3.1.1';
  readonly info: { readonly title: string; readonly version: string; readonly description: string };
  readonly servers: readonly Json[];
  readonly tags: readonly Json[];
  readonly paths: Readonly<Record<string, Readonly<Record<string, OpenApiOperation>>>>;
  readonly components: Json;
}

/** What a gateway answers over HTTP, as OpenAPI 3.1; the same for each. */
export function openApiDocument(operations: readonly Operation[] = OPERATIONS): OpenApiDocument {
  const schemas = new Schemas();
  const paths: Record<string, Record<string, OpenApiOperation>> = {};
  for (const operation of operations) {
    paths[operation.path] = {
      ...paths[operation.path],
      [operation.method]: describe(operation, schemas),
    };
  }
  const used = new Set(operations.map(({ tag }) => tag));
  return {
    openapi: '3.1.1',
    info: {
      title: 'voice-fleet gateway',
      version: '1',
      description:
        'What a gateway answers over HTTP. Live audio goes over WebSocket: its protocols are told in docs/protocols.',
    },
    servers: [{ url: '/' }],
    tags: [...used].map((name) => ({ name })),
    paths,
    components: {
      schemas: schemas.all(),
      securitySchemes: {
        bearer: {
          type: 'http',
          scheme: 'bearer',
          description: "A tenant's key, or a client token.",
        },
        apiKey: { type: 'apiKey', in: 'header', name: 'X-API-Key', description: 'The same.' },
        admin: { type: 'http', scheme: 'bearer', description: 'ADMIN_API_KEY of the operator.' },
      },
    },
  };
}

function describe(operation: Operation, schemas: Schemas): OpenApiOperation {
  const { method, path, tag, summary, description, key, parameters, body, answers } = operation;
  const refusals = [...(key === 'none' ? [] : [401, 403]), ...(operation.refusals ?? [])];
  const errorContent = {
    'application/json': schemas.media({ type: '', ...refusalBody(operation) }, 'output'),
  };
  return {
    operationId: `${method}${path.replace(/[^a-zA-Z0-9]+(\w?)/g, (_, letter: string) => letter.toUpperCase())}`,
    tags: [tag],
    summary,
    ...(description && { description }),
    security: securityOf(key),
    ...(parameters && { parameters: parameters.map(parameterOf) }),
    ...(body && { requestBody: { content: contentOf(body, schemas, 'input') } }),
    responses: Object.fromEntries([
      ...answers.map(({ status, description: said, content }) => [
        String(status),
        { description: said, ...(content && { content: contentOf(content, schemas, 'output') }) },
      ]),
      ...refusals
        .filter((status) => !answers.some((answer) => answer.status === status))
        .map((status) => [
          String(status),
          { description: REFUSALS[status] ?? 'Refused.', content: errorContent },
        ]),
    ]),
  };
}

/** What a refusal of the operation looks like. */
export function refusalBody({ path, refusalBody: own }: Operation): {
  readonly name: string;
  readonly schema: z.ZodType;
} {
  if (own) return own;
  return OPENAI_PATHS.test(path)
    ? { name: 'OpenAiError', schema: OpenAiErrorBody }
    : { name: 'Error', schema: ErrorBody };
}

function securityOf(key: Operation['key']): readonly Json[] {
  if (key === 'none') return [];
  if (key === 'admin') return [{ admin: [] }];
  // The scope that the key must have.
  return [{ bearer: [key] }, { apiKey: [key] }];
}

function parameterOf({ schema, ...rest }: Parameter): Json {
  const required = !schema.safeParse(undefined).success;
  return { ...rest, required, schema: jsonSchema(schema, 'input') };
}

function contentOf(
  content: readonly Content[],
  schemas: Schemas,
  io: 'input' | 'output',
): Record<string, Json> {
  return Object.fromEntries(content.map((one) => [one.type, schemas.media(one, io)]));
}

/** The schemas of a document, each once. */
class Schemas {
  readonly #named = new Map<string, Json>();

  media({ name, schema, example }: Content, io: 'input' | 'output'): Json {
    if (!schema || name === undefined) return {};
    const described = jsonSchema(schema, io);
    const known = this.#named.get(name);
    if (known && JSON.stringify(known) !== JSON.stringify(described))
      throw new Error(`two schemas are called ${name}`);
    this.#named.set(name, described);
    return {
      schema: { $ref: `#/components/schemas/${name}` },
      ...(example !== undefined && { example }),
    };
  }

  all(): Json {
    return Object.fromEntries([...this.#named].sort(([a], [b]) => (a < b ? -1 : 1)));
  }
}

function jsonSchema(schema: z.ZodType, io: 'input' | 'output'): Json {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { io, target: 'draft-2020-12' });
  return rest;
}
