/** Something that is wrong with a rendered object. */
export interface Finding {
  /** The rule that says so: `schema`, or the id of one in rules/. */
  readonly rule: string;
  /** `Kind/name`. */
  readonly object: string;
  /** Where in it, such as `spec.template.spec.containers[gateway].image`; empty for the whole. */
  readonly path: string;
  readonly message: string;
}

/** One line for people. */
export function line({ rule, object, path, message }: Finding): string {
  return `${rule}: ${object}${path === '' ? '' : ` ${path}`}: ${message}`;
}
