import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { Ajv, type ValidateFunction } from 'ajv';
import { parseAllDocuments } from 'yaml';
import type { Finding } from './finding.ts';
import {
  isObject,
  type Json,
  type JsonObject,
  type KubernetesObject,
  listAt,
  mapAt,
  nameOf,
} from './kubernetes-object.ts';
import { dotted } from './model-validator.ts';
import { plainFaults } from './plain-faults.ts';

const OBJECT_META = 'io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta';
const QUANTITY = 'io.k8s.apimachinery.pkg.api.resource.Quantity';
/** Patterns of CRDs are Go's, where a case that does not count is told inside. */
const goRegExp = Object.assign(
  (source: string, flags: string) =>
    new RegExp(source.replace('(?i)', ''), source.includes('(?i)') ? `${flags}i` : flags),
  { code: 'goRegExp' },
);
const INT_OR_STRING: JsonObject = { type: ['integer', 'string'] };

/**
 * Checks objects against what an API server itself would take them by: a file of OpenAPI definitions, as Kubernetes
 * publishes them, and CustomResourceDefinitions. Keys that are not declared are refused. Rules in CEL are not run.
 */
export class OpenApiValidator {
  readonly #ajv = new Ajv({
    strict: false,
    allErrors: true,
    validateFormats: false,
    unicodeRegExp: false,
    code: { regExp: goRegExp },
  });
  /** By `apiVersion kind`: where its schema lies. */
  readonly #places = new Map<string, string>();
  readonly #validators = new Map<string, ValidateFunction>();

  /** Takes every `.json` and `.yaml` file in the folder and below it; throws where there are no OpenAPI definitions. */
  constructor(folder: string) {
    const files = filesIn(folder);
    const definitions: Record<string, JsonObject> = {};
    for (const file of files.filter((path) => path.endsWith('.json'))) {
      Object.assign(definitions, definitionsIn(JSON.parse(readFileSync(file, 'utf8')) as Json));
    }
    if (!definitions[OBJECT_META])
      throw new Error(`${folder} has no OpenAPI definitions of Kubernetes`);
    for (const [name, definition] of Object.entries(definitions)) {
      for (const { group, version, kind } of listAt(
        definition,
        'x-kubernetes-group-version-kind',
      )) {
        const apiVersion = group === '' ? String(version) : `${String(group)}/${String(version)}`;
        this.#places.set(`${apiVersion} ${String(kind)}`, name);
      }
    }
    for (const file of files.filter((path) => /\.ya?ml$/.test(path))) {
      for (const document of parseAllDocuments(readFileSync(file, 'utf8'))) {
        this.#addResource(document.toJS() as Json, definitions);
      }
    }
    const strict = Object.entries(definitions).map(([name, one]) => [name, strictly(one)] as const);
    this.#ajv.addSchema({ definitions: Object.fromEntries(strict) }, 'all');
  }

  /** `apiVersion kind` of all that can be checked. */
  get kinds(): string[] {
    return [...this.#places.keys()];
  }

  findings(object: KubernetesObject): Finding[] {
    const finding = (path: string, message: string): Finding => ({
      rule: 'schema',
      object: nameOf(object),
      path,
      message,
    });
    const place = this.#places.get(`${object.apiVersion} ${object.kind}`);
    if (place === undefined) {
      return [finding('', `there is no schema of ${object.apiVersion} ${object.kind}`)];
    }
    const validate = this.#validatorFor(place);
    const found = plainFaults(object);
    if (validate(object)) return found;
    for (const { instancePath, message, params } of validate.errors ?? []) {
      const { additionalProperty } = params as { additionalProperty?: string };
      const key = additionalProperty === undefined ? '' : ` (${additionalProperty})`;
      found.push(finding(dotted(instancePath), `${message ?? 'is wrong'}${key}`));
    }
    return found;
  }

  #validatorFor(place: string): ValidateFunction {
    const known = this.#validators.get(place);
    if (known) return known;
    const validate = this.#ajv.compile({ $ref: `all#/definitions/${place}` });
    this.#validators.set(place, validate);
    return validate;
  }

  #addResource(resource: Json, definitions: Record<string, JsonObject>): void {
    if (!isObject(resource) || resource['kind'] !== 'CustomResourceDefinition') return;
    const { group } = mapAt(resource, 'spec');
    const kind = String(mapAt(resource, 'spec', 'names')['kind']);
    for (const version of listAt(resource, 'spec', 'versions')) {
      const schema = mapAt(version, 'schema', 'openAPIV3Schema');
      const place = `${String(group)}.${String(version['name'])}.${kind}`;
      const metadata = { $ref: `#/definitions/${OBJECT_META}` };
      definitions[place] = { ...schema, properties: { ...mapAt(schema, 'properties'), metadata } };
      this.#places.set(`${String(group)}/${String(version['name'])} ${kind}`, place);
    }
  }
}

function filesIn(folder: string): string[] {
  if (!existsSync(folder)) throw new Error(`there is no folder ${folder}`);
  return readdirSync(folder).flatMap((name) => {
    const path = join(folder, name);
    return statSync(path).isDirectory() ? filesIn(path) : [path];
  });
}

function definitionsIn(file: Json): Record<string, JsonObject> {
  const found = mapAt(file, 'definitions');
  const all = Object.entries(
    Object.keys(found).length > 0 ? found : mapAt(file, 'components', 'schemas'),
  );
  return Object.fromEntries(
    all.filter((entry): entry is [string, JsonObject] => isObject(entry[1])),
  );
}

/** The same schema, which takes no key that it does not declare and knows what is a number or a text. */
function strictly(schema: JsonObject): JsonObject {
  if (schema['x-kubernetes-int-or-string'] === true || schema['format'] === 'int-or-string') {
    return INT_OR_STRING;
  }
  const entries = Object.entries(schema).map(([key, value]): [string, Json] => {
    if (key === 'properties' && isObject(value)) {
      const properties = Object.entries(value).map(
        ([name, one]) => [name, strictlyIn(one)] as const,
      );
      return [key, Object.fromEntries(properties)];
    }
    if (key === '$ref') {
      return [key, String(value).replace('#/components/schemas/', '#/definitions/')];
    }
    // What defaults hold is no schema.
    return [key, key === 'default' || key === 'enum' ? value : strictlyIn(value)];
  });
  const strict = Object.fromEntries(entries);
  const open =
    !('properties' in schema) ||
    'additionalProperties' in schema ||
    schema['x-kubernetes-preserve-unknown-fields'] === true;
  return open ? strict : { ...strict, additionalProperties: false };
}

function strictlyIn(value: Json): Json {
  if (Array.isArray(value)) return value.map((one: Json) => strictlyIn(one));
  if (!isObject(value)) return value;
  if (value['$ref'] === `#/definitions/${QUANTITY}`) return { type: ['string', 'number'] };
  return strictly(value);
}
