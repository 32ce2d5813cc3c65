import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { line } from '../../scripts/chart/finding.ts';
import type { KubernetesObject } from '../../scripts/chart/kubernetes-object.ts';
import { modelFindings } from '../../scripts/chart/model-validator.ts';
import { OpenApiValidator } from '../../scripts/chart/openapi-validator.ts';
import { readObjects } from '../../scripts/chart/render.ts';

const POD = `
apiVersion: v1
kind: Pod
metadata: {name: a, labels: {any: name}, annotations: {any/other: name}}
spec:
  containers: [{name: a, image: a, resources: {limits: {cpu: "1"}}, ports: [{containerPort: 80}]}]
  volumes: [{name: shm, emptyDir: {medium: Memory, sizeLimit: 1Gi}}]
`;
const SCALED = `
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata: {name: a}
spec:
  minReplicaCount: 1
  scaleTargetRef: {name: a}
  triggers: [{type: prometheus, metadata: {threshold: "5", query: up}}]
`;

/** What is changed in the text, and what is said about it. */
const BAD = [
  ['a key that does not exist', POD, 'sizeLimit:', 'size:', /emptyDir.*size/],
  ['a key at the wrong place', POD, 'annotations:', 'annotation:', /metadata.*annotation/],
  [
    'a text where a number belongs',
    POD,
    'containerPort: 80',
    'containerPort: "80"',
    /containerPort/,
  ],
  ['a list where a map belongs', POD, '{any: name}', '[any]', /metadata.labels/],
  ['a required key that is missing', POD, 'name: shm, ', '', /volumes\[0\]/],
  ['a key without a value', POD, 'image: a', 'image:', /image: is null/],
  ['a quantity without quotes', POD, 'cpu: "1"', 'cpu: 1', /limits.cpu: is the number 1/],
  ['a kind that does not exist', POD, 'kind: Pod', 'kind: Pot', /no schema of v1 Pot/],
  [
    'a text for a number of a CRD',
    SCALED,
    'minReplicaCount: 1',
    'minReplicaCount: "1"',
    /minReplicaCount/,
  ],
  ['an unknown key of a CRD', SCALED, 'minReplicaCount', 'minReplicas', /minReplicas/],
  ['a number in a map of texts of a CRD', SCALED, '"5"', '5', /triggers\[0\].metadata/],
] as const;

const told = (text: string, from: string, to: string): KubernetesObject[] => {
  expect(text).toContain(from);
  return readObjects(text.replace(from, to));
};

describe('the schemas of kubernetes-models', () => {
  it('take what is right', async () => {
    expect((await modelFindings(readObjects(`${POD}---${SCALED}`))).map(line)).toEqual([]);
  });

  it.each(BAD)('find %s', async (_what, text, from, to, message) => {
    const found = (await modelFindings(told(text, from, to))).map(line);
    expect(found.join('\n')).toMatch(message);
  });
});

describe('schemas that are handed in', () => {
  let folder: string;
  let validator: OpenApiValidator;

  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'voice-fleet-schemas-'));
    mkdirSync(join(folder, 'crds'));
    writeFileSync(join(folder, 'definitions.json'), JSON.stringify({ definitions: DEFINITIONS }));
    writeFileSync(join(folder, 'crds/keda.yaml'), CRD);
    validator = new OpenApiValidator(folder);
  });

  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it('take what is right', () => {
    const objects = readObjects(`${POD}---${SCALED}`);
    expect(objects.flatMap((one) => validator.findings(one)).map(line)).toEqual([]);
    expect(validator.kinds).toEqual(['v1 Pod', 'keda.sh/v1alpha1 ScaledObject']);
  });

  it.each(BAD)('find %s', (_what, text, from, to, message) => {
    const found = told(text, from, to).flatMap((one) => validator.findings(one));
    expect(found.map(line).join('\n')).toMatch(message);
  });

  it('are asked for where the folder has none', () => {
    expect(() => new OpenApiValidator(join(folder, 'crds'))).toThrow('has no OpenAPI definitions');
    expect(() => new OpenApiValidator(join(folder, 'none'))).toThrow('there is no folder');
  });
});

const text = { type: 'string' };
const map = (properties: object, more: object = {}): object => ({
  type: 'object',
  properties,
  ...more,
});
const texts = { type: 'object', additionalProperties: text };
const list = (items: object): object => ({ type: 'array', items });
const QUANTITY = 'io.k8s.apimachinery.pkg.api.resource.Quantity';
const quantity = { $ref: `#/definitions/${QUANTITY}` };
const META = 'io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta';

/** As much of Kubernetes as the pod above has, in the form in which Kubernetes publishes it. */
const DEFINITIONS = {
  [QUANTITY]: text,
  [META]: map({ name: text, labels: texts, annotations: texts }),
  'io.k8s.api.core.v1.Pod': map(
    {
      apiVersion: text,
      kind: text,
      metadata: { $ref: `#/definitions/${META}` },
      spec: map({
        containers: list(
          map({
            name: text,
            image: text,
            resources: map({ limits: { type: 'object', additionalProperties: quantity } }),
            ports: list(map({ containerPort: { type: 'integer', format: 'int32' } })),
          }),
        ),
        volumes: list(
          map(
            { name: text, emptyDir: map({ medium: text, sizeLimit: quantity }) },
            { required: ['name'] },
          ),
        ),
      }),
    },
    { 'x-kubernetes-group-version-kind': [{ group: '', version: 'v1', kind: 'Pod' }] },
  ),
};

const CRD = `
kind: CustomResourceDefinition
spec:
  group: keda.sh
  names: {kind: ScaledObject}
  versions:
    - name: v1alpha1
      schema:
        openAPIV3Schema:
          type: object
          properties:
            apiVersion: {type: string}
            kind: {type: string}
            metadata: {type: object}
            spec:
              type: object
              properties:
                minReplicaCount: {type: integer}
                scaleTargetRef: {type: object, properties: {name: {type: string}}}
                triggers:
                  type: array
                  items:
                    type: object
                    properties:
                      type: {type: string, pattern: "^(?i)(PROMETHEUS|cpu)$"}
                      metadata: {type: object, additionalProperties: {type: string}}
`;
