import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { KubernetesObject } from '../../scripts/chart/kubernetes-object.ts';

export interface FakeApiServer extends AsyncDisposable {
  readonly url: string;
}

/** As much of the API of Kubernetes as helm's `lookup` asks: what kinds there are, and `live`. Knows the kinds of `kinds`. */
export async function fakeApiServer(
  kinds: readonly KubernetesObject[],
  live: readonly KubernetesObject[],
): Promise<FakeApiServer> {
  const answers = new Map<string, unknown>([
    ['/version', { major: '1', minor: '33', gitVersion: 'v1.33.0' }],
    ['/api', { kind: 'APIVersions', versions: ['v1'] }],
    ['/apis', { kind: 'APIGroupList', apiVersion: 'v1', groups: groupsOf(kinds) }],
  ]);
  for (const version of new Set(kinds.map(({ apiVersion }) => apiVersion)))
    answers.set(pathOf(version), {
      kind: 'APIResourceList',
      apiVersion: 'v1',
      groupVersion: version,
      resources: resourcesOf(kinds.filter(({ apiVersion }) => apiVersion === version)),
    });
  for (const { apiVersion, kind, metadata, ...rest } of live) {
    const namespace = String(metadata['namespace']);
    const path = `${pathOf(apiVersion)}/namespaces/${namespace}/${pluralOf(kind)}/${metadata.name}`;
    answers.set(path, { apiVersion, kind, metadata, ...rest });
  }
  const missing = { kind: 'Status', apiVersion: 'v1', status: 'Failure', reason: 'NotFound' };
  const server = createServer((request, response) => {
    const answer = answers.get(request.url?.split('?', 1)[0] ?? '');
    response
      .writeHead(answer ? 200 : 404, { 'content-type': 'application/json' })
      .end(JSON.stringify(answer ?? { ...missing, code: 404 }));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function groupsOf(kinds: readonly KubernetesObject[]): readonly object[] {
  const versions = new Set(kinds.map(({ apiVersion }) => apiVersion));
  return [...versions].flatMap((groupVersion) => {
    const [name, version] = groupVersion.split('/');
    const served = { groupVersion, version };
    return version ? [{ name, versions: [served], preferredVersion: served }] : [];
  });
}

function resourcesOf(kinds: readonly KubernetesObject[]): readonly object[] {
  return [...new Set(kinds.map(({ kind }) => kind))].map((kind) => ({
    name: pluralOf(kind),
    singularName: kind.toLowerCase(),
    namespaced: true,
    kind,
    verbs: ['get'],
  }));
}

function pathOf(apiVersion: string): string {
  return apiVersion.includes('/') ? `/apis/${apiVersion}` : `/api/${apiVersion}`;
}

function pluralOf(kind: string): string {
  const name = kind.toLowerCase();
  if (name.endsWith('y')) return `${name.slice(0, -1)}ies`;
  return name.endsWith('s') ? `${name}es` : `${name}s`;
}
