/** Addresses of one host that stands for a cluster: each pod and each Service has a loopback address of its own. */
export class Addresses {
  /** So that tests that run side by side do not meet. */
  readonly #prefix = `127.${1 + (process.pid % 250)}`;
  #last = 0;

  next(): string {
    this.#last += 1;
    return `${this.#prefix}.${Math.floor(this.#last / 250) + 1}.${(this.#last % 250) + 2}`;
  }
}

/** Names that a pod may call, and the addresses that stand for them here. */
export type Hosts = ReadonlyMap<string, string>;

/** Where an address begins: at the start, or behind the scheme, user and so on of a URL. */
const HOST = /(^|\/\/|@)([a-z\d](?:[a-z\d.-]*[a-z\d])?)(?=$|[:/?])/gi;

/**
 * A value of a pod's environment as one host needs it: the pod's own loopback is its address here, and so is "any address";
 * names of Services, in every length that the DNS of a cluster knows, are theirs. All else stays as it is.
 */
export function localized(value: string, podIp: string, namespace: string, hosts: Hosts): string {
  if (value === '0.0.0.0' || value === '::') return podIp;
  const loopback = value.replaceAll('[::1]', podIp);
  return loopback.replaceAll(HOST, (match, before: string, host: string) => {
    if (host === 'localhost' || host === '127.0.0.1') return `${before}${podIp}`;
    // A whole value that is a name may be anything; with a port or in a URL it is a host.
    if (before === '' && match === value) return match;
    const name = host.toLowerCase().replace(new RegExp(`\\.${namespace}(\\.svc(\\..+)?)?$`), '');
    return `${before}${hosts.get(name) ?? host}`;
  });
}
