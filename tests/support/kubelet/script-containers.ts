import type { Images } from './images.ts';

/** Programs as containers: they note what happens to them in the file NOTES. */
export const NOTE = `const note = (what) => require('fs').appendFileSync(process.env.NOTES, process.env.NAME + ' ' + what + '\\n');
process.on('SIGTERM', () => { note('told to stop'); if (!process.env.DEAF) setTimeout(() => { note('ends'); process.exit(0); }, 30); });
const keep = setInterval(() => {}, 1000);
note('runs');`;

/** A server that says its name to who connects by TCP, and answers probes by the files READY and ALIVE over HTTP. */
export const SERVE = `${NOTE}
const { existsSync } = require('fs');
require('http').createServer((request, response) => {
  const file = process.env[request.url === '/ready' ? 'READY' : 'ALIVE'];
  response.statusCode = file === undefined || existsSync(file) ? 200 : 503;
  response.end();
}).listen(8080, process.env.POD_IP);
require('net').createServer((socket) => {
  socket.on('error', () => {});
  socket.write(process.env.NAME + '\\n');
  socket.on('data', (data) => socket.write(data));
}).listen(7000, process.env.POD_IP);`;

export const QUICK = { periodSeconds: 0.05, timeoutSeconds: 2 };
export const POD_IP = { name: 'POD_IP', valueFrom: { fieldRef: { fieldPath: 'status.podIP' } } };
const POD_NAME = { name: 'NAME', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } };

/** A container that runs a script of Node. */
export function container(
  name: string,
  script: string,
  more: object = {},
): Record<string, unknown> {
  const env = [{ name: 'NAME', value: name }, POD_IP];
  return { name, image: 'registry.example/test/script:1.2', args: [script], env, ...more };
}

/** Says the name of its pod on port 7000; its probes are quick. */
export function server(env: object[] = [], more: object = {}): Record<string, unknown> {
  return container('main', SERVE, {
    env: [POD_NAME, POD_IP, ...env],
    ports: [
      { name: 'web', containerPort: 8080 },
      { name: 'talk', containerPort: 7000 },
    ],
    startupProbe: { httpGet: { path: '/alive', port: 'web' }, ...QUICK, failureThreshold: 200 },
    readinessProbe: { httpGet: { path: '/ready', port: 'web' }, ...QUICK, failureThreshold: 1 },
    ...more,
  });
}

/** A pod that runs to its end. */
export const pod = (spec: object): object => ({
  kind: 'Pod',
  metadata: { name: 'one' },
  spec: { restartPolicy: 'Never', ...spec },
});

/** Pods that the Service below leads to. */
export function deployment(spec: object, template: object): object {
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'web' },
    spec: { ...spec, template: { metadata: { labels: { app: 'web' } }, ...template } },
  };
}

export const SERVICE = {
  kind: 'Service',
  metadata: { name: 'web' },
  spec: { selector: { app: 'web' }, ports: [{ port: 80, targetPort: 'talk' }] },
};

/** The image of them all. */
export function scriptImages(notes: string): Images {
  return { script: { entrypoint: ['node', '-e'], workingDir: '/', env: { NOTES: notes } } };
}
