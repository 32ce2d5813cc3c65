import { NotFoundException } from '@nestjs/common';
import type { PageFile } from './page-files.ts';

/** The part of an HTTP request and response used here. */
export interface PageRequest {
  header(name: string): string | undefined;
}
export interface PageResponse {
  set(headers: Readonly<Record<string, string>>): PageResponse;
  status(code: number): { end(body?: Buffer): void };
}

/** Own scripts, own styles, own server; nothing is framed, posted or taken from elsewhere. */
const CONTENT_SECURITY_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self'",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

const HEADERS = {
  // Asked for anew each time, and sent anew only when it changed: a page never runs with old modules.
  'Cache-Control': 'no-cache',
  'Content-Security-Policy': CONTENT_SECURITY_POLICY,
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Resource-Policy': 'same-origin',
  'Permissions-Policy': 'microphone=(self), camera=(), geolocation=()',
  'Referrer-Policy': 'no-referrer',
  'X-Content-Type-Options': 'nosniff',
};

/** Sends a file of a page, or that it is known already. Throws NotFoundException when there is none. */
export function sendPageFile(
  file: PageFile | undefined,
  request: PageRequest,
  response: PageResponse,
): void {
  if (file === undefined) throw new NotFoundException();
  response.set({ ...HEADERS, ETag: file.etag });
  if (isKnown(file, request.header('If-None-Match'))) return response.status(304).end();
  response.set({ 'Content-Type': file.type, 'Content-Length': String(file.body.length) });
  response.status(200).end(file.body);
}

function isKnown(file: PageFile, ifNoneMatch: string | undefined): boolean {
  const tags = ifNoneMatch?.split(',').map((tag) => tag.trim().replace(/^W\//, ''));
  return tags?.some((tag) => tag === file.etag || tag === '*') ?? false;
}
