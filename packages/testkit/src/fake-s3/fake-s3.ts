import { createHash, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';

/** A bucket store on the wire of S3, as far as objects and uploads in parts go; path style. */
export interface FakeS3 {
  readonly url: string;
  /** By `/bucket/key`. */
  readonly objects: ReadonlyMap<string, Buffer>;
  /** Uploads in parts that were neither completed nor aborted. */
  readonly openUploads: number;
  /** Method and query of each request, in order. */
  readonly requests: readonly string[];
  /** The next `count` requests are answered with this status, or lose their connection. */
  fail(count: number, how: number | 'reset'): void;
  close(): Promise<void>;
}

export async function startFakeS3(): Promise<FakeS3> {
  const objects = new Map<string, Buffer>();
  const uploads = new Map<string, Map<number, Buffer>>();
  const requests: string[] = [];
  let failures = 0;
  let how: number | 'reset' = 500;

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', 'http://fake');
    const path = decodeURIComponent(url.pathname);
    const { method = '' } = request;
    const body = await buffer(request);
    requests.push(`${method} ${[...url.searchParams.keys()].join(' ')}`.trim());
    if (failures > 0) {
      failures -= 1;
      if (how === 'reset') return void request.socket.destroy();
      return fault(response, how, 'InternalError');
    }
    const uploadId = url.searchParams.get('uploadId');
    if (method === 'POST' && url.searchParams.has('uploads')) {
      const id = randomUUID();
      uploads.set(id, new Map());
      return xml(
        response,
        200,
        `<InitiateMultipartUploadResult><UploadId>${id}</UploadId></InitiateMultipartUploadResult>`,
      );
    }
    if (uploadId !== null) {
      const parts = uploads.get(uploadId);
      if (!parts) return fault(response, 404, 'NoSuchUpload');
      if (method === 'PUT') {
        parts.set(Number(url.searchParams.get('partNumber')), body);
        return void response.writeHead(200, { etag: etagOf(body) }).end();
      }
      uploads.delete(uploadId);
      if (method === 'DELETE') return void response.writeHead(204).end();
      const inOrder = [...parts].sort(([one], [other]) => one - other).map(([, part]) => part);
      objects.set(path, Buffer.concat(inOrder));
      return xml(
        response,
        200,
        `<CompleteMultipartUploadResult><ETag>"x"</ETag></CompleteMultipartUploadResult>`,
      );
    }
    if (method === 'GET' && url.searchParams.get('list-type') === '2')
      return list(path, url.searchParams, response);
    switch (method) {
      case 'PUT':
        objects.set(path, body);
        return void response.writeHead(200, { etag: etagOf(body) }).end();
      case 'GET': {
        const object = objects.get(path);
        if (!object) return fault(response, 404, 'NoSuchKey');
        return void response.writeHead(200, { 'content-length': object.length }).end(object);
      }
      case 'DELETE':
        objects.delete(path);
        return void response.writeHead(204).end();
      default:
        return fault(response, 405, 'MethodNotAllowed');
    }
  }

  /** Two on a page, as nobody has a thousand here. All were put just now. */
  function list(bucket: string, query: URLSearchParams, response: ServerResponse): void {
    const prefix = `${bucket.replace(/\/$/, '')}/${query.get('prefix') ?? ''}`;
    const after = query.get('continuation-token') ?? '';
    const found = [...objects.keys()].filter((key) => key.startsWith(prefix)).sort();
    const rest = found.filter((key) => key > after);
    const page = rest.slice(0, 2);
    const contents = page.map((key) => {
      const name = key.slice(bucket.replace(/\/$/, '').length + 1);
      return `<Contents><Key>${name}</Key><LastModified>${new Date().toISOString()}</LastModified></Contents>`;
    });
    const isCut = rest.length > page.length;
    const next = isCut ? `<NextContinuationToken>${page.at(-1)}</NextContinuationToken>` : '';
    xml(
      response,
      200,
      `<ListBucketResult>${contents.join('')}<IsTruncated>${isCut}</IsTruncated>${next}</ListBucketResult>`,
    );
  }

  const server = createServer((request, response) => {
    // A client that gives its upload up leaves half a request.
    answer(request, response).catch(() => response.destroy());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    objects,
    get openUploads() {
      return uploads.size;
    },
    requests,
    fail(count, kind) {
      failures = count;
      how = kind;
    },
    async close() {
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
}

function etagOf(body: Buffer): string {
  return `"${createHash('md5').update(body).digest('hex')}"`;
}

function xml(response: ServerResponse, status: number, body: string): void {
  response.writeHead(status, { 'content-type': 'application/xml' });
  response.end(`<?xml version="1.0" encoding="UTF-8"?>${body}`);
}

function fault(response: ServerResponse, status: number, code: string): void {
  xml(response, status, `<Error><Code>${code}</Code><Message>${code}</Message></Error>`);
}
