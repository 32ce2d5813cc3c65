/** What a machine can do. */
export interface Machine {
  readonly platform: string;
  readonly root: boolean;
  has(program: string): boolean;
  readonly pull: boolean;
  cannotMakeBase(has: (program: string) => boolean): string | undefined;
}

export function skips(names: readonly string[], machine: Machine): Record<string, string>;
