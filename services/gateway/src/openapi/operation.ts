import type { Scope } from '@voice-fleet/fleet/tenant';
import { z } from 'zod';

export const TAGS = [
  'Transcripts',
  'Speech and replies',
  'Batch jobs',
  'Models',
  'Tenants',
  'Health',
] as const;
export type Tag = (typeof TAGS)[number];

/** One form of a body or an answer. */
export interface Content {
  readonly type: string;
  /** Absent for sound, pages and other bytes. */
  readonly schema?: z.ZodType;
  /** Of the schema in the document. */
  readonly name?: string;
  readonly example?: unknown;
}

export interface Parameter {
  readonly name: string;
  readonly in: 'path' | 'query' | 'header';
  readonly description: string;
  readonly schema: z.ZodType;
  readonly example: unknown;
}

export interface Answer {
  readonly status: number;
  readonly description: string;
  readonly content?: readonly Content[];
}

/** One thing that can be asked for over HTTP. */
export interface Operation {
  readonly method: 'get' | 'post' | 'put' | 'patch' | 'delete';
  /** With `{names}` of path parameters. */
  readonly path: string;
  readonly tag: Tag;
  readonly summary: string;
  readonly description?: string;
  /** Who may: everybody, the operator, or a tenant's key with this scope. */
  readonly key: 'none' | 'admin' | Scope;
  readonly parameters?: readonly Parameter[];
  readonly body?: readonly Content[];
  readonly answers: readonly Answer[];
  /** Statuses of refusals, beside those of the key. */
  readonly refusals?: readonly number[];
  /** The body of a refusal, where it is neither ours nor OpenAI's. */
  readonly refusalBody?: { readonly name: string; readonly schema: z.ZodType };
}

export function json(name: string, schema: z.ZodType, example: unknown): Content {
  return { type: 'application/json', name, schema, example };
}

export function ok(description: string, ...content: readonly Content[]): Answer {
  return { status: 200, description, content };
}

/** A file in a form, of whatever type. */
export const FILE = z.file();
export const TIME = z.iso.datetime();
