import 'reflect-metadata';
import { describe, expect, it } from '@jest/globals';
import { RequestMethod, type Type } from '@nestjs/common';
import { METHOD_METADATA, PATH_METADATA } from '@nestjs/common/constants.js';
import { AppModule, type AppParts } from '../app.module.ts';
import { docsPage } from './docs-page.ts';
import { openApiDocument } from './document.ts';
import type { Content } from './operation.ts';
import { OPERATIONS } from './operations.ts';

const list = (value: string | string[] | undefined): string[] => [value ?? ''].flat();

/** Every route of the gateway as Nest has it: `GET /admin/v1/tenants/{id}`. */
function routes(): string[] {
  const { controllers = [] } = AppModule.with({} as AppParts);
  return [...new Set((controllers as Type[]).flatMap(routesOf))].sort();
}

function routesOf(controller: Type): string[] {
  const prototype = controller.prototype as Record<string, object>;
  const bases = list(Reflect.getMetadata(PATH_METADATA, controller) as string);
  return Object.getOwnPropertyNames(prototype).flatMap((name) => {
    const handler = Object.getOwnPropertyDescriptor(prototype, name)?.value as object;
    const method = Reflect.getMetadata(METHOD_METADATA, handler) as RequestMethod | undefined;
    // Other methods of a known path are refused, which is no route.
    if (method === undefined || method === RequestMethod.ALL) return [];
    const paths = list(Reflect.getMetadata(PATH_METADATA, handler) as string | string[]);
    return bases.flatMap((base) =>
      paths.map((path) => `${RequestMethod[method]} ${joined(base, path)}`),
    );
  });
}

function joined(base: string, path: string): string {
  const segments = `${base}/${path}`.split('/').filter((segment) => segment !== '');
  return `/${segments.map((segment) => segment.replace(/^[:*](\w+)$/, '{$1}')).join('/')}`;
}

describe('the OpenAPI document', () => {
  it('has every route of the gateway, and none that is not there', () => {
    const told = OPERATIONS.map(({ method, path }) => `${method.toUpperCase()} ${path}`).sort();
    expect(told).toEqual(routes());
  });

  it('has an example of every JSON body and answer, each of which is valid', () => {
    const faults: string[] = [];
    const check = (where: string, { type, schema, example }: Content): void => {
      if (!schema || type.startsWith('multipart/')) return;
      if (!schema.safeParse(example).success) faults.push(`${where} ${type}`);
    };
    for (const { method, path, body = [], answers, parameters = [] } of OPERATIONS) {
      const where = `${method} ${path}`;
      for (const content of body) check(where, content);
      for (const { status, content = [] } of answers)
        for (const one of content) check(`${where} ${status}`, one);
      for (const { name, schema, example } of parameters)
        check(`${where} ${name}`, { type: 'parameter', schema, example });
    }
    expect(faults).toEqual([]);
  });

  it('names every parameter of its paths, and gives each operation a name of its own', () => {
    for (const { path, parameters = [] } of OPERATIONS) {
      const inPath = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name);
      expect(parameters.filter((one) => one.in === 'path').map(({ name }) => name)).toEqual(inPath);
    }
    const ids = Object.values(openApiDocument().paths).flatMap((methods) =>
      Object.values(methods).map(({ operationId }) => operationId),
    );
    expect(new Set(ids).size).toBe(ids.length);
  });

  it('refers to nothing that it does not have', () => {
    const document = openApiDocument();
    const text = JSON.stringify(document);
    const schemas = document.components['schemas'] as object;
    const refs = [...text.matchAll(/"\$ref":"#\/components\/schemas\/([^"]+)"/g)];
    expect(refs.length).toBeGreaterThan(20);
    for (const [, name] of refs) expect(Object.keys(schemas)).toContain(name);
    expect([...text.matchAll(/"\$ref":"/g)].length).toBe(refs.length);
  });

  it('is a page whose links lead somewhere, without scripts and styles of its own', () => {
    const page = docsPage(openApiDocument());
    const ids = [...page.matchAll(/ id="([^"]+)"/g)].map(([, id]) => id);
    expect(new Set(ids).size).toBe(ids.length);
    for (const [, target] of page.matchAll(/href="#([^"]+)"/g)) expect(ids).toContain(target);
    expect(page).not.toMatch(/<script|<style| style=| on\w+=|(?:src|href|action)="https?:/);
    for (const { path } of OPERATIONS) expect(page).toContain(`<code>${path}</code>`);
  });
});
