import { readFile } from 'node:fs/promises';
import { type RequestOptions, request } from 'node:https';
import { join } from 'node:path';
import { z } from 'zod';
import type { PodAddress } from './kubernetes-env.ts';

/** Of what Kubernetes says when it refuses. */
const MAX_ANSWER_BYTES = 16_384;
const MAX_MESSAGE = 200;

const Status = z.object({ message: z.string() });

/**
 * Sets annotations of a pod in one merge patch; others stay as they are. Rejects with a readable Error when that is refused or
 * fails, and with its reason when the signal aborts. Token and CA are read anew each time, for both are renewed.
 *
 * One request is all that is asked of Kubernetes, so it is written out: the client library for it would bring its watches, its
 * kubeconfig and some thirty packages along.
 */
export async function annotatePod(
  pod: PodAddress,
  annotations: Readonly<Record<string, string>>,
  signal: AbortSignal,
): Promise<void> {
  const [token, ca] = await Promise.all([
    readFile(join(pod.accountDir, 'token'), { encoding: 'utf8', signal }),
    readFile(join(pod.accountDir, 'ca.crt'), { encoding: 'utf8', signal }),
  ]);
  const options: RequestOptions = {
    host: pod.host,
    port: pod.port,
    method: 'PATCH',
    path: `/api/v1/namespaces/${pod.namespace}/pods/${pod.name}`,
    ca,
    // So rarely that a connection is not worth keeping.
    agent: false,
    signal,
    headers: {
      authorization: `Bearer ${token.trim()}`,
      'content-type': 'application/merge-patch+json',
      accept: 'application/json',
    },
  };
  const body = JSON.stringify({ metadata: { annotations } });
  const { status, text } = await send(options, body);
  if (status < 200 || status > 299) throw new Error(`Kubernetes answered ${status}${why(text)}`);
}

function send(options: RequestOptions, body: string): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    const sent = request(options, (answer) => {
      let text = '';
      answer.setEncoding('utf8');
      // The pod itself comes back: it is read to its end, so that a fault on the way shows, and not kept.
      answer.on('data', (chunk: string) => {
        if (text.length < MAX_ANSWER_BYTES) text += chunk;
      });
      answer.once('end', () => resolve({ status: answer.statusCode ?? 0, text }));
      answer.once('error', reject);
    });
    sent.once('error', reject);
    sent.end(body);
  });
}

function why(text: string): string {
  try {
    return `: ${Status.parse(JSON.parse(text)).message.slice(0, MAX_MESSAGE)}`;
  } catch {
    // Something before it has answered.
    return '';
  }
}
