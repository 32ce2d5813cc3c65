import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { selfSignedCertificate } from '@voice-fleet/testkit/certificate';
import type { PodAddress } from './kubernetes-env.ts';
import { annotatePod } from './patch-pod.ts';

interface Asked {
  readonly method: string | undefined;
  readonly url: string | undefined;
  readonly type: string | undefined;
  readonly authorization: string | undefined;
  readonly body: unknown;
}

describe('a patch of the own pod', () => {
  let accountDir: string;
  let server: Server;
  let pod: PodAddress;
  let asked: Asked[];
  let status: number;
  let answer: string | undefined;
  const forever = new AbortController().signal;

  beforeEach(async () => {
    asked = [];
    status = 200;
    answer = '{"kind":"Pod"}';
    const { cert, key } = await selfSignedCertificate();
    accountDir = mkdtempSync(join(tmpdir(), 'account-'));
    writeFileSync(join(accountDir, 'ca.crt'), cert);
    writeFileSync(join(accountDir, 'token'), 'first-token\n');
    server = createServer({ cert, key }, (request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        const { method, url, headers } = request;
        const body: unknown = JSON.parse(Buffer.concat(chunks).toString());
        const { authorization, 'content-type': type } = headers;
        asked.push({ method, url, type, authorization, body });
        if (answer !== undefined) response.writeHead(status).end(answer);
      });
    });
    await once(server.listen(0, '127.0.0.1'), 'listening');
    const { port } = server.address() as AddressInfo;
    pod = { host: '127.0.0.1', port, namespace: 'voice', name: 'asr-a-x7k2p', accountDir };
  });
  afterEach(() => {
    server.closeAllConnections();
    server.close();
    rmSync(accountDir, { recursive: true });
  });

  it('is one merge patch of its annotations, as the service account', async () => {
    await annotatePod(pod, { 'a/b': '3' }, forever);
    expect(asked).toEqual([
      {
        method: 'PATCH',
        url: '/api/v1/namespaces/voice/pods/asr-a-x7k2p',
        type: 'application/merge-patch+json',
        authorization: 'Bearer first-token',
        body: { metadata: { annotations: { 'a/b': '3' } } },
      },
    ]);
  });

  it('uses the token that is there now, for it is renewed', async () => {
    await annotatePod(pod, {}, forever);
    writeFileSync(join(accountDir, 'token'), 'second-token');
    await annotatePod(pod, {}, forever);
    expect(asked.map(({ authorization }) => authorization)).toEqual([
      'Bearer first-token',
      'Bearer second-token',
    ]);
  });

  it('says why Kubernetes refused it', async () => {
    status = 403;
    answer = JSON.stringify({ kind: 'Status', message: 'pods "asr-a-x7k2p" is forbidden' });
    await expect(annotatePod(pod, {}, forever)).rejects.toThrow(
      'Kubernetes answered 403: pods "asr-a-x7k2p" is forbidden',
    );
  });

  it.each(['<html>', '{}', ''])(
    'survives an answer that is none of Kubernetes: %j',
    async (text) => {
      status = 502;
      answer = text;
      await expect(annotatePod(pod, {}, forever)).rejects.toThrow(/^Kubernetes answered 502$/);
    },
  );

  it('goes to no server that the CA does not vouch for', async () => {
    writeFileSync(join(accountDir, 'ca.crt'), (await selfSignedCertificate()).cert);
    await expect(annotatePod(pod, {}, forever)).rejects.toThrow(/certificate/);
    expect(asked).toEqual([]);
  });

  it('fails when there is no token, and when nobody listens', async () => {
    const nowhere = { ...pod, accountDir: join(accountDir, 'none') };
    await expect(annotatePod(nowhere, {}, forever)).rejects.toThrow(/ENOENT/);
    await new Promise((resolve) => server.close(resolve));
    await expect(annotatePod(pod, {}, forever)).rejects.toThrow(/ECONNREFUSED/);
  });

  it('ends with its signal while nothing comes', async () => {
    answer = undefined;
    const abort = new AbortController();
    const sent = annotatePod(pod, {}, abort.signal);
    server.once('request', () => abort.abort());
    await expect(sent).rejects.toThrow(/abort/);
  });
});
