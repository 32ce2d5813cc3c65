/** The parts of Express used here: its routes, in order. */
interface Routes {
  readonly stack: readonly {
    readonly route?: { readonly methods: Readonly<Record<string, boolean>> };
    match(path: string): boolean;
  }[];
}

/** A request as Express hands it on. */
export interface RoutedRequest {
  readonly path: string;
  readonly app?: { readonly router?: Routes };
}

/** Methods for which a path has a route, in capitals; none: there is no such path. */
export function allowedMethods({ path, app }: RoutedRequest): readonly string[] {
  const methods = new Set<string>();
  for (const layer of app?.router?.stack ?? []) {
    if (layer.route === undefined || !layer.match(path)) continue;
    for (const method of Object.keys(layer.route.methods)) methods.add(method.toUpperCase());
  }
  // Express answers it wherever it has an answer to GET.
  if (methods.has('GET')) methods.add('HEAD');
  return [...methods].sort();
}
