import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { Data } from './environment.ts';
import type { Container, Volume } from './objects.ts';

/** Where data of claims is kept: longer than a pod. */
export type Claims = (claim: string) => string;

/** The volumes of a pod as folders of this host, and the paths of a container as paths in them. */
export class PodVolumes {
  readonly #root = mkdtempSync(join(tmpdir(), 'kubelet-'));
  readonly #folders = new Map<string, string>();

  constructor(
    volumes: readonly Volume[],
    data: { configMaps: Data; secrets: Data; claims: Claims },
  ) {
    for (const volume of volumes) this.#folders.set(volume.name, this.#make(volume, data));
  }

  /** The folder of a mounted path of this container, and of every path below it; other paths stay as they are. */
  path(container: Container, path: string): string {
    const mounts = container.volumeMounts
      .filter(({ mountPath }) => path === mountPath || path.startsWith(`${mountPath}/`))
      .sort((a, b) => b.mountPath.length - a.mountPath.length);
    const [mount] = mounts;
    if (mount === undefined) return path;
    const folder = this.#folders.get(mount.name);
    if (folder === undefined)
      throw new Error(`${container.name} mounts ${mount.name}, which is no volume of its pod`);
    const target = join(folder, mount.subPath ?? '');
    mkdirSync(target, { recursive: true });
    return join(target, path.slice(mount.mountPath.length));
  }

  /** A folder that is on the disk of a container, in no volume. */
  own(container: Container, path: string): string {
    const folder = join(this.#root, '.containers', container.name, path);
    mkdirSync(folder, { recursive: true });
    return folder;
  }

  remove(): void {
    rmSync(this.#root, { recursive: true, force: true });
  }

  #make(
    volume: Volume,
    { configMaps, secrets, claims }: { configMaps: Data; secrets: Data; claims: Claims },
  ): string {
    const { name, configMap, secret, persistentVolumeClaim } = volume;
    if (persistentVolumeClaim) return claims(persistentVolumeClaim.claimName);
    const folder = join(this.#root, name);
    mkdirSync(folder);
    const [data, from, items] = configMap
      ? [configMaps, configMap.name, configMap.items]
      : [secrets, secret?.secretName, secret?.items];
    if (from === undefined) return folder;
    const found = data.get(from);
    if (found === undefined)
      throw new Error(`volume ${name} is made of ${from}, which is not there`);
    const files = items ?? Object.keys(found).map((key) => ({ key, path: key }));
    for (const { key, path } of files) {
      const text = found[key];
      if (text === undefined) throw new Error(`volume ${name} asks for key ${key} of ${from}`);
      mkdirSync(dirname(join(folder, path)), { recursive: true });
      writeFileSync(join(folder, path), text);
    }
    return folder;
  }
}
